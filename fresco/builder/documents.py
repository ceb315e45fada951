"""Dated documents without revisions, such as a news archive or an export of tickets, as a source of revisions.

Each document is a page with one revision. The history of a subject, which is no page of its own, is made of all the
documents that name it: what one of them states, a later one may contradict.

The file is read several times and never held: once to check it, and once for each set of subjects that is asked for
together. Who is who lies in a temporary database, with the texts of such documents only as name a subject that was
asked for or were asked for themselves.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha1
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fresco.benchmarks.tables import Row
from fresco.builder.facts.values import fold
from fresco.builder.markup import MARKUPS
from fresco.builder.own_rows import stream_rows, time_of
from fresco.builder.queries import spoken
from fresco.builder.revisions import Revision, span
from fresco.builder.statements import name_pattern
from fresco.builder.wikipedia.database import Database
from fresco.builder.wikipedia.report import Reason, Report
from fresco.errors import FrescoError
from fresco.io.files import digest

COLUMNS = ("id", "title", "text", "date", "markup")
_NEEDED = ("id", "text", "date")
_WORD = re.compile(r"\w+")
_LEVEL = 3  # of zlib
_SCHEMA = """
CREATE TABLE documents (number INTEGER PRIMARY KEY, own_id TEXT NOT NULL UNIQUE, place TEXT NOT NULL,
    title TEXT NOT NULL, date INTEGER NOT NULL, sha1 TEXT NOT NULL, markup TEXT NOT NULL);
CREATE INDEX titles ON documents (title);
CREATE INDEX hashes ON documents (sha1);
CREATE TABLE naming (name TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (name, number)) WITHOUT ROWID;
CREATE TABLE texts (number INTEGER PRIMARY KEY, body BLOB NOT NULL)
"""
_REVISION = "SELECT title, number, date, sha1, markup FROM documents "


class DocumentSource:
    """A :class:`~fresco.builder.revisions.PassingSource` over a file of documents.

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
        self._path = path
        self._asked: set[str] = set()
        self._database = Database(None, 1, _SCHEMA)
        try:
            self._check()
        except BaseException:
            self.close()
            raise
        self.words = f"documents {path.name}, {digest(path)[:15]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Give back what the source holds."""
        self._database.close()

    def _rows(self, sql: str, *given: object) -> Iterator[Any]:
        with self._database.errors():
            yield from self._database.connection.execute(sql, given)

    def _check(self) -> None:
        """The first reading: every row is checked, and all but its text is noted."""
        with self._database.errors(), self._database.transaction():
            run = self._database.connection.execute
            for number, row in enumerate(stream_rows(self._path, "--documents", _NEEDED), 1):
                own = row.text("id")
                if found := run("SELECT place FROM documents WHERE own_id = ?", (own,)).fetchone():
                    raise row.error("id", f"{own!r} is the id of {found[0]}, too")
                title, text, markup = _read(row)
                date = int(time_of(row, "date").timestamp())
                values = (number, own, row.place, title, date, _hash(text), markup)
                run("INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            run(
                "UPDATE documents SET title = title || ' (' || own_id || ')' WHERE title IN "
                "(SELECT title FROM documents GROUP BY title HAVING count(*) > 1)"
            )

    # What passes

    def passing(
        self,
        titles: Collection[str] | None,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        listed: bool = False,
    ) -> Iterator[tuple[str, str | None]]:
        """See :class:`~fresco.builder.revisions.PassingSource`; all are looked for in one reading."""
        asked = list(self.titles()) if titles is None else titles
        self._look_for(asked)
        yield from ((title, None) for title in asked)

    def keep(self, revisions: Iterable[Revision] | None) -> None:
        """See :class:`~fresco.builder.revisions.PassingSource`; what was looked for is kept as it is."""

    def note(self, text: str) -> None:
        """See :class:`~fresco.builder.revisions.PassingSource`; nothing is read that a note could spare."""

    def forget_notes(self, unless: str = "") -> None:
        """See :class:`~fresco.builder.revisions.PassingSource`."""

    def hold(self, titles: Collection[str], start: datetime | None = None, end: datetime | None = None) -> None:
        """See :class:`~fresco.builder.revisions.PassingSource`."""
        self._look_for(titles)

    def count(self) -> int:
        """How many titles there are."""
        return int(next(self._rows("SELECT count(DISTINCT title) FROM documents"))[0])

    def _look_for(self, names: Collection[str]) -> None:
        """Find the documents that are asked for by their titles, and those that name a subject, in one reading."""
        fresh = dict.fromkeys(name for name in names if name not in self._asked)
        if not fresh:
            return
        wanted: set[int] = set()
        sought = _Sought()
        for name in fresh:
            own = self._titled(name)
            if own is None:
                sought.add(name)
            else:
                wanted.add(own.page_id)
        self._asked.update(fresh)
        self._read(wanted, sought)

    def _read(self, wanted: Collection[int], sought: _Sought) -> None:
        """Keep the texts of documents by their numbers, and of those that name what is sought."""
        known = self._rows("SELECT number, title, sha1 FROM documents ORDER BY number")
        rows = stream_rows(self._path, "--documents", _NEEDED)
        with self._database.errors(), self._database.transaction():
            run = self._database.connection.execute
            for row, (number, title, hashed) in zip(rows, known, strict=False):
                _, text, _ = _read(row)
                naming = sought.named_by(title, text) if sought else ()
                for name in naming:
                    run("INSERT OR IGNORE INTO naming VALUES (?, ?)", (name, number))
                if number in wanted or naming:
                    if _hash(text) != hashed:
                        raise FrescoError(f"{row.place}: has changed while the file was read; run again")
                    body = zlib.compress(text.encode(), _LEVEL)
                    run("INSERT OR IGNORE INTO texts VALUES (?, ?)", (number, body))

    # What is asked

    def titles(self) -> Iterator[str]:
        """Every document, sorted."""
        for (title,) in self._rows("SELECT DISTINCT title FROM documents ORDER BY title"):
            yield title

    def history(
        self, title: str, start: datetime | None = None, end: datetime | None = None, *, standing: bool = False
    ) -> Sequence[Revision]:
        """The document of that title, or else the documents that name it, dated in ``[start, end)``, oldest first."""
        own = self._titled(title)
        found = [own] if own is not None else self._naming(title)
        if not found:
            self.report.add(title, None, Reason.MISSING, "no document names it")
        found.sort(key=lambda each: (each.timestamp, each.title))
        return found[span(found, start, end, standing=standing)]

    def _naming(self, name: str) -> list[Revision]:
        self._look_for([name])
        sql = f"{_REVISION} NATURAL JOIN naming WHERE name = ? ORDER BY number"
        return [_revision(*row) for row in self._rows(sql, name)]

    def _titled(self, title: str) -> Revision | None:
        return self._last("title", title)

    def _last(self, column: str, value: str) -> Revision | None:
        row = next(self._rows(f"{_REVISION} WHERE {column} = ? ORDER BY number DESC LIMIT 1", value), None)
        return _revision(*row) if row else None

    def texts(self, revisions: Sequence[Revision]) -> Iterator[tuple[Revision, str]]:
        """The text of each document, found by its title or by its SHA-1, in the order asked."""
        self.fetch(revisions)
        for revision in revisions:
            own = self._same(revision)
            if own is None:
                self.report.add(revision.title, revision.revision_id, Reason.ABSENT)
                continue
            (body,) = next(self._rows("SELECT body FROM texts WHERE number = ?", own.page_id))
            yield revision, zlib.decompress(body).decode()

    def fetch(self, revisions: Iterable[Revision]) -> None:
        """See :class:`~fresco.builder.revisions.PassingSource`."""
        numbers = {own.page_id for each in revisions if (own := self._same(each)) is not None}
        kept = "SELECT 1 FROM texts WHERE number = ?"
        if missing := {each for each in numbers if next(self._rows(kept, each), None) is None}:
            self._read(missing, _Sought())

    def _same(self, revision: Revision) -> Revision | None:
        own = self._titled(revision.title)
        return own if own is not None and own.sha1 == revision.sha1 else self._last("sha1", revision.sha1)

    def resolve(self, titles: Collection[str]) -> Mapping[str, str]:
        """Itself: documents have no redirects."""
        return {title: title for title in titles}


