"""Published collections as they are: what is forgiven and counted, and what is refused all the same."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fresco.benchmarks import open_benchmark
from fresco.errors import FrescoError
from fresco.records import Benchmark, parse_timestamp
from tests.benchmarks.conftest import jsonl

QRELS = "query-id\tcorpus-id\tscore\na\td2\t1\nb\td3\t2\nc\td1\t0\n"


def add(folder: Path, name: str, *rows: dict[str, Any]) -> None:
    with (folder / f"{name}.jsonl").open("a") as file:
        file.write(jsonl(list(rows)))


def judge(folder: Path, text: str) -> None:
    (folder / "qrels" / "test.tsv").write_text(text)


def twice(folder: Path, name: str) -> None:
    path = folder / f"{name}.jsonl"
    path.write_text(path.read_text() + path.read_text().splitlines(keepends=True)[0])


def renumber(folder: Path) -> None:
    (folder / "corpus.jsonl").write_text(jsonl([{"_id": n, "text": f"text {n}"} for n in range(4)]))
    (folder / "queries.jsonl").write_text(jsonl([{"_id": n, "text": f"query {n}"} for n in range(2)]))
    judge(folder, "0\t0\t1\n1\t3\t1\n")


FORGIVEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "passage judged, not there": (
        lambda folder: judge(folder, QRELS + "a\tgone\t1\n"),
        "judgements of passages that are not there, left out: 1 (first: test.tsv, line 5)",
    ),
    "query judged, not there": (
        lambda folder: judge(folder, QRELS + "gone\td1\t1\ngone\td2\t1\n"),
        "judgements of queries that are not there, left out: 2 (first: test.tsv, line 5)",
    ),
    "judged twice": (
        lambda folder: judge(folder, QRELS + "b\td3\t2\n"),
        "judgements that repeat another, left out: 1 (first: test.tsv, line 5)",
    ),
    "grades as decimals": (
        lambda folder: judge(folder, "a\td2\t1.0\nb\td3\t2.00\nc\td1\t0\n"),
        "grades written like 1.0, read as whole numbers: 2 (first: test.tsv, line 1)",
    ),
    "a passage without a word": (
        lambda folder: add(folder, "corpus", {"_id": "e", "title": "", "text": " "}, {"_id": "f", "text": None}),
        "passages with neither title nor text, left out: 2 (first: corpus.jsonl, line 5)",
    ),
    "text null beside a title": (
        lambda folder: add(folder, "corpus", {"_id": "e", "title": "T", "text": None}, {"_id": "f", "title": "T"}),
        "passages whose text is null or blank, read as their title: 2 (first: corpus.jsonl, line 5)",
    ),
    "a query without text": (
        lambda folder: add(folder, "queries", {"_id": "e", "text": None}),
        "queries without text, left out: 1 (first: queries.jsonl, line 4)",
    ),
    "a passage twice": (
        lambda folder: twice(folder, "corpus"),
        "rows that repeat another word for word, left out: 1 (first: corpus.jsonl, line 5)",
    ),
    "a query twice": (
        lambda folder: twice(folder, "queries"),
        "rows that repeat another word for word, left out: 1 (first: queries.jsonl, line 4)",
    ),
    "ids as numbers": (renumber, "ids written as numbers, read as text: 6 (first: corpus.jsonl, line 1)"),
    "a run that names a passage that is not there": (
        lambda folder: (folder / "candidates.trec").write_text("a Q0 gone 1 9 x\na Q0 d1 2 8 x\nb Q0 d1 1 9 x\n"),
        "candidates that are not in the corpus, left out: 1 (first: candidates.trec, line 1)",
    ),
    "a run without a judged query": (
        lambda folder: (folder / "candidates.trec").write_text("a Q0 d1 2 8 x\n"),
        "judged queries without candidates, left out: 1 (first: candidates.trec)",
    ),
}


@pytest.mark.parametrize("case", FORGIVEN)
def test_what_is_forgiven_is_told_in_one_note_and_refused_when_strict(case: str, beir: Path) -> None:
    spoil, told = FORGIVEN[case]
    spoil(beir)
    notes = [note for note in open_benchmark(str(beir)).notes if "tolerance" in note]
    assert notes == [f"read with tolerance, which --strict refuses: {told}"]
    with pytest.raises(FrescoError) as caught:
        open_benchmark(str(beir), strict=True)
    assert "\n" not in str(caught.value)


def test_what_is_forgiven_changes_no_score(beir: Path) -> None:
    """Rows that say nothing leave the same pools; several kinds stand in the one note."""
    before = open_benchmark(str(beir))
    assert not any("tolerance" in note for note in before.notes)
    for case in ("judged twice", "a passage without a word", "a passage twice", "a query without text"):
        FORGIVEN[case][0](beir)
    after = open_benchmark(str(beir))
    assert after.fingerprint == before.fingerprint
    (note,) = (note for note in after.notes if "tolerance" in note)
    assert note.count("(first: ") == 4


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda f: judge(f, QRELS + "b\td3\t1\n"), "'d3' is judged for 'b' already (line 3), as 2 and not as 1"),
        (lambda f: add(f, "corpus", {"_id": "d1", "text": "other"}), "'d1' is taken already"),
        (lambda f: add(f, "queries", {"_id": "a", "text": "other"}), "'a' is taken already"),
        (lambda f: judge(f, QRELS + "a\td1\t1_0\n"), "'a\\td1\\t1_0' is not 'query-id<tab>"),
        (lambda f: judge(f, QRELS + "a\td1\t\u0661\n"), "is not 'query-id<tab>"),
        (lambda f: judge(f, QRELS + "a\td1\t0.5\n"), "is not 'query-id<tab>"),
        (lambda f: judge(f, "a\td2\tyes\n"), "line 1: 'a\\td2\\tyes' is not"),
        (lambda f: judge(f, "x\ty\tz\nx\ty\tz\n"), "line 2: 'x\\ty\\tz' is not"),
        (lambda f: add(f, "corpus", {"_id": "e f", "text": "x"}), "'e f' holds white space"),
        (lambda f: add(f, "corpus", {"_id": "e", "text": ["x"]}), "field 'text': is list ['x'], not text"),
        (lambda f: add(f, "corpus", {"_id": "e", "title": ["x"], "text": "x"}), "field 'title': is list"),
        (lambda f: add(f, "corpus", {"_id": True, "text": "x"}), "field '_id': is bool True"),
        (lambda f: add(f, "corpus", {"_id": "e", "text": "x", "timestamp": "2024-02-30"}), "no date of the calendar"),
        (
            lambda f: (f / "candidates.trec").write_text("a Q0 d1 1 9 x\na Q0 d1 2 8 x\n"),
            "'d1' is a candidate of 'a' already",
        ),
    ],
)
def test_contradictions_and_nonsense_are_always_refused(
    spoil: Callable[[Path], object], problem: str, beir: Path
) -> None:
    spoil(beir)
    with pytest.raises(FrescoError) as caught:
        open_benchmark(str(beir))
    assert problem in str(caught.value)


def test_judgements_of_nothing_that_is_there(beir: Path) -> None:
    judge(beir, "a\tgone\t1\n")
    with pytest.raises(FrescoError, match=r"no query has a relevant passage .*judgements of passages .* left out: 1"):
        open_benchmark(str(beir))


@pytest.mark.parametrize(
    "text",
    [
        "a\t0\td2\t1\nb\t0\td3\t2\nc\t0\td1\t0\n",
        "a Q0 d2 1\nb Q0 d3 2\nc Q0 d1 0\n",
        "a d2 1\nb d3 2\nc d1 0\n",
        "query_id\tcorpus_id\tscore\na\td2\t1\nb\td3\t2\nc\td1\t0\n",
        "\ufeff" + QRELS.replace("\n", "\r\n"),
    ],
)
def test_forms_of_judgements(text: str, beir: Path) -> None:
    before = open_benchmark(str(beir))
    judge(beir, text)
    assert open_benchmark(str(beir)).pools == before.pools
    packed = beir / "qrels" / "test.tsv.gz"
    packed.write_bytes(gzip.compress((beir / "qrels" / "test.tsv").read_bytes()))
    (beir / "qrels" / "test.tsv").unlink()
    assert open_benchmark(str(beir)).pools == before.pools


def test_the_querys_own_document_is_no_candidate(beir: Path) -> None:
    """ArguAna and Quora: the query lies in the corpus under its own id, and would be ranked first."""
    add(beir, "corpus", {"_id": "a", "title": "", "text": "Which Canadian band made Counterparts?"})
    add(beir, "corpus", {"_id": "b", "text": "Cheese is made of what?"}, {"_id": "x", "text": "unasked"})
    judge(beir, "a\td2\t1\na\ta\t1\nb\td3\t1\n")
    benchmark = open_benchmark(str(beir))
    shown = {pool.query.id: {passage.id for passage in pool.passages} for pool in benchmark.pools}
    assert shown == {"a": {"b", "d1", "d2", "d3", "d4", "x"}, "b": {"a", "d1", "d2", "d3", "d4", "x"}}
    assert "2 queries lie in the corpus under their own id; they are no candidates" in benchmark.notes
    (beir / "candidates.trec").write_text("a Q0 a 1 9 x\na Q0 d1 2 8 x\nb Q0 d1 1 9 x\n")
    assert {p.id for p in open_benchmark(str(beir)).pools[0].passages} == {"d1", "d2"}


def test_numbers_that_count_queries_and_passages_are_not_one_thing(beir: Path) -> None:
    renumber(beir)
    first = open_benchmark(str(beir)).pools[0]
    assert {p.id for p in first.passages} == {"0", "1", "2", "3"}
    assert next(iter(first.labelled(first.labels[0].POSITIVE))).id == "0"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2024-01-02", "2024-01-02T00:00:00Z"),
        ("2024-01-02T03:04:05.678+01:00", "2024-01-02T02:04:05Z"),
        ("2024-01-02 03:04", "2024-01-02T03:04:00Z"),
    ],
)
def test_dates_as_iso_8601_writes_them(written: str, read: str, beir: Path) -> None:
    add(beir, "corpus", {"_id": "e", "text": "x", "metadata": {"timestamp": written}})
    (added,) = (passage for passage in open_benchmark(str(beir)).passages() if passage.id == "e")
    assert added.timestamp == parse_timestamp(read)
    with pytest.raises(FrescoError, match="no date of the form"):
        open_benchmark(str(beir), strict=True)


def as_mteb(beir: Path, folder: Path, judgements: str, *, jsonl_files: bool = False) -> Path:
    """The same collection in MTEB's layout."""
    rows = {name: [json.loads(line) for line in (beir / f"{name}.jsonl").open()] for name in ("corpus", "queries")}
    lines = [line.split("\t") for line in QRELS.splitlines()[1:]]
    rows[judgements] = [{"query-id": q, "corpus-id": d, "score": float(s)} for q, d, s in lines]
    for table, own in rows.items():
        (folder / table).mkdir(parents=True)
        renamed = own if table == judgements else [{"id": row.pop("_id"), **row} for row in own]
        if jsonl_files:
            (folder / table / "test.jsonl").write_text(jsonl(renamed))
        else:
            half = len(own) // 2
            for shard, part in enumerate((renamed[:half], renamed[half:])):
                pq.write_table(pa.Table.from_pylist(part), folder / table / f"test-{shard:05}-of-00002.parquet")
    return folder


