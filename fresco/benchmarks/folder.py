"""Make a benchmark of our own three tables (their layout is in :mod:`fresco.benchmarks`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from fresco.benchmarks.pools import fingerprint, make_pool
from fresco.benchmarks.tables import Row, read_jsonl, read_parquet
from fresco.errors import FrescoError
from fresco.io.names import short
from fresco.records import Benchmark, Conflict, Kind, Label, Passage, Pool, Query, Task

#: The tables of a benchmark.
TABLES = ("corpus", "queries", "pools")

_Record = TypeVar("_Record", Passage, Query)
_Value = TypeVar("_Value", int, bool)

_READERS = {".parquet": read_parquet, ".jsonl": read_jsonl}


class Split(StrEnum):
    """The parts of a benchmark; a subject lies in one of them."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


def has_table(folder: Path, table: str) -> bool:
    """Whether the folder holds the table in either format."""
    return any((folder / f"{table}{suffix}").exists() for suffix in _READERS)


def read_table(folder: Path, table: str) -> list[Row]:
    """The rows of ``table.parquet`` or ``table.jsonl``.

    Raises:
        FrescoError: neither or both are there, or the one that is cannot be read.
    """
    found = [path for suffix in _READERS if (path := folder / f"{table}{suffix}").exists()]
    names = " or ".join(f"{table}{suffix}" for suffix in _READERS)
    if not found:
        raise FrescoError(f"{folder}: the table {table!r} is missing; {names} is expected")
    if len(found) > 1:
        raise FrescoError(f"{folder}: holds the table {table!r} twice, as {names}; remove one")
    return _READERS[found[0].suffix](found[0])


def read_benchmark(name: str, read: Callable[[str], list[Row]]) -> Benchmark:
    """Read and check the three tables.

    Args:
        name: Name of the benchmark.
        read: Gives the rows of a table by its name.

    Raises:
        FrescoError: a row is wrong; the message names its place and field.
    """
    corpus = read_unique(read("corpus"), _passage)
    query_rows = read("queries")
    queries = read_unique(query_rows, _query)
    splits = _splits(query_rows)
    pools = _pools(queries, query_rows, corpus, read("pools"))
    return Benchmark(name=name, pools=pools, fingerprint=fingerprint(pools), splits=splits)


def read_unique(rows: list[Row], make: Callable[[Row], _Record]) -> dict[str, _Record]:
    """Records by id, in the order of the rows.

    Raises:
        FrescoError: an id appears twice, or ``make`` refuses a row.
    """
    records: dict[str, _Record] = {}
    places: dict[str, str] = {}
    for row in rows:
        record = make(row)
        if record.id in places:
            raise row.error("_id", f"{short(record.id)} is taken already ({places[record.id]})")
        records[record.id] = record
        places[record.id] = row.place
    return records


def _passage(row: Row) -> Passage:
    return Passage(
        id=row.identifier("_id"),
        title=row.text("title", may_be_empty=True),
        section=row.text("section", may_be_empty=True),
        body=row.text("text"),
        timestamp=row.timestamp("timestamp"),
    )


def _query(row: Row) -> Query:
    query = Query(
        id=row.identifier("_id"),
        content=row.text("text"),
        timestamp=row.timestamp("timestamp"),
        task=row.choice("task", Task),
        kind=row.choice("kind", Kind),
        subject=row.text("subject"),
        relation=row.text("relation", may_be_empty=True),
        answer=row.text("answer", may_be_empty=True),
    )
    if (query.task is Task.NEK) != (query.kind is Kind.STATIC):
        raise row.error("kind", f"{query.kind!s} is not for {query.task!s}: EK is explicit or implicit, NEK is static")
    return query


def _splits(rows: list[Row]) -> dict[str, str]:
    if not any(row.fields.get("split") for row in rows):
        return {}
    splits: dict[str, str] = {}
    places: dict[str, str] = {}
    for row in rows:
        subject, split = row.text("subject"), row.choice("split", Split).value
        if splits.setdefault(subject, split) != split:
            raise row.error(
                "split",
                f"subject {short(subject)} is in {split!r} here and in {splits[subject]!r} at {places[subject]}",
            )
        places.setdefault(subject, row.place)
    return splits


def _pools(
    queries: Mapping[str, Query], query_rows: list[Row], corpus: Mapping[str, Passage], pool_rows: list[Row]
) -> tuple[Pool, ...]:
    candidates: dict[str, dict[str, Row]] = {}
    places: dict[tuple[str, str], str] = {}
    for row in pool_rows:
        query_id, passage_id = row.text("query-id"), row.text("corpus-id")
        if query_id not in queries:
            raise row.error("query-id", f"{short(query_id)} is no query")
        if passage_id not in corpus:
            raise row.error("corpus-id", f"{short(passage_id)} is no passage of the corpus")
        if (query_id, passage_id) in places:
            place = places[query_id, passage_id]
            raise row.error("corpus-id", f"{short(passage_id)} is in the pool of {short(query_id)} already ({place})")
        places[query_id, passage_id] = row.place
        candidates.setdefault(query_id, {})[passage_id] = row
    pools = []
    for query, query_row in zip(queries.values(), query_rows, strict=True):
        if query.id not in candidates:
            raise query_row.error("_id", f"the query {short(query.id)} has no pool")
        pools.append(_pool(query, candidates[query.id], corpus))
    return tuple(pools)


def _pool(query: Query, rows: Mapping[str, Row], corpus: Mapping[str, Passage]) -> Pool:
    labels = {passage_id: row.choice("label", Label) for passage_id, row in rows.items()}
    if Label.POSITIVE not in labels.values():
        first = next(iter(rows.values()))
        raise first.error("label", f"the pool of {short(query.id)} that starts here has no positive")
    return make_pool(
        query,
        ((corpus[passage_id], label) for passage_id, label in labels.items()),
        gains=_stated({own: _grade(row, labels[own]) for own, row in rows.items()}, rows, "grade"),
        conflicts={own: conflict for own, row in rows.items() if (conflict := _conflict(row, labels[own]))},
        superseded=_stated({own: row.optional_boolean("superseded") for own, row in rows.items()}, rows, "superseded"),
    )


def _grade(row: Row, label: Label) -> int | None:
    grade = row.optional_integer("grade")
    if grade is not None and (grade >= 1) != (label is Label.POSITIVE):
        raise row.error(
            "grade", f"is {grade} for a passage that is {label}; a positive has 1 or more, the others 0 or less"
        )
    return grade


def _conflict(row: Row, label: Label) -> Conflict | None:
    conflict = row.optional_choice("conflict", Conflict)
    if conflict and label is not Label.OUTDATED:
        raise row.error("conflict", f"is {conflict} for a passage that is {label}; only an outdated one has a conflict")
    return conflict


def _stated(values: Mapping[str, _Value | None], rows: Mapping[str, Row], field: str) -> dict[str, _Value]:
    """What is said of every candidate of a query, or nothing where it is said of none."""
    stated = {own: value for own, value in values.items() if value is not None}
    if stated and len(stated) < len(values):
        missing = next(own for own, value in values.items() if value is None)
        raise rows[missing].error(field, "is missing here, but other candidates of the query have it; give it for all")
    return stated
