"""What the first reading of a dump leaves: one row a title. It says which pages there are and where links lead.

Of each title: how many revisions the dump has of it (so that the second reading knows when it has seen the page, in
whatever order the revisions come), the last one, whether that is a redirect and where to, and the last that was none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from fresco.builder.wikipedia.cache import Cache
from fresco.builder.wikipedia.dump_row import DumpRow
from fresco.builder.wikipedia.redirects import names_section, target_of

#: Titles in memory between two transactions.
_STRETCH = 10_000

_Time = tuple[int, int]  # Unix seconds and the number of the revision, which decides between revisions of one second

_MERGE = """
INSERT INTO dump_titles VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT DO UPDATE SET
    number = max(number, excluded.number), revisions = revisions + excluded.revisions,
    redirect = iif((excluded.last, excluded.last_number) >= (last, last_number), excluded.redirect, redirect),
    target = iif((excluded.last, excluded.last_number) >= (last, last_number), excluded.target, target),
    names_section =
        iif((excluded.last, excluded.last_number) >= (last, last_number), excluded.names_section, names_section),
    last = iif((excluded.last, excluded.last_number) >= (last, last_number), excluded.last, last),
    last_number = iif((excluded.last, excluded.last_number) >= (last, last_number), excluded.last_number, last_number),
    article = iif(article IS NULL OR (excluded.article, excluded.article_number) > (article, article_number),
        coalesce(excluded.article, article), article),
    article_number = iif(article IS NULL OR (excluded.article, excluded.article_number) > (article, article_number),
        coalesce(excluded.article_number, article_number), article_number)
