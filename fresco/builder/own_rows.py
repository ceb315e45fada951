"""Tables of the user's own, a fact or document a row: CSV, TSV, JSON Lines or Parquet; errors name the place."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from fresco.benchmarks.tables import Row, stream_jsonl
from fresco.builder.facts.dates import date_of
from fresco.errors import FrescoError
from fresco.io.parquet import read_parquet
from fresco.io.tables import LONGEST_CELL
from fresco.records import parse_timestamp

#: Ends of names of files that are read.
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def own_rows(path: Path, option: str, needed: Sequence[str]) -> list[Row]:
    """The rows of a file that fits into memory; see :func:`stream_rows`."""
    return list(stream_rows(path, option, needed))


def stream_rows(path: Path, option: str, needed: Sequence[str]) -> Iterator[Row]:
    """The rows of a file, one at a time.

    Args:
        path: The file.
        option: The option that named it, for messages.
        needed: Columns that must be there.

    Raises:
        FrescoError: there is no such file, it cannot be read, lacks a column or holds nothing.
    """
    if not path.is_file():
        raise FrescoError(f"{option} {path}: there is no such file")
    if path.suffix not in SUFFIXES:
        raise FrescoError(f"{option} {path}: is none of {', '.join(SUFFIXES)} by its name")
    rows: Iterator[Row]
    if path.suffix == ".parquet":
        rows = (Row(*row) for row in read_parquet(path))
    elif path.suffix == ".jsonl":
        rows = stream_jsonl(path)
    else:
        rows = _csv_rows(path, needed)
    is_empty = True
    for row in rows:
        is_empty = False
        yield row
    if is_empty:
        raise FrescoError(f"{path}: holds no {option.strip('-').removesuffix('s')}")


def _csv_rows(path: Path, needed: Sequence[str]) -> Iterator[Row]:
    csv.field_size_limit(LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
            for column in needed:
                if column not in (reader.fieldnames or ()):
                    raise FrescoError(f"{path}, line 1: the column {column!r} is missing")
            for fields in reader:
                if None in fields or None in fields.values():
                    raise FrescoError(f"{path}, line {reader.line_num}: has not as many columns as the first line")
                yield Row(f"{path}, line {reader.line_num}", fields)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FrescoError(f"{path}: cannot be read as CSV in UTF-8: {error}") from error


def time_of(row: Row, column: str) -> datetime:
    """The time in a column: a date, or a date and time, in UTC.

    Raises:
        FrescoError: it is none; the message names line and column.
    """
    value = row.fields.get(column)
    if isinstance(value, datetime):
        return row.timestamp(column)
    text = row.text(column)
    day = date_of(text) if "T" not in text else None
    if day is not None:
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    try:
        return parse_timestamp(text)
    except ValueError:
        raise row.error(column, f"{text!r} is no date; write YYYY-MM-DD or YYYY-MM-DDThh:mm:ssZ") from None