class _Sought:
    """Subjects that are looked for in texts, each by the longest of its words, the least frequent as a rule."""

    def __init__(self) -> None:
        self._by_word: dict[str, list[tuple[str, frozenset[str], re.Pattern[str]]]] = defaultdict(list)

    def __bool__(self) -> bool:
        return bool(self._by_word)

    def add(self, name: str) -> None:
        """Look for a subject; one without a word is named nowhere."""
        words = frozenset(_WORD.findall(fold(spoken(name))))
        if words:
            longest = max(words, key=lambda word: (len(word), word))
            self._by_word[longest].append((name, words, name_pattern((spoken(name),))))

    def named_by(self, title: str, text: str) -> list[str]:
        """Those that a document names."""
        folded, headed = fold(text), fold(title)
        words = {*_WORD.findall(folded), *_WORD.findall(headed)}
        return [
            name
            for word in words & self._by_word.keys()
            for name, own, pattern in self._by_word[word]
            if own <= words and (pattern.search(headed) or pattern.search(folded))
        ]


def _read(row: Row) -> tuple[str, str, str]:
    """Title, text and markup of a row."""
    if wrong := set(row.fields) - set(COLUMNS):
        raise row.error(str(min(map(str, wrong))), f"is none of the columns {', '.join(COLUMNS)}")
    markup = str(row.fields.get("markup") or "plain")
    if markup not in MARKUPS.values():
        raise row.error("markup", f"{markup!r} is none of {', '.join(sorted(set(MARKUPS.values())))}")
    text = row.text("text").replace("\r\n", "\n")
    return " ".join(str(row.fields.get("title") or row.text("id")).split()), text, markup


def _hash(text: str) -> str:
    return sha1(text.encode(), usedforsecurity=False).hexdigest()


def _revision(title: str, number: int, date: int, hashed: str, markup: str) -> Revision:
    return Revision(title, number, number, datetime.fromtimestamp(date, UTC), hashed, markup)