"""
_COPIED = "title, number, revisions, last, last_number, redirect, target, names_section, article, article_number"


class Kept(IntEnum):
    """How much of a page the cache has."""

    NOTHING = 0
    LISTING = 1  # every revision, and such texts as were asked for
    WHOLE = 2  # every text of the time that was asked for, too


@dataclass(slots=True)
class Title:
    """What is known of a title.

    Attributes:
        number: Of the page.
        revisions: How many the dump has.
        last: The last one.
        redirect: Whether that one is a redirect.
        target: The title it leads to; None where only its wiki could tell.
        names_section: Whether it leads to a section.
        article: The last revision that is no redirect; None where there is none.
        kept: How much of it the cache has.
    """

    number: int = 0
    revisions: int = 0
    last: _Time = (-(2**62), 0)
    redirect: bool = False
    target: str | None = None
    names_section: bool = False
    article: _Time | None = None
    kept: Kept = Kept.NOTHING

    def add(self, row: DumpRow) -> None:
        """Take a revision of the title into account."""
        when = (int(row.revision.timestamp.timestamp()), row.revision.revision_id)
        target = target_of(row.text) if row.text is not None else None
        is_redirect = row.flagged or target is not None
        self.number = max(self.number, row.revision.page_id)
        self.revisions += 1
        if when >= self.last:
            self.last, self.redirect, self.target = when, is_redirect, target
            self.names_section = target is not None and names_section(row.text or "")
        if not is_redirect and (self.article is None or when > self.article):
            self.article = when


class DumpTitles:
    """The titles of one dump, in the cache's file.

    Args:
        cache: The cache.
        source: The dump's number in it.
    """

    def __init__(self, cache: Cache, source: int) -> None:
        self._cache = cache
        self._source = source

    def read(self, rows: Iterator[DumpRow]) -> None:
        """Take all revisions of a dump, in place of what is there.

        They are gathered in a temporary database and written at once: two processes may read one dump into one cache,
        and one that is killed leaves nothing.
        """
        with Cache(None) as gathered:
            found: dict[str, Title] = {}
            for row in rows:
                if row.revision.title not in found and len(found) == _STRETCH:
                    _merge(gathered, found)
                    found = {}
                found.setdefault(row.revision.title, Title()).add(row)
            _merge(gathered, found)
            with self._cache.errors(), self._cache.transaction():
                database = self._cache.connection
                database.execute("DELETE FROM dump_titles WHERE source = ?", (self._source,))
                database.executemany(
                    f"INSERT INTO dump_titles (source, {_COPIED}) VALUES ({', '.join('?' * 11)})",  # noqa: S608
                    gathered.connection.execute(f"SELECT ?, {_COPIED} FROM dump_titles", (self._source,)),  # noqa: S608
                )

    def get(self, title: str) -> Title | None:
        """What is known of a title; None where the dump does not have it."""
        row = self._one(
            "SELECT number, revisions, last, last_number, redirect, target, names_section, article, article_number, "
            "kept FROM dump_titles WHERE source = ? AND title = ?",
            title,
        )
        if row is None:
            return None
        number, revisions, last, last_number, redirect, target, section, article, article_number, kept = row
        newest = None if article is None else (article, article_number)
        return Title(number, revisions, (last, last_number), bool(redirect), target, bool(section), newest, Kept(kept))

    def articles(self) -> Iterator[str]:
        """Titles whose last revision is no redirect, sorted."""
        sql = "SELECT title FROM dump_titles WHERE source = ? AND NOT redirect ORDER BY title"
        with self._cache.errors():
            for (title,) in self._cache.connection.execute(sql, (self._source,)):
                yield title

    def count(self) -> int:
        """How many these are."""
        found = self._one("SELECT count(*) FROM dump_titles WHERE source = ? AND NOT redirect")
        return int(found[0]) if found else 0

    def last_title(self, number: int) -> str | None:
        """The title under which the page of a number was last saved as an article; None where no number is known."""
        sql = (
            "SELECT title FROM dump_titles WHERE source = ? AND number = ? AND article IS NOT NULL "
            "ORDER BY article DESC, article_number DESC LIMIT 1"
        )
        found = self._one(sql, number) if number else None
        return str(found[0]) if found else None

    def revisions(self) -> int:
        """How many revisions the dump has."""
        found = self._one("SELECT sum(revisions) FROM dump_titles WHERE source = ?")
        return int(found[0] or 0) if found else 0

    def mark(self, titles: Collection[str], kept: Kept) -> None:
        """Say how much of pages the cache has now; never less than before."""
        sql = "UPDATE dump_titles SET kept = max(kept, ?) WHERE source = ? AND title = ?"
        with self._cache.errors():
            self._cache.connection.executemany(sql, [(kept, self._source, title) for title in titles])

    def note(self, asked: str, text: str) -> None:
        """Leave a note of what came of a page that was asked for."""
        with self._cache.errors():
            sql = "INSERT OR REPLACE INTO dump_notes VALUES (?, ?, ?)"
            self._cache.connection.execute(sql, (self._source, asked, text))

    def noted(self, asked: str) -> str | None:
        """The note; None where there is none."""
        row = self._one("SELECT note FROM dump_notes WHERE source = ? AND asked = ?", asked)
        return str(row[0]) if row else None

    def forget_notes(self) -> None:
        """Delete all notes."""
        with self._cache.errors():
            self._cache.connection.execute("DELETE FROM dump_notes WHERE source = ?", (self._source,))

    def forget(self) -> None:
        """Delete everything: the dump is not what it was."""
        with self._cache.errors(), self._cache.transaction():
            for table in ("dump_titles", "dump_notes"):
                self._cache.connection.execute(f"DELETE FROM {table} WHERE source = ?", (self._source,))  # noqa: S608
            self._cache.connection.execute("UPDATE sources SET complete = 0 WHERE id = ?", (self._source,))

    def _one(self, sql: str, *more: object) -> Sequence[Any] | None:
        with self._cache.errors():
            row: Sequence[Any] | None = self._cache.connection.execute(sql, (self._source, *more)).fetchone()
        return row


def _merge(cache: Cache, found: Mapping[str, Title]) -> None:
    rows = (
        (0, title, own.number, own.revisions, *own.last, own.redirect, own.target, own.names_section,
         *(own.article or (None, None)))
        for title, own in found.items()
    )  # fmt: skip
    with cache.errors(), cache.transaction():
        cache.connection.executemany(_MERGE, rows)
