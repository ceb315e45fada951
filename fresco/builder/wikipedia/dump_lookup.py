"""What is asked of a dump that lies in the cache: histories, texts, where titles lead."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fresco.builder.revisions import Revision, span
from fresco.builder.wikipedia.cache import Listed
from fresco.builder.wikipedia.cached import CachedSource
from fresco.builder.wikipedia.redirects import capitalized, is_bare, normal_title
from fresco.builder.wikipedia.report import Reason

#: Redirects that are followed one behind the other.
MOST_HOPS = 5


@dataclass(frozen=True, slots=True)
class Leads:
    """Where a page's last revision leads.

    Attributes:
        number: Of the page.
        target: The title that it names as a redirect; None where it is none, or only its wiki could tell.
        names_section: Whether it leads to a section of that.
    """

    number: int
    target: str | None
    names_section: bool


class Lookup(CachedSource):
    """The methods of a :class:`~fresco.builder.revisions.RevisionSource` over what is kept of a dump."""

    @abstractmethod
    def _leads(self, title: str) -> Leads | None:
        """Where the page of a title, as it is written in the dump or in a link, leads; None where there is none."""

    @abstractmethod
    def _last_title(self, number: int) -> str | None:
        """The title under which the page of a number was saved last."""

    def history(
        self, title: str, start: datetime | None = None, end: datetime | None = None, *, standing: bool = False
    ) -> Sequence[Revision]:
        """The revisions of a page saved in ``[start, end)``, oldest first.

        A page that was nothing but a redirect then gives the history of its target, where the dump has that. What is
        missing, or followed, is noted in the report.
        """
        asked = found = normal_title(title)
        for _ in range(MOST_HOPS):
            listed = self._listed(found)
            inside = listed[span([row.revision for row in listed], start, end, standing=standing)]
            target = self._target(found, listed, inside)
            if target is None:
                break
            found = target
        if not listed:
            self.report.add(title, None, Reason.MISSING, f"redirects to {found!r}" if found != asked else "")
        elif listed[0].revision.title.lower() != asked.lower():
            self.report.add(title, None, Reason.FOLLOWED, f"to {listed[0].revision.title!r}")
        return [row.revision for row in inside]

    def _listed(self, title: str) -> list[Listed]:
        for written in spellings(title):
            if found := self.cache.revisions(self._source, written):
                return found
        return []

    def _target(self, title: str, listed: Sequence[Listed], inside: Sequence[Listed]) -> str | None:
        if not listed or not listed[-1].redirect or not is_bare([row.size for row in inside]):
            return None
        leads = self._leads(title)
        return leads.target if leads is not None else None

    def resolve(self, titles: Collection[str]) -> Mapping[str, str]:
        """The title that each linked title leads to in the dump's last revisions; itself where the dump lacks it."""
        return {title: self._resolved(normal_title(title)) for title in titles}

    def _resolved(self, title: str) -> str:
        found = title
        for _ in range(MOST_HOPS):
            leads = self._leads(found)
            if leads is None:
                break
            # A page that was moved stands under two titles of one number, where the dump names each revision's own.
            target = (None if leads.names_section else leads.target) or self._last_title(leads.number)
            if target is None or target == found:
                break
            found = target
        return capitalized(found)

    def texts(self, revisions: Sequence[Revision]) -> Iterator[tuple[Revision, str]]:
        """The wikitext of each revision that the dump has, in the order asked.

        Revisions of another source (a manifest of the live wiki) are found by their SHA-1, or by title and time:
        imports renumber. What is not there, hidden, a redirect, or does not match its hash is left out and reported.
        """
        for revision in revisions:
            own = revision if self._is_known(revision) else self._same(revision)
            if own is None:
                self.report.add(revision.title, revision.revision_id, Reason.ABSENT)
                continue
            text = self._known_text(own)
            if text is not None:
                yield revision, text

    def _same(self, revision: Revision) -> Revision | None:
        for written in spellings(normal_title(revision.title)):
            for row in self.cache.revisions(self._source, written):
                own = row.revision
                if own.timestamp == revision.timestamp and (not revision.sha1 or own.sha1 == revision.sha1):
                    return own
        return None


def spellings(title: str) -> Iterator[str]:
    """How a dump may write a title: most wikis do not tell "iPad" from "IPad", their titles begin with a capital."""
    yield from dict.fromkeys((title, capitalized(title), title[:1].upper() + title[1:]))
