"""Tables of the user's own, a fact or document a row: CSV, TSV, JSON Lines or Parquet; errors name the place."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from fresco.benchmarks.tables import Row, read_jsonl, read_parquet
from fresco.builder.facts.dates import date_of
from fresco.errors import FrescoError
from fresco.io.tables import LONGEST_CELL
from fresco.records import parse_timestamp

#: Ends of names of files that are read.
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def own_rows(path: Path, option: str, needed: Sequence[str]) -> list[Row]:
    """The rows of a file.

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
    if path.suffix == ".parquet":
        return read_parquet(path)
    if path.suffix == ".jsonl":
        return read_jsonl(path)
    csv.field_size_limit(LONGEST_CELL)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
            for column in needed:
                if column not in (reader.fieldnames or ()):
                    raise FrescoError(f"{path}, line 1: the column {column!r} is missing")
            found = []
            for fields in reader:
                if None in fields or None in fields.values():
                    raise FrescoError(f"{path}, line {reader.line_num}: has not as many columns as the first line")
                found.append(Row(f"{path}, line {reader.line_num}", fields))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FrescoError(f"{path}: cannot be read as CSV in UTF-8: {error}") from error
    if not found:
        raise FrescoError(f"{path}: holds no {option.strip('-').removesuffix('s')}")
    return found


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
