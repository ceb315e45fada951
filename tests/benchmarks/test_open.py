"""What opens, from where, and to what."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from fresco.benchmarks import open_benchmark
from fresco.benchmarks.folder import read_benchmark
from fresco.benchmarks.tables import read_hub
from fresco.errors import FrescoError
from fresco.records import Conflict, Kind, Label, Task, parse_timestamp
from tests.benchmarks.conftest import MakeFolder, Tables

CARD = """---
configs:
- config_name: corpus
  data_files: corpusSUFFIX
- config_name: queries
  data_files: queriesSUFFIX
- config_name: pools
  data_files: poolsSUFFIX
---
# A card
"""


def test_rows_become_records(tables: Tables, make_folder: MakeFolder) -> None:
    folder = make_folder(tables)
    benchmark = open_benchmark(str(folder))
    assert benchmark.name == str(folder)
    assert [pool.query.id for pool in benchmark.pools] == ["q0", "q1", "q2", "q3", "q4"]
    first = benchmark.pools[0]
    assert first.query.content == "Who leads club 0?"
    assert first.query.timestamp == datetime(2025, 8, 31, 23, 59, 59, tzinfo=UTC)
    assert (first.query.task, first.query.kind, first.query.subject) == (Task.EK, Kind.EXPLICIT, "Club 0")
    assert (first.query.relation, first.query.answer) == ("head coach", "Person 0")
    (positive,) = first.labelled(Label.POSITIVE)
    assert (positive.id, positive.title, positive.section) == ("p0", "Club 0", "Staff")
    assert positive.body == "Person 0 leads the club, «été»."
    assert positive.timestamp == datetime(2020, 1, 1, tzinfo=UTC)
    assert {passage.id: label for passage, label in zip(first.passages, first.labels, strict=True)} == {
        "p0": Label.POSITIVE,
        "p1": Label.OUTDATED,
        "p2": Label.INSUFFICIENT,
        "p3": Label.NEAR_TOPIC,
    }
    assert benchmark.splits == {}
    assert benchmark.notes == ()


def test_formats_places_and_row_order_share_a_fingerprint(tables: Tables, make_folder: MakeFolder) -> None:
    as_jsonl = open_benchmark(str(make_folder(tables, ".jsonl", "a")))
    as_parquet = open_benchmark(str(make_folder(tables, ".parquet", "b")))
    assert as_parquet.pools == as_jsonl.pools
    shuffler = random.Random(1)
    for rows in tables.values():
        shuffler.shuffle(rows)
    shuffled = open_benchmark(str(make_folder(tables, ".jsonl", "c")))
    assert as_jsonl.fingerprint == as_parquet.fingerprint == shuffled.fingerprint
    assert {pool.query.id: pool for pool in shuffled.pools} == {pool.query.id: pool for pool in as_jsonl.pools}


@pytest.mark.parametrize(
    ("table", "field", "value"),
    [
        ("corpus", "title", "Another"),
        ("corpus", "section", "Another"),
        ("corpus", "text", "Another"),
        ("corpus", "timestamp", "2020-01-01T00:00:01Z"),
        ("queries", "text", "Another"),
        ("queries", "timestamp", "2025-08-31T23:59:58Z"),
        ("queries", "kind", "implicit"),
        ("queries", "subject", "Another"),
        ("queries", "relation", "Another"),
        ("queries", "answer", "Another"),
        ("pools", "corpus-id", "p7"),
    ],
)
def test_any_content_changes_the_fingerprint(
    tables: Tables, make_folder: MakeFolder, table: str, field: str, value: str
) -> None:
    before = open_benchmark(str(make_folder(tables, name="before"))).fingerprint
    tables[table][0][field] = value
    assert open_benchmark(str(make_folder(tables, name="after"))).fingerprint != before


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_optional_columns_of_the_pools(suffix: str, tables: Tables, make_folder: MakeFolder) -> None:
    """Absent or empty they change nothing; filled in they stand in the pool, and in the fingerprint."""
    plain = open_benchmark(str(make_folder(tables, suffix, name="plain")))
    pool = plain.pools[0]
    assert (pool.gains, pool.conflicts, pool.superseded) == ((), (), ())
    for row in tables["pools"]:
        row.update(conflict="" if suffix == ".parquet" else None, superseded=None, grade=None)
    assert open_benchmark(str(make_folder(tables, suffix, name="empty"))).fingerprint == plain.fingerprint
    seen = {plain.fingerprint}
    kinds = [None, "history", None, None]
    for column, values in (("conflict", kinds), ("superseded", [False, True, True, False]), ("grade", [3, 0, -1, 0])):
        for row, value in zip(tables["pools"], values, strict=False):
            row[column] = value
        benchmark = open_benchmark(str(make_folder(tables, suffix, name=column)))
        assert benchmark.fingerprint not in seen
        seen.add(benchmark.fingerprint)
    pool = benchmark.pools[0]
    of = {p.id: i for i, p in enumerate(pool.passages)}
    assert [pool.conflicts[of[f"p{i}"]] for i in range(4)] == [None, Conflict.HISTORY, None, None]
    assert [pool.superseded[of[f"p{i}"]] for i in range(4)] == [False, True, True, False]
    assert [pool.gains[of[f"p{i}"]] for i in range(4)] == [3, 0, -1, 0]
    assert benchmark.pools[1].conflicts == ()


def test_a_label_changes_the_fingerprint_but_not_the_order(tables: Tables, make_folder: MakeFolder) -> None:
    before = open_benchmark(str(make_folder(tables, name="before")))
    tables["pools"][1]["label"], tables["pools"][0]["label"] = "positive", "outdated"
    after = open_benchmark(str(make_folder(tables, name="after")))
    assert after.fingerprint != before.fingerprint
    assert [pool.passages for pool in after.pools] == [pool.passages for pool in before.pools]


def test_the_positive_is_not_first_more_often_than_chance(make_folder: MakeFolder, tables: Tables) -> None:
    # The file lists every positive first; 200 pools of 4 would leave it there.
    query, passages = tables["queries"][0], tables["corpus"][:4]
    tables["queries"] = [{**query, "_id": f"q{number}"} for number in range(200)]
    tables["pools"] = [
        {"query-id": f"q{number}", "corpus-id": passage["_id"], "label": "near-topic" if place else "positive"}
        for number in range(200)
        for place, passage in enumerate(passages)
    ]
    benchmark = open_benchmark(str(make_folder(tables)))
    places = [pool.labels.index(Label.POSITIVE) for pool in benchmark.pools]
    assert all(30 <= places.count(place) <= 70 for place in range(4)), "50 of 200 are expected at each place"


def test_dates_in_a_date_column(tables: Tables, make_folder: MakeFolder) -> None:
    as_text = open_benchmark(str(make_folder(tables, ".parquet", "text")))
    for row in [*tables["corpus"], *tables["queries"]]:
        row["timestamp"] = parse_timestamp(row["timestamp"]).astimezone(timezone(timedelta(hours=9)))
    assert open_benchmark(str(make_folder(tables, ".parquet", "zoned"))).fingerprint == as_text.fingerprint
    for row in [*tables["corpus"], *tables["queries"]]:
        row["timestamp"] = row["timestamp"].astimezone(UTC).replace(tzinfo=None)
    assert open_benchmark(str(make_folder(tables, ".parquet", "naive"))).fingerprint == as_text.fingerprint


def test_crlf_a_byte_order_mark_and_blank_lines_are_fine(tables: Tables, make_folder: MakeFolder) -> None:
    plain = open_benchmark(str(make_folder(tables, name="plain")))
    windows = make_folder(tables, name="windows")
    for path in windows.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert open_benchmark(str(windows)).fingerprint == plain.fingerprint


def test_a_changed_parquet_file_is_read_anew_and_nothing_is_left(
    tables: Tables, make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    folder = make_folder(tables, ".parquet")
    before = open_benchmark(str(folder))
    stat = (folder / "corpus.parquet").stat()
    tables["corpus"][0]["text"] = tables["corpus"][0]["text"].replace("leads", "ledas")
    other = make_folder(tables, ".parquet", "other")
    (folder / "corpus.parquet").write_bytes((other / "corpus.parquet").read_bytes())
    os.utime(folder / "corpus.parquet", ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the sharpest case for a stale cache
    after = open_benchmark(str(folder))
    assert after.fingerprint != before.fingerprint
    assert {path.name for path in folder.iterdir()} == {"corpus.parquet", "queries.parquet", "pools.parquet"}
    assert list(scratch.iterdir()) == []


def test_datasets_says_nothing_and_keeps_its_settings(
    tables: Tables, make_folder: MakeFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    import datasets

    level, bars = datasets.logging.get_verbosity(), datasets.are_progress_bars_disabled()
    folder = make_folder(tables, ".parquet")
    open_benchmark(str(folder))
    (folder / "corpus.parquet").write_bytes((folder / "corpus.parquet").read_bytes()[:-30])
    with pytest.raises(FrescoError):
        open_benchmark(str(folder))
    assert capfd.readouterr() == ("", "")
    assert (datasets.logging.get_verbosity(), datasets.are_progress_bars_disabled()) == (level, bars)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_a_dataset_card_with_configurations(
    suffix: str, tables: Tables, make_folder: MakeFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The hub cannot be reached from a test; load_dataset takes a folder with a card through the same code.
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = make_folder(tables, suffix)
    (folder / "README.md").write_text(CARD.replace("SUFFIX", suffix))
    benchmark = read_benchmark("user/name", lambda table: read_hub(str(folder), table))
    assert benchmark.name == "user/name"
    assert benchmark.pools == open_benchmark(str(folder)).pools
    assert benchmark.fingerprint == open_benchmark(str(folder)).fingerprint
    tables["queries"][2]["task"] = "KE"
    wrong = make_folder(tables, suffix, "wrong")
    (wrong / "README.md").write_text(CARD.replace("SUFFIX", suffix))
    with pytest.raises(FrescoError, match=r"\(table queries\), row 3, field 'task': 'KE' is none of EK, NEK$"):
        read_benchmark("user/name", lambda table: read_hub(str(wrong), table))
    with pytest.raises(FrescoError, match=r"\(table qrels\): cannot be read \(ValueError: BuilderConfig 'qrels' not f"):
        read_hub(str(folder), "qrels")


def test_a_hub_dataset_out_of_reach_is_one_line_on_no_stream(tmp_path: Path) -> None:
    script = """
import json
from fresco.benchmarks import open_benchmark
from fresco.errors import FrescoError
try:
    open_benchmark("nobody/nothing")
except FrescoError as error:
    print(json.dumps(str(error)))
"""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    message = json.loads(done.stdout)
    assert message.startswith("nobody/nothing (table corpus): cannot be read (")
    assert "\n" not in message
    assert done.stderr == ""


@pytest.mark.parametrize("source", ["maxi", "no/such/folder", "./maxi", "two\nlines", "data/mni"])
def test_an_unknown_source_says_what_is_accepted(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(FrescoError) as caught:
        open_benchmark(source)
    assert str(caught.value) == (
        f"there is no benchmark {source!r}: give the name of an embedded one (mini), the path of a benchmark or BEIR "
        "folder that exists, the id of a Hugging Face dataset (user/name), or module:function"
    )


def test_the_core_does_not_import_datasets_early(tables: Tables, make_folder: MakeFolder) -> None:
    script = """
import sys
from fresco.benchmarks import open_benchmark
open_benchmark(sys.argv[1])
heavy = {"datasets", "torch", "transformers", "pyarrow", "pandas", "rank_bm25"} & sys.modules.keys()
assert not heavy, heavy
"""
    folder = make_folder(tables)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
