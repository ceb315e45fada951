"""Facts of the user's own: the source ``table:FILE``, a CSV, JSON Lines or Parquet file with a fact in each row.

Columns: ``subject`` (title of a page), ``relation`` (key of a relation), ``value``, ``start`` (date, or date and time),
and optionally ``end`` (empty: it still holds), ``role`` and ``aliases`` (other names of the value: a list, or text with
semicolons between them).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from fresco.benchmarks.tables import Row
from fresco.builder.facts import TABLE, Fact
from fresco.builder.facts.registry import FACT_SOURCES
from fresco.builder.own_rows import own_rows, time_of
from fresco.builder.templates import Relation
from fresco.io.files import digest

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
        for row in own_rows(self._path, "--facts", _NEEDED):
            yield self._fact(row)

    def _fact(self, row: Row) -> Fact:
        if wrong := set(row.fields) - set(COLUMNS):
            raise row.error(str(min(map(str, wrong))), f"is none of the columns {', '.join(COLUMNS)}")
        relation = row.text("relation")
        if relation not in self._known:
            raise row.error("relation", f"there is no relation {relation!r} in this build; --relations DIR adds some")
        start = time_of(row, "start")
        end = time_of(row, "end") if row.fields.get("end") else None
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


def _aliases(row: Row) -> tuple[str, ...]:
    value = row.fields.get("aliases") or ()
    names = value.split(";") if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(each, str) for each in names):
        raise row.error("aliases", "is neither a list of names nor text with semicolons between them")
    return tuple(dict.fromkeys(name.strip() for name in names if name.strip()))


@FACT_SOURCES.register("table:FILE", "facts of your own: CSV, JSON Lines or Parquet", example="facts.csv")
def _open(arguments: str, relations: Sequence[Relation]) -> Table:
    return Table(Path(arguments), relations)
