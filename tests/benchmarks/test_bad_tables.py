"""Every wrong row, file and folder ends in one line that says where and what."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fresco.benchmarks import open_benchmark
from fresco.errors import FrescoError
from tests.benchmarks.conftest import MakeFolder, Tables

Change = Callable[[Tables], object]


def message(folder: Path) -> str:
    with pytest.raises(FrescoError) as caught:
        open_benchmark(str(folder))
    text = str(caught.value)
    assert "\n" not in text
    return text


def put(table: str, row: int, field: str, value: Any) -> Change:
    return lambda tables: tables[table][row].__setitem__(field, value)


def put_optional(row: int, field: str, value: Any) -> Change:
    """In a column that is empty elsewhere."""
    return lambda tables: [own.update({field: value if i == row else None}) for i, own in enumerate(tables["pools"])]


def drop(table: str, row: int, field: str) -> Change:
    return lambda tables: tables[table][row].pop(field)


# {place} is "corpus.jsonl, line 3" or "corpus.parquet, row 3".
ROWS: dict[str, tuple[Change, str, int, str]] = {
    "bad date": (
        put("corpus", 2, "timestamp", "2020-1-1"),
        "corpus",
        3,
        "field 'timestamp': '2020-1-1' is no date of the form YYYY-MM-DDThh:mm:ssZ",
    ),
    "no day of the calendar": (
        put("queries", 1, "timestamp", "2023-02-30T00:00:00Z"),
        "queries",
        2,
        "field 'timestamp': '2023-02-30T00:00:00Z' is no date of the form YYYY-MM-DDThh:mm:ssZ",
    ),
    "unknown conflict": (
        put_optional(1, "conflict", "older"),
        "pools",
        2,
        "field 'conflict': 'older' is none of version, history, cross-document, announced",
    ),
    "conflict of a positive": (
        put_optional(0, "conflict", "version"),
        "pools",
        1,
        "field 'conflict': is version for a passage that is positive; only an outdated one has a conflict",
    ),
    "superseded for some": (
        put_optional(5, "superseded", True),
        "pools",
        5,
        "field 'superseded': is missing here, but other candidates of the query have it; give it for all",
    ),
    "unknown task": (put("queries", 3, "task", "ek"), "queries", 4, "field 'task': 'ek' is none of EK, NEK"),
    "unknown kind": (
        put("queries", 0, "kind", "vague"),
        "queries",
        1,
        "field 'kind': 'vague' is none of explicit, implicit, static",
    ),
    "kind of the other task": (
        put("queries", 0, "kind", "static"),
        "queries",
        1,
        "field 'kind': static is not for EK: EK is explicit or implicit, NEK is static",
    ),
    "unknown label": (
        put("pools", 5, "label", "stale"),
        "pools",
        6,
        "field 'label': 'stale' is none of positive, outdated, insufficient, near-topic",
    ),
    "no positive": (
        put("pools", 4, "label", "outdated"),
        "pools",
        5,
        "field 'label': the pool of 'q1' that starts here has no positive",
    ),
    "passage id twice": (
        put("corpus", 4, "_id", "p1"),
        "corpus",
        5,
        "field '_id': 'p1' is taken already ({folder}/corpus{suffix}, {unit} 2)",
    ),
    "query id twice": (
        put("queries", 4, "_id", "q1"),
        "queries",
        5,
        "field '_id': 'q1' is taken already ({folder}/queries{suffix}, {unit} 2)",
    ),
    "candidate twice": (
        put("pools", 3, "corpus-id", "p0"),
        "pools",
        4,
        "field 'corpus-id': 'p0' is in the pool of 'q0' already ({folder}/pools{suffix}, {unit} 1)",
    ),
    "unknown passage": (
        put("pools", 3, "corpus-id", "p99"),
        "pools",
        4,
        "field 'corpus-id': 'p99' is no passage of the corpus",
    ),
    "unknown query": (put("pools", 3, "query-id", "q99"), "pools", 4, "field 'query-id': 'q99' is no query"),
    "query without pool": (
        lambda tables: tables["queries"].insert(2, {**tables["queries"][0], "_id": "lonely"}),
        "queries",
        3,
        "field '_id': the query 'lonely' has no pool",
    ),
    "empty passage": (put("corpus", 6, "text", " \n"), "corpus", 7, "field 'text': is empty"),
    "empty query": (put("queries", 2, "text", ""), "queries", 3, "field 'text': is empty"),
    "empty subject": (put("queries", 2, "subject", ""), "queries", 3, "field 'subject': is empty"),
    "white space in an id": (
        put("corpus", 1, "_id", "p 1"),
        "corpus",
        2,
        "field '_id': 'p 1' holds white space, which no id in a TREC file can",
    ),
    "null": (put("corpus", 1, "section", None), "corpus", 2, "field 'section': is null"),
}


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("case", ROWS)
def test_wrong_rows(case: str, suffix: str, tables: Tables, make_folder: MakeFolder) -> None:
    change, table, number, problem = ROWS[case]
    change(tables)
    folder = make_folder(tables, suffix)
    unit = "line" if suffix == ".jsonl" else "row"
    problem = problem.format(folder=folder, suffix=suffix, unit=unit)
    assert message(folder) == f"{folder}/{table}{suffix}, {unit} {number}, {problem}"


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("table", "field"),
    [
        *(("corpus", field) for field in ("_id", "title", "section", "text", "timestamp")),
        *(
            ("queries", field)
            for field in ("_id", "text", "timestamp", "task", "kind", "subject", "relation", "answer")
        ),
        *(("pools", field) for field in ("query-id", "corpus-id", "label")),
    ],
)
def test_missing_columns(table: str, field: str, suffix: str, tables: Tables, make_folder: MakeFolder) -> None:
    for row in tables[table]:
        del row[field]
    folder = make_folder(tables, suffix)
    unit = "line" if suffix == ".jsonl" else "row"
    assert message(folder) == f"{folder}/{table}{suffix}, {unit} 1, field {field!r}: is missing"


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize(
    ("values", "said"), [([1, 2], "int 1"), ([True, False], "bool True"), ([["a"], ["b"]], "list ['a']")]
)
def test_values_that_are_no_text(
    values: list[Any], said: str, suffix: str, tables: Tables, make_folder: MakeFolder
) -> None:
    for row, value in zip(tables["corpus"], values * 4, strict=True):
        row["title"] = value
    folder = make_folder(tables, suffix)
    place = f"{folder}/corpus{suffix}, {'line' if suffix == '.jsonl' else 'row'} 1"
    assert message(folder) == f"{place}, field 'title': is {said}, not text; write it as a string"


def spoil(path: Path, number: int, line: bytes) -> None:
    lines = path.read_bytes().split(b"\n")
    lines[number - 1] = line
    path.write_bytes(b"\n".join(lines))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"_id": "p2", "text": "caf\xe9"}', "byte 27 (0xe9) is not UTF-8; save the file as UTF-8"),
        (b'{"_id": "p2", "text": ', "is not JSON: Expecting value at character 23"),
        (b'["p2"]', "is not a JSON object but ['p2']"),
        (b"9" * 5000, "is not JSON: ValueError: Exceeds the limit"),
        (b"[" * 100_000, "is not JSON: RecursionError: maximum recursion depth exceeded"),
        (b'{"_id": "\\ud800"}', "field '_id': holds half a surrogate pair at character 1"),
    ],
)
def test_wrong_lines(line: bytes, problem: str, tables: Tables, make_folder: MakeFolder) -> None:
    folder = make_folder(tables)
    path = folder / "corpus.jsonl"
    # Blank lines count: the number is the one an editor shows.
    path.write_bytes(b"\n\n" + path.read_bytes())
    spoil(path, 4, line)
    text = message(folder)
    assert text.startswith(f"{path}, line 4")
    assert problem in text


def test_parquet_that_is_not_utf8(tables: Tables, make_folder: MakeFolder) -> None:
    folder = make_folder(tables, ".parquet")
    path = folder / "corpus.parquet"
    table = pq.read_table(path)
    texts = [text.encode() for text in table["text"].to_pylist()]
    texts[3] = b"caf\xe9 au lait"
    raw = pa.array(texts, pa.binary())
    forged = pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())
    pq.write_table(table.set_column(table.column_names.index("text"), "text", forged), path)
    assert message(folder) == f"{path}, row 4, field 'text': byte 4 is not UTF-8"


@pytest.mark.parametrize("keep", [0, 3, 500, -1])
def test_truncated_parquet(keep: int, tables: Tables, make_folder: MakeFolder) -> None:
    folder = make_folder(tables, ".parquet")
    path = folder / "pools.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    assert message(folder).startswith(f"{path}: cannot be read as Parquet after row 0: Parquet ")


def test_damaged_parquet(tables: Tables, make_folder: MakeFolder) -> None:
    folder = make_folder(tables, ".parquet")
    path = folder / "corpus.parquet"
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)
    path.write_bytes(content)
    assert message(folder).startswith(f"{path}: cannot be read as Parquet after row 0: ")


@pytest.mark.parametrize("table", ["corpus", "queries", "pools"])
def test_missing_double_and_empty_tables(table: str, tables: Tables, make_folder: MakeFolder) -> None:
    folder = make_folder(tables, ".parquet", "missing")
    (folder / f"{table}.parquet").unlink()
    assert message(folder) == f"{folder}: the table {table!r} is missing; {table}.parquet or {table}.jsonl is expected"
    folder = make_folder(tables, ".parquet", "double")
    (folder / f"{table}.jsonl").write_text("{}")
    assert (
        message(folder) == f"{folder}: holds the table {table!r} twice, as {table}.parquet or {table}.jsonl; remove one"
    )
    folder = make_folder(tables, ".jsonl", "empty-jsonl")
    (folder / f"{table}.jsonl").write_text("\n")
    assert message(folder) == f"{folder}/{table}.jsonl: the table has no rows"
    folder = make_folder(tables, ".parquet", "empty-parquet")
    path = folder / f"{table}.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    assert message(folder) == f"{path}: the table has no rows"


def test_folders_that_are_neither(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing here")
    assert message(tmp_path) == (
        f"{tmp_path} is neither a benchmark (tables corpus, queries and pools, each .parquet or .jsonl) nor a BEIR or "
        "MTEB folder (corpus.jsonl, queries.jsonl, qrels/*.tsv)"
    )
    assert message(tmp_path / "README.md") == (
        f"{tmp_path}/README.md is a file; a benchmark is a folder, so give the folder that holds it"
    )


def test_a_table_that_is_a_folder(tables: Tables, make_folder: MakeFolder) -> None:
    folder = make_folder(tables)
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl").mkdir()
    assert message(folder) == f"{folder}/corpus.jsonl: cannot be read: Is a directory"


def test_splits_of_the_data_are_checked(tables: Tables, make_folder: MakeFolder) -> None:
    def with_splits(name: str, *splits: str | None) -> Path:
        for row, split in zip(tables["queries"], splits, strict=True):
            row["split"] = split
        return make_folder(tables, name=name)

    good = with_splits("good", "train", "train", "test", "test", "validation")
    assert open_benchmark(str(good)).splits == {"Club 0": "train", "Club 1": "test", "Town": "validation"}
    assert open_benchmark(str(with_splits("none", *[None] * 5))).splits == {}
    assert open_benchmark(str(with_splits("blank", *[""] * 5))).splits == {}
    torn = with_splits("torn", "train", "test", "test", "test", "validation")
    assert message(torn) == (
        f"{torn}/queries.jsonl, line 2, field 'split': subject 'Club 0' is in 'test' here and in 'train' at "
        f"{torn}/queries.jsonl, line 1"
    )
    partly = with_splits("partly", "train", "train", None, "test", "validation")
    assert message(partly) == f"{partly}/queries.jsonl, line 3, field 'split': is null"
    wrong = with_splits("wrong", "train", "train", "dev", "dev", "validation")
    assert message(wrong).endswith("line 3, field 'split': 'dev' is none of train, validation, test")


def test_long_values_are_shortened(tables: Tables, make_folder: MakeFolder) -> None:
    tables["queries"][0]["task"] = "line\n" * 1000
    folder = make_folder(tables)
    assert len(message(folder)) < len(str(folder)) + 200
    json.dumps(message(folder)).index("...")
