"""Facts of a user's own, and a folder of Markdown under git: from nothing to a scored table."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import fresco
from fresco.builder.facts import Fact
from fresco.builder.facts.table import Table
from fresco.builder.templates import read_relation
from fresco.errors import FrescoError
from fresco.records import Label, parse_timestamp
from tests.builder.git_repository import Repository

RELATION = """name = "on-call lead"
subjects = "services"
values = "person"
holders = "single"
cues = ["\\\\bon-call lead\\\\b"]
explicit = ["Who is the current on-call lead of {subject}?", "Who is the on-call lead of {subject} now?",
            "Who is the on-call lead of {subject} today?"]
implicit = ["Who is the on-call lead of {subject}?", "Who leads on-call for {subject}?",
            "Whom does {subject} have as on-call lead?"]
"""
SERVICES = ("Billing", "Search", "Login", "Mail", "Images", "Reports")
FIRST = ("Ada Lovell", "Bela Kuhn", "Chloe Martin", "Deniz Aydin", "Emil Novak", "Fatou Diallo")
SECOND = ("Greta Lind", "Hugo Silva", "Ines Prat", "Jonas Weber", "Kaito Mori", "Lena Orlova")
HEADER = "subject,relation,value,start,end\n"
GOOD = "Mail,on_call,Ada,2023-01-15,\n"


def page(service: str, lead: str) -> str:
    return (
        f"# {service}\n\nThe service {service} keeps running day and night for all of our customers everywhere.\n\n"
        f"## People\n\nThe on-call lead of {service} is {lead}, who answers the telephone at any hour.\n\n"
        f"## Machines\n\n{service} runs on nine machines in two halls, each with a battery and a spare of its own.\n"
    )


@pytest.fixture
def relations(tmp_path: Path) -> Path:
    folder = tmp_path / "relations"
    folder.mkdir()
    (folder / "on_call.toml").write_text(RELATION, encoding="utf-8")
    return folder


def test_a_csv_and_a_folder_under_git_become_a_scored_table(relations: Path, tmp_path: Path) -> None:
    docs = Repository(tmp_path / "docs")
    docs.commit("2023-02-01T00:00:00Z", {f"{s}.md": page(s, lead) for s, lead in zip(SERVICES, FIRST, strict=True)})
    docs.commit("2024-02-01T00:00:00Z", {f"{s}.md": page(s, lead) for s, lead in zip(SERVICES, SECOND, strict=True)})
    table = tmp_path / "facts.csv"
    rows = [f"{s},on_call,{lead},2023-01-15,2024-01-15\n" for s, lead in zip(SERVICES, FIRST, strict=True)]
    rows += [f"{s},on_call,{lead},2024-01-15,\n" for s, lead in zip(SERVICES, SECOND, strict=True)]
    table.write_text(HEADER + "".join(rows), encoding="utf-8")

    def build() -> fresco.Benchmark:
        return fresco.build(
            tmp_path / "b", mirror=f"git:{docs.path}", facts=str(table), relations=("on_call",),
            relation_folders=(relations,), since=parse_timestamp("2023-01-01T00:00:00Z"),
            reference=parse_timestamp("2024-06-01T00:00:00Z"), workers=1, progress=False,
        ).open()  # fmt: skip

    benchmark = build()
    assert len(benchmark.pools) == 2 * len(SERVICES)
    for pool in benchmark.pools:
        place = SERVICES.index(pool.query.subject)
        assert pool.query.answer == SECOND[place]
        stated = {Label.POSITIVE: SECOND[place], Label.OUTDATED: FIRST[place]}
        for passage, label in zip(pool.passages, pool.labels, strict=True):
            for each, name in stated.items():
                assert (name in passage.body) == (label is each)
        assert set(pool.labels) == set(Label)
    result = fresco.score(None, benchmark, progress=False, resamples=20)
    values = {row["reranker"]: row["value"] for row in result.evaluation.rows if row["metric"] == "MAP"}
    assert values["latest"] > values["bm25"] > values["random"]  # the newest revisions state what holds
    # Edited facts make the build anew.
    table.write_text(table.read_text(encoding="utf-8").replace("Greta Lind", "Ada Lovell Junior"), encoding="utf-8")
    assert "Billing" not in {pool.query.subject for pool in build().pools}


def facts(path: Path) -> list[Fact]:
    return list(Table(path, [read_relation("on_call", RELATION)]).facts())


def test_the_three_formats_say_the_same(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"value": "Ada", "start": "2023-01-15", "end": None, "aliases": ["A", "B"]},
        {"value": "Béla", "start": "2022-01-15T10:00:00Z", "end": "2023-01-15", "aliases": []},
    ]
    rows = [{"subject": "Mail", "relation": "on_call", **row} for row in rows]
    (tmp_path / "f.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "f.parquet")
    text = "Mail,on_call,Ada,2023-01-15,,A; B\nMail,on_call,Béla,2022-01-15T10:00:00Z,2023-01-15,\n"
    (tmp_path / "f.csv").write_text(f"\ufeffsubject,relation,value,start,end,aliases\n{text}", encoding="utf-8")
    found = facts(tmp_path / "f.csv")
    assert found == facts(tmp_path / "f.jsonl") == facts(tmp_path / "f.parquet")
    assert [(fact.value, fact.aliases, fact.end is None) for fact in found] == [
        ("Ada", ("A", "B"), True), ("Béla", (), False)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"{HEADER}{GOOD}Mail,on_call,Bo,2023-13-01,\n", "line 3, field 'start': '2023-13-01' is no date"),
        (f"{HEADER}Mail,on_call,Ada,2023-01-15,soon\n", "line 2, field 'end': 'soon' is no date"),
        (f"{HEADER}Mail,on_call,Ada,2023-01-15,2022-01-01\n", "line 2, field 'end': is not later"),
        (f"{HEADER}Mail,king,Ada,2023-01-15,\n", "line 2, field 'relation': there is no relation 'king'"),
        (f"{HEADER},on_call,Ada,2023-01-15,\n", "line 2, field 'subject': is empty"),
        (f"{HEADER}Mail,on_call,Ada\n", "line 2: has not as many columns"),
        ("subject,relation,start\n", "line 1: the column 'value' is missing"),
        ("subject,relation,value,start,colour\nMail,on_call,Ada,2023-01-15,red\n", "line 2, field 'colour': is none"),
        (HEADER, "holds no fact"),
    ],
)  # fmt: skip
def test_a_wrong_row_is_told_with_line_and_column(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "facts.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(FrescoError) as error:
        facts(path)
    assert message in str(error.value) and str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_template_without_a_place_for_the_subject_is_one_line(relations: Path) -> None:
    with pytest.raises(FrescoError, match=r"on_call.toml: explicit needs .* \{subject\}"):
        read_relation("on_call", RELATION.replace("lead of {subject} now", "lead now"), str(relations / "on_call.toml"))
