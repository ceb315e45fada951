"""Dated documents without revisions, such as a news archive or an export of tickets, as a source of revisions.

Each document is a page with one revision. The history of a subject, which is no page of its own, is made of all the
documents that name it: what one of them states, a later one may contradict.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha1
from pathlib import Path
from types import TracebackType
from typing import Self

from fresco.benchmarks.tables import Row
from fresco.builder.facts.values import fold
from fresco.builder.markup import MARKUPS
from fresco.builder.own_rows import own_rows, time_of
from fresco.builder.queries import spoken
from fresco.builder.revisions import Revision, span
from fresco.builder.statements import name_pattern
from fresco.builder.wikipedia.report import Reason, Report
from fresco.io.files import digest

COLUMNS = ("id", "title", "text", "date", "markup")
_NEEDED = ("id", "text", "date")
_WORD = re.compile(r"\w+")


class DocumentSource:
    """A :class:`~fresco.builder.revisions.RevisionSource` over a file of documents, which it keeps in memory.

    Columns: ``id``, ``text``, ``date``, and optionally ``title`` (the id where it is empty) and ``markup`` (``plain``
    where it is empty). Documents of one title are told apart by their ids.

    Args:
        path: CSV, TSV, JSON Lines or Parquet.
        report: Where subjects that no document names are noted; a new one by default.

    Attributes:
        words: Name and content: what tells builds from other documents apart.
        report: See above.

    Raises:
        FrescoError: the file cannot be read, or a row is wrong; the message names line and column.
    """

    def __init__(self, path: Path, *, report: Report | None = None) -> None:
        self.report = report if report is not None else Report()
        rows = own_rows(path, "--documents", _NEEDED)
        self.words = f"documents {path.name}, {digest(path)[:15]}"
        self._texts: list[str] = []
        self._revisions: list[Revision] = []
        for number, row in enumerate(rows):
            self._add(number, row)
        _check_ids(rows)
        self._name_apart([row.text("id") for row in rows])
        self._by_title = {each.title: each for each in self._revisions}
        self._by_sha1 = {each.sha1: each for each in self._revisions}
        self._naming: dict[str, set[int]] = defaultdict(set)
        for number, (revision, text) in enumerate(zip(self._revisions, self._texts, strict=True)):
            for word in set(_WORD.findall(fold(f"{revision.title} {text}"))):
                self._naming[word].add(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return None

    def _add(self, number: int, row: Row) -> None:
        if wrong := set(row.fields) - set(COLUMNS):
            raise row.error(str(min(map(str, wrong))), f"is none of the columns {', '.join(COLUMNS)}")
        markup = str(row.fields.get("markup") or "plain")
        if markup not in MARKUPS.values():
            raise row.error("markup", f"{markup!r} is none of {', '.join(sorted(set(MARKUPS.values())))}")
        text = row.text("text").replace("\r\n", "\n")
        title = " ".join(str(row.fields.get("title") or row.text("id")).split())
        hashed = sha1(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()
        self._texts.append(text)
        self._revisions.append(Revision(title, number + 1, number + 1, time_of(row, "date"), hashed, markup))

    def _name_apart(self, ids: Sequence[str]) -> None:
        count = Counter(each.title for each in self._revisions)
        for number, (revision, own) in enumerate(zip(self._revisions, ids, strict=True)):
            if count[revision.title] > 1:
                self._revisions[number] = replace(revision, title=f"{revision.title} ({own})")

    def titles(self) -> Iterator[str]:
        """Every document, sorted."""
        yield from sorted(self._by_title)

    def history(
        self, title: str, start: datetime | None = None, end: datetime | None = None, *, standing: bool = False
    ) -> Sequence[Revision]:
        """The document of that title, or else the documents that name it, dated in ``[start, end)``, oldest first."""
        own = self._by_title.get(title)
        found = [own] if own is not None else [self._revisions[number] for number in self._naming_all(title)]
        if not found:
            self.report.add(title, None, Reason.MISSING, "no document names it")
        found.sort(key=lambda each: (each.timestamp, each.title))
        return found[span(found, start, end, standing=standing)]

    def _naming_all(self, name: str) -> list[int]:
        words = _WORD.findall(fold(spoken(name)))
        if not words:
            return []
        numbers = set.intersection(*(self._naming.get(word, set()) for word in words))
        pattern = name_pattern((spoken(name),))
        return [
            each
            for each in sorted(numbers)
            if pattern.search(fold(self._revisions[each].title)) or pattern.search(fold(self._texts[each]))
        ]

    def texts(self, revisions: Sequence[Revision]) -> Iterator[tuple[Revision, str]]:
        """The text of each document, found by its title or by its SHA-1, in the order asked."""
        for revision in revisions:
            own = self._by_title.get(revision.title)
            if own is None or own.sha1 != revision.sha1:
                own = self._by_sha1.get(revision.sha1)
            if own is None:
                self.report.add(revision.title, revision.revision_id, Reason.ABSENT)
                continue
            yield revision, self._texts[own.page_id - 1]

    def resolve(self, titles: Collection[str]) -> Mapping[str, str]:
        """Itself: documents have no redirects."""
        return {title: title for title in titles}


def _check_ids(rows: Sequence[Row]) -> None:
    seen: dict[str, str] = {}
    for row in rows:
        own = row.text("id")
        if own in seen:
            raise row.error("id", f"{own!r} is the id of {seen[own]}, too")
        seen[own] = row.place
