"""What has changed in a wiki since its pages were listed, so that an edition asks again for those pages alone.

A listing ends at the reference date of its edition, and at the time at which it was made. What a wiki notes of later
edits, moves, deletions, imports and hidden texts (``list=recentchanges``, kept for 90 days by default) names the pages
whose listing no longer stands; that of every other page stands until now.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from fresco.builder.wikipedia.cache import Cache
from fresco.builder.wikipedia.redirects import capitalized

#: Asked of the list. Categorizations and external changes are of no page's text.
RECENT = {"list": "recentchanges", "rctype": "edit|new|log", "rcprop": "title|timestamp|loginfo", "rcdir": "newer"}


def titles_of(change: Mapping[str, Any]) -> Iterator[str]:
    """The pages that a recent change is of; a page that is moved, or merged, has two."""
    if "title" in change:
        yield change["title"]
    for name, value in (change.get("logparams") or {}).items():
        if str(name).endswith("title") and isinstance(value, str):
            yield value


class OldListings:
    """The listings of a wiki that say nothing of the time up to an edition's end.

    Args:
        cache: The cache.
        source: The wiki's number in it.
        stop: The end, Unix time, not included.
    """

    def __init__(self, cache: Cache, source: int, stop: int) -> None:
        self._cache = cache
        self._source = source
        self._stop = stop
        sql = (
            "SELECT asked, start, stop, at, title FROM listings AS l WHERE source = ?1 AND NOT EXISTS (SELECT 1 FROM "
            "listings WHERE source = ?1 AND asked = l.asked AND start <= l.start AND stop >= ?2 AND "
            "(at >= ?2 OR stop = ?2))"
        )
        with cache.errors():
            self._rows = cache.connection.execute(sql, (source, stop)).fetchall()

    @property
    def since(self) -> int | None:
        """From when on changes count, Unix time; None where there is no such listing."""
        return min((min(stop, at) for _, _, stop, at, _ in self._rows), default=None)

    def renew(self, changed: Collection[str], at: int) -> int:
        """Forget the pages that have changed, and let the listings of the others stand until the end.

        Args:
            changed: Titles as the wiki writes them.
            at: When the wiki was asked, Unix time.

        Returns:
            How many listings are forgotten.
        """
        names = frozenset(changed)
        stale = {row for row in self._rows if not names.isdisjoint((row[0], capitalized(row[0]), row[4]))}
        with self._cache.errors(), self._cache.transaction():
            database = self._cache.connection
            forgotten = {title for asked, *_, title in stale for title in (asked, title) if title is not None}
            for asked, *_ in stale:
                database.execute("DELETE FROM listings WHERE source = ? AND asked = ?", (self._source, asked))
            self._forget(forgotten)
            for asked, start, stop, _, _ in set(self._rows) - stale:
                database.execute(
                    "UPDATE OR REPLACE listings SET stop = ?, at = ? WHERE source = ? AND asked = ? AND start = ? "
                    "AND stop = ?",
                    (max(self._stop, stop), at, self._source, asked, start, stop),
                )
        return len({asked for asked, *_ in stale})

    def _forget(self, titles: Iterable[str]) -> None:
        """What was listed of pages, and what the wiki said of their revisions; texts stay, by their hashes."""
        run = self._cache.connection.execute
        for title in titles:
            run("DELETE FROM listings WHERE source = ? AND title = ?", (self._source, title))
            page = run("SELECT id FROM pages WHERE source = ? AND title = ?", (self._source, title)).fetchone()
            if page is None:
                continue
            run(
                "DELETE FROM answers WHERE source = ? AND number IN (SELECT number FROM revisions WHERE page = ?)",
                (self._source, *page),
            )
            run("DELETE FROM revisions WHERE page = ?", page)
            run("DELETE FROM pages WHERE id = ?", page)
