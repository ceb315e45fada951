"""Dated revisions of pages, wherever they come from: a wiki, a dump, a cache."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision without its text.

    Attributes:
        title: The page's title as the source names it.
        page_id: The source's number of the page.
        revision_id: The source's number of the revision; imports renumber it, so it identifies nothing across wikis.
        timestamp: When it was saved, aware, UTC.
        sha1: SHA-1 of the text's UTF-8 bytes, 40 hex digits; empty where the source hides or lacks it.
        markup: What the text is written in (:data:`fresco.builder.markup.MARKUPS`).
    """

    title: str
    page_id: int
    revision_id: int
    timestamp: datetime
    sha1: str = ""
    markup: str = "wikitext"


class RevisionSource(Protocol):
    """What the builder asks of a wiki, a mirror or a cache."""

    def titles(self) -> Iterator[str]:
        """Every page the source can name; a live wiki may refuse (FrescoError) where that would be a crawl."""
        ...

    def history(
        self, title: str, start: datetime | None = None, end: datetime | None = None, *, standing: bool = False
    ) -> Sequence[Revision]:
        """The revisions of a page saved in ``[start, end)``, oldest first; empty where the page is missing.

        ``standing``: with those that :func:`span` adds, so that the text at ``start`` is known.
        """
        ...

    def texts(self, revisions: Sequence[Revision]) -> Iterator[tuple[Revision, str]]:
        """The wikitext of each revision that can be had; what is gone (deleted, suppressed) is left out."""
        ...

    def resolve(self, titles: Collection[str]) -> Mapping[str, str]:
        """The title of the page that each linked title leads to today, through redirects and moves; itself if unknown.

        A redirect to a section leads to something that has no page of its own: it stays what it is.
        """
        ...


@runtime_checkable
class PassingSource(RevisionSource, Protocol):
    """A source that is read from end to end, such as a dump: all is answered, but what passes is answered at once."""

    def passing(
        self,
        titles: Collection[str] | None,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        listed: bool = False,
    ) -> Iterator[tuple[str, str | None]]:
        """Give out the titles that were asked for (None: all articles), each when its page has been read.

        Until the next title is asked for, ``history`` and ``texts`` answer for this one. Then the page is forgotten,
        but for what :meth:`keep` named. The order is that of the source.

        Args:
            titles: What is wanted.
            start: Texts from before are not wanted, but for the last, which stood then.
            end: Texts from then on are not wanted.
            listed: Pages whose listing is kept need not pass again, whichever of their texts are kept.

        Yields:
            The title, and the note that was left for it in a reading that was cut off, whose page does not pass again.
        """
        ...

    def keep(self, revisions: Iterable[Revision] | None) -> None:
        """Keep the listing of the page that passes, and the texts of these revisions (None: all)."""
        ...

    def note(self, text: str) -> None:
        """Leave a note for the title that passes, so that a second run need not ask again."""
        ...

    def hold(self, titles: Collection[str], start: datetime | None = None, end: datetime | None = None) -> None:
        """Keep pages, with all texts of a time, that are not kept yet."""
        ...

    def fetch(self, revisions: Iterable[Revision]) -> None:
        """Keep the texts of revisions, those that are not kept yet in one reading."""
        ...

    def forget_notes(self, unless: str = "") -> None:
        """Delete the notes, unless they were left since this was called with the same words."""
        ...

    def count(self) -> int:
        """How many titles :meth:`titles` gives."""
        ...


def pages_of(
    source: RevisionSource, titles: Sequence[str], start: datetime | None = None, end: datetime | None = None
) -> Iterator[str]:
    """The titles, each when its revisions of a time can be read: in their order, or in that in which they pass."""
    if isinstance(source, PassingSource):
        for title, _ in source.passing(titles, start, end):
            yield title
    else:
        yield from titles


def span(
    history: Sequence[Revision], start: datetime | None, end: datetime | None, *, standing: bool = False
) -> slice[int, int]:
    """Where the revisions saved in ``[start, end)`` lie in a history.

    Args:
        history: Revisions, oldest first.
        start: Beginning; None: that of the history.
        end: End, not included; None: that of the history.
        standing: Begin with the last revision before ``start`` whose text can be had (it has a hash): it stood then.
    """
    first = 0 if start is None else bisect_left(history, start, key=_saved)
    last = len(history) if end is None else bisect_left(history, end, key=_saved)
    if standing:
        first = next((place for place in range(first - 1, -1, -1) if history[place].sha1), first)
    return slice(first, last)


def _saved(revision: Revision) -> datetime:
    return revision.timestamp
