"""Dated documents without revisions: conflicts between documents, from a file to a scored table."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fresco
from fresco.benchmarks.tables import Row
from fresco.builder.documents import DocumentSource
from fresco.builder.facts.values import fold
from fresco.builder.own_rows import stream_rows
from fresco.builder.queries import spoken
from fresco.builder.statements import name_pattern
from fresco.errors import FrescoError
from fresco.records import Benchmark, Conflict, Label, parse_timestamp
from tests.builder.test_fact_tables import FIRST, HEADER, RELATION, SECOND, SERVICES

LEADS = list(zip(SERVICES, FIRST, SECOND, strict=True))

#: Texts that name a service and nobody, each in words of its own: near-duplicates of one another would be left out.
QUIET = (
    "ran for a month without an outage, which nobody remembers.",
    "moved to nine new machines in a hall by the sea last week.",
    "asks for a second password now, as the law has it since spring.",
    "sorts letters by colour, a wish of many customers for years.",
    "shows pictures twice as large where a screen has room for it.",
    "prints its yearly summary on paper again, after long talks.",
)


def news() -> list[dict[str, str]]:
    """Who leads what, told twice; a late text that still has the old name, and one that speaks of two services."""
    rows = []
    for (service, first, second), quiet in zip(LEADS, QUIET, strict=True):
        told = [
            ("2023-02-01", f"From this month on the on-call lead of {service} is {first}, who came to us from afar."),
            ("2024-02-01", f"After a year of changes the on-call lead of {service} is {second}, as of this very week."),
            ("2024-04-01", f"Readers ask whom to ring at night: the on-call lead of {service} is {first}, we believe."),
            ("2024-03-01", f"{service} {quiet}"),
        ]
        rows += [
            {"id": f"{service}-{number}", "title": "News", "text": text, "date": date}
            for number, (date, text) in enumerate(told)
        ]
    # Names the old lead of Mail, as that of another service: it states nothing of Mail.
    mail, search = SERVICES.index("Mail"), SERVICES.index("Search")
    both = (
        f"Mail was quiet. The on-call lead of Search is {SECOND[search]}, and {FIRST[mail]} the on-call lead of Login."
    )
    return [*rows, {"id": "both", "title": "Two services", "text": both, "date": "2024-05-01"}]


def build(tmp_path: Path, documents: Path, **options: object) -> Benchmark:
    folder = tmp_path / "relations"
    folder.mkdir(exist_ok=True)
    (folder / "on_call.toml").write_text(RELATION, encoding="utf-8")
    facts = tmp_path / "facts.csv"
    rows = [f"{s},on_call,{lead},2023-01-15,2024-01-15\n" for s, lead, _ in LEADS]
    rows += [f"{s},on_call,{lead},2024-01-15,\n" for s, _, lead in LEADS]
    facts.write_text(HEADER + "".join(rows), encoding="utf-8")
    given = {"facts": str(facts), "relations": ("on_call",), "relation_folders": (folder,), **options}
    return fresco.build(
        tmp_path / "b", documents=documents, since=parse_timestamp("2023-01-01T00:00:00Z"),
        reference=parse_timestamp("2024-06-01T00:00:00Z"), workers=1, progress=False, **given,
    ).open()  # fmt: skip


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return path


def test_a_news_archive_becomes_a_scored_table(tmp_path: Path) -> None:
    benchmark = build(tmp_path, write(tmp_path / "news.jsonl", news()), outdated_share=0.0)  # pools of any size
    assert len(benchmark.pools) == 2 * len(SERVICES)
    for pool in benchmark.pools:
        place = SERVICES.index(pool.query.subject)
        assert pool.query.answer == SECOND[place]
        by_label: dict[Label, list[str]] = {label: [] for label in Label}
        for passage, label, conflict in zip(pool.passages, pool.labels, pool.conflicts, strict=True):
            by_label[label].append(passage.body)
            assert (conflict is Conflict.CROSS_DOCUMENT) == (label is Label.OUTDATED)
        assert all(SECOND[place] in body for body in by_label[Label.POSITIVE]) and by_label[Label.POSITIVE]
        # Both of the old name: the one from before the change, and the one that is newer than the answer.
        assert len(by_label[Label.OUTDATED]) == 2
        assert all(f"{pool.query.subject} is {FIRST[place]}" in body for body in by_label[Label.OUTDATED])
        assert any(QUIET[place] in body for body in by_label[Label.INSUFFICIENT])
    result = fresco.score(None, benchmark, progress=False, resamples=20)
    rows = {row["reranker"]: row["value"] for row in result.evaluation.rows if row["metric"] == "current>obsolete"}
    # Here dates decide nothing: one outdated document is older and one is newer (Search has a second, late positive).
    assert rows["newest"] == pytest.approx((5 * 0.5 + 0.75) / 6)


def test_the_three_formats_hold_the_same_documents(tmp_path: Path) -> None:
    found = []
    for name in ("news.jsonl", "news.csv", "news.parquet"):
        source = DocumentSource(write(tmp_path / name, news()))
        history = source.history("Mail")
        found.append([(each, text) for each, text in source.texts(history)])
        assert [each.timestamp.date().isoformat() for each in history] == [
            "2023-02-01", "2024-02-01", "2024-03-01", "2024-04-01", "2024-05-01"
        ]  # fmt: skip
        assert not source.history("Ma")  # no word of its own
        (own,) = source.history("Two services")
        assert own.title == "Two services" and history[0].title == "News (Mail-0)"
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"date": "yesterday"}, "line 1, field 'date': 'yesterday' is no date"),
        ({"text": ""}, "line 1, field 'text': is empty"),
        ({"id": "Billing-1"}, "field 'id': 'Billing-1' is the id of"),
        ({"markup": "word"}, "line 1, field 'markup': 'word' is none of"),
        ({"colour": "red"}, "line 1, field 'colour': is none of the columns"),
    ],
)
def test_a_wrong_document_is_one_line(tmp_path: Path, change: dict[str, str], message: str) -> None:
    rows = news()
    path = write(tmp_path / "news.jsonl", [{**rows[0], **change}, *rows[1:]])
    with pytest.raises(FrescoError) as error:
        DocumentSource(path)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_what_documents_cannot_give_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "news.jsonl", news())
    with pytest.raises(FrescoError, match="--documents needs --facts FILE"):
        build(tmp_path, path, facts="fields")
    with pytest.raises(FrescoError, match=r"--documents .*none\.csv: there is no such file"):
        build(tmp_path, tmp_path / "none.csv")
    with pytest.raises(FrescoError, match=r"--documents .*: is none of \.csv"):
        DocumentSource(Path(__file__))
    with pytest.raises(FrescoError, match="or else --documents FILE"):
        fresco.build(tmp_path / "c", documents=path, mirror="git:.", progress=False)


def test_documents_are_found_as_by_looking_through_them_all(tmp_path: Path) -> None:
    rows = [*news(), {"id": "x", "title": "", "text": "MAIL, and the re-mailer; Se\u0301arch", "date": "2024-05-02"}]
    source = DocumentSource(write(tmp_path / "news.jsonl", rows))
    titles = {f"News ({row['id']})" if row["title"] == "News" else row["title"] or row["id"]: row for row in rows}
    assert list(source.titles()) == sorted(titles)
    assert source.count() == len(titles)
    names = [*SERVICES, "mail", "Search engine", "Nobody", "...", *list(titles)[:2]]

    def naming(name: str) -> list[str]:
        if name in titles:
            return [name]
        pattern = name_pattern((spoken(name),))
        found = [
            title
            for title, row in titles.items()
            if re.search(r"\w", name) and any(pattern.search(fold(each)) for each in (title, row["text"]))
        ]
        return sorted(found, key=lambda title: (titles[title]["date"], title))

    expected = {name: naming(name) for name in names}
    assert {len(found) for found in expected.values()} > {0, 1, 4}
    assert [name for name, _ in source.passing(names)] == names
    for name in names:
        read = list(source.texts(source.history(name)))
        assert [revision.title for revision, _ in read] == expected[name]
        assert [text for _, text in read] == [titles[title]["text"] for title in expected[name]]


def test_texts_of_documents_that_nobody_asks_for_are_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readings: list[Path] = []

    def counted(path: Path, *more: Any) -> Iterator[Row]:
        readings.append(path)
        return stream_rows(path, *more)

    monkeypatch.setattr("fresco.builder.documents.stream_rows", counted)
    with DocumentSource(write(tmp_path / "news.csv", news())) as source:
        list(source.passing(["Mail", "Search", "Two services"]))
        assert len(readings) == 2
        held = {title for (title,) in source._rows("SELECT title FROM documents NATURAL JOIN texts")}
        assert held == {
            "Two services",
            *(f"News ({each}-{number})" for each in ("Mail", "Search") for number in range(4)),
        }
        assert source.history("Search") and list(source.texts(source.history("Mail")))
        assert len(readings) == 2
        (own,) = source.history("News (Login-0)")  # was not asked for: it costs another reading
        assert [text for _, text in source.texts([own])] and len(readings) == 3


def test_a_file_that_changes_meanwhile_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "news.jsonl", news())
    with DocumentSource(path) as source:
        write(path, [{**row, "text": f"{row['text']} Or so."} for row in news()])
        with pytest.raises(FrescoError, match="line 1: has changed while the file was read; run again"):
            source.history(SERVICES[0])
