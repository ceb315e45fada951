"""Dated revisions of pages, wherever they come from: a wiki, a dump, a cache."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


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

    def history(self, title: str, start: datetime | None = None, end: datetime | None = None) -> Sequence[Revision]:
        """The revisions of a page saved in ``[start, end)``, oldest first; empty where the page is missing."""
        ...

    def texts(self, revisions: Sequence[Revision]) -> Iterator[tuple[Revision, str]]:
        """The wikitext of each revision that can be had; what is gone (deleted, suppressed) is left out."""
        ...

    def resolve(self, titles: Collection[str]) -> Mapping[str, str]:
        """The title of the page that each linked title leads to today, through redirects and moves; itself if unknown.

        A redirect to a section leads to something that has no page of its own: it stays what it is.
        """
        ...
