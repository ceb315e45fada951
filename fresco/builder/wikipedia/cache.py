"""One SQLite file that holds every listing and every text that was ever read, so that nothing is asked twice.

Texts are stored once for each SHA-1, compressed with zlib, whichever wiki or dump they came from. Every write is one
transaction of rows that depend on the source alone: a process that is killed leaves whole rows behind, and two that
write at once write the same rows.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha1
from pathlib import Path

from fresco.builder.revisions import Revision
from fresco.builder.wikipedia.database import Database
from fresco.builder.wikipedia.report import Reason
from fresco.errors import FrescoError

_VERSION = 1
_LEVEL = 3  # of zlib: on wikitext a tenth larger than the default, in less than half the time
#: Stands for "no end" in a window; later than any date.
FOREVER = 2**62

_SCHEMA = """
CREATE TABLE IF NOT EXISTS texts (sha1 BLOB PRIMARY KEY, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sources (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, complete INTEGER NOT NULL DEFAULT 0, damage TEXT, titles TEXT);
CREATE TABLE IF NOT EXISTS pages (
    id INTEGER PRIMARY KEY, source INTEGER NOT NULL, title TEXT NOT NULL, number INTEGER NOT NULL,
    UNIQUE (source, title));
CREATE TABLE IF NOT EXISTS revisions (
    page INTEGER NOT NULL, timestamp INTEGER NOT NULL, number INTEGER NOT NULL, sha1 BLOB, size INTEGER NOT NULL,
    redirect INTEGER, PRIMARY KEY (page, timestamp, number)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS revision_texts ON revisions (sha1);
CREATE TABLE IF NOT EXISTS listings (
    source INTEGER NOT NULL, asked TEXT NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL, at INTEGER NOT NULL,
    title TEXT, reason TEXT, detail TEXT, PRIMARY KEY (source, asked, start, stop)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answers (
    source INTEGER NOT NULL, number INTEGER NOT NULL, sha1 BLOB, reason TEXT, detail TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (source, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS links (
    source INTEGER NOT NULL, title TEXT NOT NULL, target TEXT NOT NULL, PRIMARY KEY (source, title)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dump_titles (
    source INTEGER NOT NULL, title TEXT NOT NULL, number INTEGER NOT NULL, revisions INTEGER NOT NULL,
    last INTEGER NOT NULL, last_number INTEGER NOT NULL, redirect INTEGER NOT NULL, target TEXT,
    names_section INTEGER NOT NULL, article INTEGER, article_number INTEGER, kept INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (source, title)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS dump_numbers ON dump_titles (source, number);
CREATE TABLE IF NOT EXISTS dump_notes (
    source INTEGER NOT NULL, asked TEXT NOT NULL, note TEXT NOT NULL, PRIMARY KEY (source, asked)) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Listed:
    """A revision as a source lists it.

    Attributes:
        revision: What the builder sees.
        size: Bytes of the text.
        redirect: Whether the text is a redirect; None where only the text would tell.
    """

    revision: Revision
    size: int
    redirect: bool | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source said when it was asked for a revision's text.

    Attributes:
        sha1: Hash of the text that it gave; empty where it gave none.
        reason: Why it gave none, or what else is to report; None where all is well.
        detail: More about the reason.
    """

    sha1: str = ""
    reason: Reason | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """The outcome of listing a page: whose history it is (None: there is no page) and what is to report."""

    title: str | None
    reason: Reason | None = None
    detail: str = ""


def text_sha1(text: str) -> str:
    """SHA-1 of a wikitext's UTF-8 bytes, 40 hex digits, as MediaWiki computes it."""
    return sha1(text.encode(), usedforsecurity=False).hexdigest()


class Cache(Database):
    """Listings and texts in one SQLite file.

    Args:
        path: The file; made with its folder where it is missing. None: a temporary one.

    Raises:
        FrescoError: the file is no cache, was written by another version, or cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__(path, _VERSION, _SCHEMA)

    # Sources: a wiki by its address, a dump by its file.

    def source(self, name: str) -> int:
        """The number of a source, given out at the first call."""
        with self.errors():
            self.connection.execute("INSERT OR IGNORE INTO sources (name) VALUES (?)", (name,))
            return int(self.connection.execute("SELECT id FROM sources WHERE name = ?", (name,)).fetchone()[0])

    def damage(self, source: int) -> list[str] | None:
        """Errors met while a dump was read to its end; None while it is not."""
        with self.errors():
            complete, damage = self.connection.execute(
                "SELECT complete, damage FROM sources WHERE id = ?", (source,)
            ).fetchone()
        return json.loads(damage or "[]") if complete else None

    def complete(self, source: int, damage: Sequence[str]) -> None:
        """Note that a dump was read to its end, or as far as it goes."""
        with self.errors():
            row = (json.dumps(list(damage)), source)
            self.connection.execute("UPDATE sources SET complete = 1, damage = ? WHERE id = ?", row)

    def all_titles(self, source: int) -> list[str] | None:
        """The titles that a wiki listed, None where it was not asked."""
        with self.errors():
            row = self.connection.execute("SELECT titles FROM sources WHERE id = ?", (source,)).fetchone()
        return json.loads(row[0]) if row[0] else None

    def put_all_titles(self, source: int, titles: Sequence[str] | None) -> None:
        """Keep the titles that a wiki listed; None: forget them."""
        row = (json.dumps(list(titles)) if titles is not None else None, source)
        with self.errors():
            self.connection.execute("UPDATE sources SET titles = ? WHERE id = ?", row)

    # Listings

    def listing(self, source: int, asked: str, start: int, stop: int) -> Listing | None:
        """The outcome of an earlier listing that covers a window of time, None where the source must be asked.

        A listing knows nothing of what was saved after it was made: it covers a window that ends later only if it was
        made for that very end.

        Args:
            source: Number of the source.
            asked: The title as it was asked for.
            start: First second of the window, Unix time.
            stop: First second after it; :data:`FOREVER` for none.
        """
        sql = (
            "SELECT title, reason, detail FROM listings WHERE source = ? AND asked = ? AND start <= ? AND stop >= ? "
            "AND (at >= ? OR stop = ?) ORDER BY at DESC LIMIT 1"
        )
        with self.errors():
            row = self.connection.execute(sql, (source, asked, start, stop, stop, stop)).fetchone()
        return Listing(row[0], Reason(row[1]) if row[1] else None, row[2]) if row else None

    def size(self) -> int:
        """Bytes of all that is kept."""
        sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        with self.errors():
            return int(self.connection.execute(sql).fetchone()[0])

    def put_listing(
        self, source: int, asked: str, start: int, stop: int, at: int, found: Listing, rows: Sequence[Listed]
    ) -> None:
        """Keep a listing with its revisions, in place of older ones of the same window.

        Args:
            source: Number of the source.
            asked: The title as it was asked for.
            start: First second of the window.
            stop: First second after it.
            at: When the source was asked, Unix time.
            found: The outcome.
            rows: The revisions listed, all of the page ``found.title``.
        """
        with self.errors(), self.transaction():
            if found.title is not None:
                page = self._page(source, found.title, rows[0].revision.page_id if rows else 0)
                window = (page, start, min(stop, FOREVER))
                self.connection.execute(
                    "DELETE FROM revisions WHERE page = ? AND timestamp >= ? AND timestamp < ?", window
                )
                self._insert(page, rows)
            row = (source, asked, start, stop, at, found.title, found.reason, found.detail)
            self.connection.execute("INSERT OR REPLACE INTO listings VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)

    def put_dump(self, source: int, rows: Sequence[tuple[Listed, str | None, Answer | None]]) -> None:
        """Keep a stretch of a dump: each revision, its text (None: not carried) and what is wrong with it."""
        fresh = self._compressed(text for _, text, _ in rows if text is not None)
        with self.errors(), self.transaction():
            pages: dict[tuple[str, int], int] = {}
            for listed, _, answer in rows:
                key = listed.revision.title, listed.revision.page_id
                if key not in pages:
                    pages[key] = self._page(source, *key)
                self._insert(pages[key], [listed])
                if answer:
                    self._answer(source, listed.revision.revision_id, answer)
            self.connection.executemany("INSERT OR IGNORE INTO texts VALUES (?, ?)", fresh)

    def drop(self, source: int, title: str) -> None:
        """Delete a page with its texts, but for those that other pages have, too."""
        with self.errors(), self.transaction():
            run = self.connection.execute
            found = run("SELECT id FROM pages WHERE source = ? AND title = ?", (source, title)).fetchone()
            if found is None:
                return
            own = run("SELECT number, sha1 FROM revisions WHERE page = ?", found).fetchall()
            run("DELETE FROM revisions WHERE page = ?", found)
            run("DELETE FROM pages WHERE id = ?", found)
            delete = self.connection.executemany
            delete("DELETE FROM answers WHERE source = ? AND number = ?", [(source, number) for number, _ in own])
            sql = "DELETE FROM texts WHERE sha1 = ?1 AND NOT EXISTS (SELECT 1 FROM revisions WHERE sha1 = ?1)"
            delete(sql, {(digest,) for _, digest in own if digest})

    def _page(self, source: int, title: str, number: int) -> int:
        sql = (
            "INSERT INTO pages (source, title, number) VALUES (?, ?, ?) "
            "ON CONFLICT DO UPDATE SET number = max(number, excluded.number) RETURNING id"
        )
        return int(self.connection.execute(sql, (source, title, number)).fetchone()[0])

    def _insert(self, page: int, rows: Iterable[Listed]) -> None:
        self.connection.executemany(
            "INSERT OR REPLACE INTO revisions VALUES (?, ?, ?, ?, ?, ?)",
            (
                (
                    page,
                    int(row.revision.timestamp.timestamp()),
                    row.revision.revision_id,
                    bytes.fromhex(row.revision.sha1) or None,
                    row.size,
                    row.redirect,
                )
                for row in rows
            ),
        )

    def revisions(self, source: int, title: str, start: int = 0, stop: int = FOREVER) -> list[Listed]:
        """The revisions of a page that are kept, oldest first; empty where the page is unknown."""
        sql = (
            "SELECT p.number, r.number, r.timestamp, r.sha1, r.size, r.redirect FROM pages p JOIN revisions r "
            "ON r.page = p.id WHERE p.source = ? AND p.title = ? AND r.timestamp >= ? AND r.timestamp < ? "
            "ORDER BY r.timestamp, r.number"
        )
        with self.errors():
            rows = self.connection.execute(sql, (source, title, start, stop)).fetchall()
        return [
            Listed(
                Revision(title, page, number, datetime.fromtimestamp(at, UTC), (digest or b"").hex()),
                size,
                None if redirect is None else bool(redirect),
            )
            for page, number, at, digest, size, redirect in rows
        ]

    def article_titles(self, source: int) -> Iterator[str]:
        """Titles of a dump's pages whose last revision is no redirect, sorted."""
        sql = (
            "SELECT title FROM pages p WHERE source = ? AND NOT (SELECT coalesce(redirect, 0) FROM revisions "
            "WHERE page = p.id ORDER BY timestamp DESC, number DESC LIMIT 1) ORDER BY title"
        )
        with self.errors():
            for (title,) in self.connection.execute(sql, (source,)):
                yield title

    def last_title(self, source: int, number: int) -> str | None:
        """The title under which the page of a number was saved last; None where no number is known."""
        sql = (
            "SELECT p.title FROM pages p JOIN revisions r ON r.page = p.id WHERE p.source = ? AND p.number = ? "
            "AND coalesce(r.redirect, 0) = 0 ORDER BY r.timestamp DESC, r.number DESC LIMIT 1"
        )
        with self.errors():
            row = self.connection.execute(sql, (source, number)).fetchone() if number else None
        return str(row[0]) if row else None

    def link(self, source: int, title: str) -> str | None:
        """Where a link leads, as the wiki answered; None where it was not asked."""
        with self.errors():
            sql = "SELECT target FROM links WHERE source = ? AND title = ?"
            row = self.connection.execute(sql, (source, title)).fetchone()
        return str(row[0]) if row else None

    def links(self, source: int) -> list[str]:
        """Titles of all links that were asked for, sorted."""
        with self.errors():
            sql = "SELECT title FROM links WHERE source = ? ORDER BY title"
            return [str(title) for (title,) in self.connection.execute(sql, (source,))]

    def put_links(self, source: int, links: Mapping[str, str]) -> None:
        """Keep where links lead."""
        with self.errors(), self.transaction():
            rows = [(source, title, target) for title, target in links.items()]
            self.connection.executemany("INSERT OR REPLACE INTO links VALUES (?, ?, ?)", rows)

    # Texts

    def _compressed(self, texts: Iterable[str]) -> list[tuple[bytes, bytes]]:
        # Before the transaction: other processes need not wait while this one compresses.
        fresh: dict[bytes, bytes] = {}
        with self.errors():
            for text in texts:
                body = text.encode()
                digest = sha1(body, usedforsecurity=False).digest()
                known = self.connection.execute("SELECT 1 FROM texts WHERE sha1 = ?", (digest,)).fetchone()
                if digest not in fresh and not known:
                    fresh[digest] = zlib.compress(body, _LEVEL)
        return list(fresh.items())

    def put_answers(self, source: int, answers: Sequence[tuple[int, Answer, str | None]]) -> None:
        """Keep what a wiki answered for revisions: their ids, the answer, and the text where it gave one."""
        fresh = self._compressed(text for _, _, text in answers if text is not None)
        with self.errors(), self.transaction():
            self.connection.executemany("INSERT OR IGNORE INTO texts VALUES (?, ?)", fresh)
            for number, answer, _ in answers:
                self._answer(source, number, answer)

    def _answer(self, source: int, number: int, answer: Answer) -> None:
        row = (source, number, bytes.fromhex(answer.sha1) or None, answer.reason, answer.detail)
        self.connection.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", row)

    def answer(self, source: int, number: int) -> Answer | None:
        """What a source answered for a revision, None where it was not asked."""
        sql = "SELECT sha1, reason, detail FROM answers WHERE source = ? AND number = ?"
        with self.errors():
            row = self.connection.execute(sql, (source, number)).fetchone()
        return Answer((row[0] or b"").hex(), Reason(row[1]) if row[1] else None, row[2]) if row else None

    def has_text(self, digest: str) -> bool:
        """Whether the text with this SHA-1 (hex) is kept."""
        with self.errors():
            row = self.connection.execute("SELECT 1 FROM texts WHERE sha1 = ?", (bytes.fromhex(digest),)).fetchone()
        return row is not None

    def text(self, digest: str) -> str | None:
        """The text with this SHA-1 (hex), None where it is not kept.

        Raises:
            FrescoError: the file is damaged: what it holds has another hash.
        """
        with self.errors():
            row = self.connection.execute("SELECT body FROM texts WHERE sha1 = ?", (bytes.fromhex(digest),)).fetchone()
        if row is None:
            return None
        try:
            body = zlib.decompress(row[0])
        except zlib.error:
            body = b""
        if sha1(body, usedforsecurity=False).hexdigest() != digest:
            raise FrescoError(f"{self.path}: the text {digest} is damaged; delete the file and run again")
        return body.decode()