def same(one: Benchmark, other: Benchmark) -> bool:
    return one.pools == other.pools


@pytest.mark.parametrize(("judgements", "lines"), [("qrels", True), ("data", False), ("default", False)])
def test_mtebs_layout(judgements: str, lines: bool, beir: Path, tmp_path: Path) -> None:
    folder = as_mteb(beir, tmp_path / "mteb", judgements, jsonl_files=lines)
    assert same(open_benchmark(str(folder)), open_benchmark(str(beir)))
    shutil.rmtree(folder / "queries")
    with pytest.raises(FrescoError, match="the table 'queries' is missing"):
        open_benchmark(str(folder))


def test_packed_tables_and_tables_that_are_there_twice(beir: Path) -> None:
    before = open_benchmark(str(beir))
    for name in ("corpus", "queries"):
        path = beir / f"{name}.jsonl"
        path.with_name(f"{name}.jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert same(open_benchmark(str(beir)), before)
    (beir / "corpus.jsonl").write_text("{}\n")
    with pytest.raises(FrescoError, match=r"holds the table 'corpus' twice, as corpus.jsonl and corpus.jsonl.gz"):
        open_benchmark(str(beir))


def cached(root: Path, dataset: str, folder: Path) -> None:
    """A dataset as the hub's client keeps it, so that a machine without network has it."""
    own = root / f"datasets--{dataset.replace('/', '--')}"
    shutil.copytree(folder, own / "snapshots" / ("a" * 40))
    (own / "refs").mkdir()
    (own / "refs" / "main").write_text("a" * 40)


def test_datasets_of_the_hub_in_both_layouts(beir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MTEB's repositories hold all tables; BeIR's keep the judgements in a second one."""
    before = open_benchmark(str(beir))
    cache = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    cached(cache, "mteb/small", as_mteb(beir, tmp_path / "mteb", "data"))
    judgements = tmp_path / "judgements"
    shutil.move(beir / "qrels", judgements)
    cached(cache, "BeIR/small", beir)
    cached(cache, "BeIR/small-qrels", judgements)
    assert same(open_benchmark("mteb/small"), before)
    assert same(open_benchmark("BeIR/small@test"), before)
    with pytest.raises(FrescoError, match="has no judgements 'dev'; there are: test"):
        open_benchmark("BeIR/small@dev")
    with pytest.raises(FrescoError, match="no judgements to choose from, or cannot be reached"):
        open_benchmark("mteb/nothing@dev")


def test_the_option(beir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from fresco.cli import main

    FORGIVEN["judged twice"][0](beir)
    command = ["score", "--benchmark", str(beir), "--reranker", "newest", "--no-baselines", "--resamples", "10"]
    command += ["--store", str(tmp_path / "store"), "--out", str(tmp_path / "out")]
    assert main(command) == 0
    assert "judgements that repeat another" in (tmp_path / "out" / "run.json").read_text()
    assert main([*command, "--strict"]) == 2
    assert capsys.readouterr().err.endswith("test.tsv, line 5: 'd3' is judged for 'b' already (line 3)\n")
