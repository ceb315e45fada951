"""What published collections are forgiven: the one place that decides it, row by row.

Collections that everybody measures on hold rows that a strict reader refuses: ArguAna judges a document that is not
there, MIRACL says one judgement twice, FiQA has passages without a word, exports write ids as numbers and grades as
``1.0``. One such row must not cost the set. So:

- what can only mean one thing is read as that (a number as an id, a title as the text that is missing);
- a row that says nothing is left out (a judgement of a passage that is not there, a row that repeats another);
- both are counted, and one note tells them; with ``strict`` they are refused instead;
- what contradicts itself (two texts for one id, two grades for one pair) or cannot be read is refused always.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from fresco.benchmarks.tables import Row
from fresco.errors import FrescoError
from fresco.io.names import short
from fresco.records import Kind, Passage, Query, Task

#: Random dates lie between these two, both included. The later is the paper's reference date.
FIRST_DATE = datetime(2018, 1, 1, tzinfo=UTC)
LAST_DATE = datetime(2025, 8, 31, 23, 59, 59, tzinfo=UTC)

_SPAN = int((LAST_DATE - FIRST_DATE).total_seconds()) + 1
#: Names of the column with the id: BEIR's and MTEB's.
_IDS = ("_id", "id")
#: A date, or a date and a time, as ISO 8601 writes them; without a zone it is UTC.
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:?\d\d)?)?", re.ASCII)
_GRADE = re.compile(r"[+-]?[0-9]{1,9}")
_WHOLE = re.compile(r"([+-]?[0-9]{1,9})\.0+")
_LARGEST = 10**9

_Record = TypeVar("_Record", Passage, Query)


class Tolerance:
    """Counts what was forgiven.

    Args:
        strict: Refuse it instead.
    """

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def forgive(self, what: str, place: str, refusal: str) -> None:
        """Forgive one row.

        Args:
            what: All such rows, as the note names them: "judgements of passages that are not there, left out".
            place: File and line.
            refusal: What a strict reader says of it, with the place.

        Raises:
            FrescoError: ``refusal``, where the reader is strict.
        """
        if self.strict:
            raise FrescoError(refusal)
        self._counts[what] += 1
        self._first.setdefault(what, Path(place).name)

    def notes(self) -> list[str]:
        """The one note, or none where nothing was forgiven."""
        if not self._counts:
            return []
        told = "; ".join(f"{what}: {count:,} (first: {self._first[what]})" for what, count in self._counts.items())
        return [f"read with tolerance, which --strict refuses: {told}"]


class RowReader:
    """Makes passages and queries of published rows.

    Args:
        tolerance: Decides about rows that are not as they should be.
        seed: Of the dates of rows that have none.

    Attributes:
        undated: How many passages and queries got a random date.
    """

    def __init__(self, tolerance: Tolerance, seed: int) -> None:
        self.tolerance, self.seed = tolerance, seed
        self.undated: Counter[type] = Counter()

    def passages(self, rows: Iterable[Row]) -> dict[str, Passage]:
        """Passages by id."""
        return self._unique(rows, self._passage)

    def queries(self, rows: Iterable[Row]) -> dict[str, Query]:
        """Queries by id, every one NEK and static, its own subject."""
        return self._unique(rows, self._query)

    def _unique(self, rows: Iterable[Row], make: Callable[[Row], _Record | None]) -> dict[str, _Record]:
        records: dict[str, _Record] = {}
        places: dict[str, str] = {}
        for row in rows:
            record = make(row)
            if record is None:
                continue
            if record.id in places:
                refusal = str(row.error("_id", f"{short(record.id)} is taken already ({places[record.id]})"))
                if records[record.id] != record:
                    raise FrescoError(f"{refusal}, and the two rows differ")
                self.tolerance.forgive("rows that repeat another word for word, left out", row.place, refusal)
                continue
            records[record.id] = record
            places[record.id] = row.place
            self.undated[type(record)] += _own_date(row, self.tolerance) is None
        return records

    def _passage(self, row: Row) -> Passage | None:
        passage_id = self._identifier(row)
        title = row.text("title", may_be_empty=True) if row.fields.get("title") is not None else ""
        text = row.fields.get("text")
        body = row.text("text") if not _is_blank(text) else ""
        problem = "is missing" if "text" not in row.fields else "is null" if text is None else "is empty"
        if not body and not title.strip():
            self.tolerance.forgive(
                "passages with neither title nor text, left out", row.place, str(row.error("text", problem))
            )
            return None
        if not body and text != "":  # "" beside a title is BEIR's own way: thousands of them in TREC-COVID
            self.tolerance.forgive(
                "passages whose text is null or blank, read as their title",
                row.place,
                str(row.error("text", problem)),
            )
        date = _own_date(row, self.tolerance) or _random_date("passage", passage_id, self.seed)
        return Passage(passage_id, title if body else "", "", body or title, date)

    def _query(self, row: Row) -> Query | None:
        query_id = self._identifier(row)
        if _is_blank(row.fields.get("text")):
            problem = "is empty" if row.fields.get("text") else "is missing or empty"
            self.tolerance.forgive("queries without text, left out", row.place, str(row.error("text", problem)))
            return None
        return Query(
            id=query_id,
            content=row.text("text"),
            timestamp=_own_date(row, self.tolerance) or _random_date("query", query_id, self.seed),
            task=Task.NEK,
            kind=Kind.STATIC,
            subject=query_id,
        )

    def _identifier(self, row: Row) -> str:
        field = next((name for name in _IDS if row.fields.get(name) is not None), _IDS[0])
        return identifier(row, field, self.tolerance)


def identifier(row: Row, field: str, tolerance: Tolerance) -> str:
    """An id, also where it is written as a whole number."""
    value = row.fields.get(field)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**30:
        refusal = row.error(field, f"is int {short(value)}, not text; write it as a string")
        tolerance.forgive("ids written as numbers, read as text", row.place, str(refusal))
        return str(value)
    return row.identifier(field)


def grade(value: object, place: str, tolerance: Tolerance) -> int | None:
    """A grade: ``1``, also as ``1.0``; None where it is none (``0.5``, ``1_0``, digits of another script)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < _LARGEST else None
    if isinstance(value, float):
        value = f"{value:.1f}" if value.is_integer() else repr(value)
    if not isinstance(value, str):
        return None
    if _GRADE.fullmatch(value):
        return int(value)
    if whole := _WHOLE.fullmatch(value):
        tolerance.forgive(
            "grades written like 1.0, read as whole numbers", place, f"{place}: the grade {value} is no whole number"
        )
        return int(whole[1])
    return None


def _is_blank(text: object) -> bool:
    return text is None or (isinstance(text, str) and not text.strip())


def _own_date(row: Row, tolerance: Tolerance) -> datetime | None:
    metadata = row.fields.get("metadata")
    for fields in (row.fields, metadata if isinstance(metadata, dict) else {}):
        if (value := fields.get("timestamp")) is None:
            continue
        own = Row(row.place, fields)
        if tolerance.strict or not isinstance(value, str) or not _ISO.fullmatch(value):
            return own.timestamp("timestamp")
        try:
            date = datetime.fromisoformat(value)
            return (date if date.tzinfo else date.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)
        except (ValueError, OverflowError):
            raise own.error("timestamp", f"{short(value)} is no date of the calendar") from None
    return None


def _random_date(kind: str, own_id: str, seed: int) -> datetime:
    digest = hashlib.sha256(f"{seed}:{kind}:{own_id}".encode()).digest()
    return FIRST_DATE + timedelta(seconds=int.from_bytes(digest[:8]) % _SPAN)
