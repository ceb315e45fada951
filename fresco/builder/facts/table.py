"""Facts of the user's own: the source ``table:FILE``, a CSV, JSON Lines or Parquet file with a fact in each row.

Columns: ``subject`` (title of a page), ``relation`` (key of a relation), ``value``, ``start`` (date, or date and time),
and optionally ``end`` (empty: it still holds), ``role`` and ``aliases`` (other names of the value: a list, or text with
semicolons between them).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from fresco.benchmarks.tables import Row, read_jsonl, read_parquet
from fresco.builder.facts import TABLE, Fact
from fresco.builder.facts.dates import date_of
from fresco.builder.facts.registry import FACT_SOURCES
from fresco.builder.templates import Relation
from fresco.errors import FrescoError
from fresco.io.files import digest
from fresco.records import parse_timestamp

#: Ends of names of files that ``--facts`` takes without ``table:``.
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
COLUMNS = ("subject", "relation", "value", "start", "end", "role", "aliases")
_NEEDED = COLUMNS[:4]


class Table:
    """The source ``table``.

    Args:
        path: The file.
        relations: Those of the build; facts of others are refused.
    """

    def __init__(self, path: Path, relations: Sequence[Relation]) -> None:
        self._path = path
        self._known = {relation.key for relation in relations}

    def facts(self) -> Iterator[Fact]:
        """See :class:`fresco.builder.facts.FactSource`.

        Raises:
            FrescoError: the file cannot be read, or a row is wrong; the message names line and column.
        """
        for row in _rows(self._path):
            yield self._fact(row)

    def _fact(self, row: Row) -> Fact:
        if wrong := set(row.fields) - set(COLUMNS):
            raise row.error(str(min(map(str, wrong))), f"is none of the columns {', '.join(COLUMNS)}")
        relation = row.text("relation")
        if relation not in self._known:
            raise row.error("relation", f"there is no relation {relation!r} in this build; --relations DIR adds some")
        start = _when(row, "start")
        end = _when(row, "end") if row.fields.get("end") else None
        if end is not None and end <= start:
            raise row.error("end", "is not later than start")
        return Fact(
            subject=row.text("subject"),
            relation=relation,
            role=str(row.fields.get("role") or ""),
            value=row.text("value"),
            start=start,
            end=end,
            source=TABLE,
            aliases=_aliases(row),
        )


def digests(spec: str) -> list[str]:
    """SHA-256 of the file that a spec names, so that other facts make a build anew; none where it names no file."""
    name, _, file = spec.partition(":")
    return [digest(Path(file))] if name == "table" and Path(file).is_file() else []


def _when(row: Row, column: str) -> datetime:
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


def _aliases(row: Row) -> tuple[str, ...]:
    value = row.fields.get("aliases") or ()
    names = value.split(";") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(each, str) for each in names):
        raise row.error("aliases", "is neither a list of names nor text with semicolons between them")
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


def _rows(path: Path) -> list[Row]:
    if not path.is_file():
        raise FrescoError(f"--facts {path}: there is no such file")
    if path.suffix == ".parquet":
        return read_parquet(path)
    if path.suffix == ".jsonl":
        return read_jsonl(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
            for column in _NEEDED:
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
        raise FrescoError(f"{path}: holds no fact")
    return found


@FACT_SOURCES.register("table:FILE", "facts of your own: CSV, JSON Lines or Parquet", example="facts.csv")
def _open(arguments: str, relations: Sequence[Relation]) -> Table:
    return Table(Path(arguments), relations)
