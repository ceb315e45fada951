"""Revisions of a live MediaWiki: each page listed once, then only the texts that are needed, 50 in a request."""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fresco.builder.revisions import Revision, span
from fresco.builder.wikipedia.cache import FOREVER, Answer, Cache, Listed, Listing, text_sha1
from fresco.builder.wikipedia.cached import CachedSource, window
from fresco.builder.wikipedia.changes import RECENT, OldListings, titles_of
from fresco.builder.wikipedia.login import Login
from fresco.builder.wikipedia.redirects import is_bare, normal_title
from fresco.builder.wikipedia.report import Reason, Report
from fresco.errors import FrescoError
from fresco.records import format_timestamp, parse_timestamp

if TYPE_CHECKING:
    from fresco.builder.wikipedia.client import Client

_TITLES_PER_REQUEST = 50  # the API's limit for anonymous users; more would not fit into an address
_MOST_ROWS = "max"  # 500 for anonymous users, 5,000 for those with higher limits
_MOST_HOPS = 3  # the title as the wiki writes it, and a redirect to a redirect


class Wiki(CachedSource):
    """A :class:`~fresco.builder.revisions.RevisionSource` over the API of a MediaWiki.

    A page with n revisions in the window and k texts needed costs at most ``ceil((n + 1)/500) + ceil(k/50)`` requests,
    as long as 50 texts fit the wiki's own limit for an answer (8 MiB), and none when it was read before. ``texts``
    takes revisions of many pages at once, which saves more, and so does a login with higher limits: a tenth of both.

    Args:
        url: Address of the folder with api.php, e.g. ``https://en.wikipedia.org/w/``.
        contact: A mail address or URL for the wiki's operator; required for Wikimedia's wikis.
        cache: The cache's file.
        rate: Most requests a second.
        maxlag: Seconds of replication lag at which the wiki shall refuse.
        attempts: How often one question is asked before giving up.
        patience: Seconds after which one question is given up.
        request_limit: Seconds within which one answer must be complete.
        login: Whom to log in as; nobody where None.
        report: Where problems are noted; a new one by default.

    Raises:
        FrescoError: address, contact or cache cannot be used; from the methods: the wiki refuses or stays away.
    """

    def __init__(
        self,
        url: str,
        contact: str | None,
        cache: Path,
        *,
        rate: float = 5.0,
        maxlag: int = 5,
        attempts: int = 8,
        patience: float = 900.0,
        request_limit: float = 120.0,
        login: Login | None = None,
        report: Report | None = None,
    ) -> None:
        self._client = _client(
            url,
            contact,
            rate=rate,
            maxlag=maxlag,
            attempts=attempts,
            patience=patience,
            request_limit=request_limit,
            login=login,
        )
        super().__init__(self._client.url, Cache(cache), report if report is not None else Report())

    @property
    def requests_made(self) -> int:
        """Requests sent so far, repeated ones included."""
        return self._client.requests_made

    def log_in(self) -> None:
        """Log in now, where somebody is to, and not at the first question.

        Raises:
            FrescoError: the wiki refuses or stays away.
        """
        _ = self._client.limit

    def is_read(self, title: str) -> bool:
        """Whether a page was listed before."""
        asked = normal_title(title)
        return self.cache.listing(self._source, asked, FOREVER, 0) is not None  # which any window covers

    def close(self) -> None:
        """Close the connection and the cache."""
        self._client.close()
        super().close()

    def titles(self) -> Iterator[str]:
        """Every article of the wiki that is no redirect, sorted.

        Raises:
            FrescoError: the wiki is Wikimedia's: that would be a crawl of millions of pages.
        """
        if self._client.is_wikimedia:
            raise FrescoError(f"{self._client.url}: too large to list every page; name the pages, or read a dump")
        titles = self.cache.all_titles(self._source)
        if titles is None:
            asked = {"list": "allpages", "apfilterredir": "nonredirects", "aplimit": _MOST_ROWS}
            titles = sorted(row["title"] for reply in self._pages_of(asked) for row in reply["query"]["allpages"])
            self.cache.put_all_titles(self._source, titles)
        yield from titles

    def history(
        self, title: str, start: datetime | None = None, end: datetime | None = None, *, standing: bool = False
    ) -> Sequence[Revision]:
        """The revisions of a page saved in ``[start, end)``, oldest first.

        A page that was nothing but a redirect then gives the history of its target. What is missing, or followed, is
        noted in the report.
        """
        asked = normal_title(title)
        first, stop = window(start, end)
        if not asked or "|" in asked:  # the API would take the bar for a second title
            self.report.add(title, None, Reason.INVALID)
            return ()
        if first >= stop:
            return ()
        listing = self.cache.listing(self._source, asked, first, stop)
        if listing is None:
            listing = self._list(asked, first, stop)
        if listing.reason is not None:
            self.report.add(title, None, listing.reason, listing.detail)
        if listing.title is None:
            return ()
        kept = [row.revision for row in self.cache.revisions(self._source, listing.title, 0, stop)]
        return kept[span(kept, start, end, standing=standing)]

    def _list(self, asked: str, start: int, stop: int) -> Listing:
        now = int(time.time())
        page, rows = self._listed(asked, start, stop, follow=False)
        found = _found(page)
        if "redirect" in page and is_bare([row.size for row in rows]):
            page, rows = self._listed(asked, start, stop, follow=True)
            found = _found(page)
            if found.title is not None:
                found = Listing(found.title, Reason.FOLLOWED, f"to {found.title!r}")
        self.cache.put_listing(self._source, asked, start, stop, now, found, rows)
        if found.title is not None and found.title != asked:  # the page's own name need not be asked for either
            self.cache.put_listing(self._source, found.title, start, stop, now, Listing(found.title), rows)
        return found

    def _listed(self, title: str, start: int, stop: int, *, follow: bool) -> tuple[Mapping[str, Any], list[Listed]]:
        """Ask for the revisions of one page; ``rvlimit`` and its kin are refused for several titles at once.

        The newest come first and the question ends with the one that stood at the start, so that a page's earlier life
        is not listed; to ask for that one by itself would cost a request.
        """
        asked = {
            "prop": "revisions|info",
            "titles": title,
            "rvprop": "ids|timestamp|size|sha1|slotsha1",
            "rvslots": "main",
            "rvlimit": _MOST_ROWS,
            "rvdir": "older",
        }
        if stop < FOREVER:
            asked["rvstart"] = _api_time(stop - 1)  # the API includes the first second
        if follow:
            asked["redirects"] = "1"
        page: dict[str, Any] = {}
        rows: list[Listed] = []
        hidden: list[tuple[int, Answer, str | None]] = []
        for reply in self._pages_of(asked):
            query = reply.get("query", {})
            for part in query.get("pages", {}).values():
                page = {**part, **page}
                for row in part.get("revisions", ()):
                    revision = _revision(part, row)
                    rows.append(Listed(revision, int(row.get("size", 0))))
                    if "sha1hidden" in row or "suppressed" in row:
                        reason = Reason.SUPPRESSED if "suppressed" in row else Reason.SHA1_HIDDEN
                        hidden.append((revision.revision_id, Answer(reason=reason), None))
            if any(row.revision.sha1 and row.revision.timestamp.timestamp() < start for row in rows):
                break
        self.cache.put_answers(self._source, hidden)
        rows.sort(key=lambda row: (row.revision.timestamp, row.revision.revision_id))
        listed = [row.revision for row in rows]
        return page, rows[span(listed, datetime.fromtimestamp(start, UTC), None, standing=True)]

    def _pages_of(self, asked: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        """All answers to a question, following ``continue``."""
        more: Mapping[str, str] = {}
        while True:
            reply = self._client.query(**{**asked, **more})
            yield reply
            if "continue" not in reply:
                return
            if reply["continue"] == more:
                raise FrescoError(f"{self._client.url}: the wiki continues its answer where it began; report it there")
            more = reply["continue"]

    def renew(self, end: datetime) -> int | None:
        """Ask what has changed since an earlier edition was read; all other pages are not asked for again.

        What a wiki hides from everybody, its log included (oversight), is not noticed.

        Args:
            end: Of what will be asked of histories.

        Returns:
            How many pages are to be listed again; None where the wiki does not tell, because it has forgotten (90 days
            by default): then every page is.
        """
        _, stop = window(None, end)
        old = OldListings(self.cache, self._source, stop)
        if old.since is None:
            return 0
        self.cache.put_all_titles(self._source, None)
        self._ask_links(self.cache.links(self._source))
        now = int(time.time())
        changed = self._changed_since(old.since)
        return None if changed is None else old.renew(changed, now)

    def _changed_since(self, start: int) -> set[str] | None:
        first = self._client.query(**RECENT, rclimit="1")["query"]["recentchanges"]
        if not first or parse_timestamp(first[0]["timestamp"]).timestamp() > start:
            return None
        asked = {**RECENT, "rcstart": _api_time(start), "rclimit": _MOST_ROWS}
        found = (row for reply in self._pages_of(asked) for row in reply["query"]["recentchanges"])
        return {title for row in found for title in titles_of(row)}

    def resolve(self, titles: Collection[str]) -> Mapping[str, str]:
        """The title of the page that each linked title leads to today; asked once, 50 in one question."""
        found = {title: self.cache.link(self._source, title) for title in titles}
        found |= self._ask_links([title for title, target in found.items() if target is None and _may_be_asked(title)])
        return {title: target or title for title, target in found.items()}

    def _ask_links(self, titles: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(titles), _TITLES_PER_REQUEST):
            batch = titles[start : start + _TITLES_PER_REQUEST]
            links = {title: title for title in batch}
            for reply in self._pages_of({"titles": "|".join(batch), "redirects": "1"}):
                query = reply.get("query", {})
                leads = {row["from"]: row["to"] for row in query.get("normalized", ())}
                leads |= {row["from"]: row["to"] for row in query.get("redirects", ()) if not row.get("tofragment")}
                for title in batch:
                    for _ in range(_MOST_HOPS):
                        links[title] = leads.get(links[title], links[title])
            self.cache.put_links(self._source, links)
            found |= links
        return found

    def texts(self, revisions: Sequence[Revision]) -> Iterator[tuple[Revision, str]]:
        """The wikitext of each revision that can be had, in the order asked.

        Hidden and deleted revisions, redirects, and texts that do not match the hash are left out and noted in the
        report. A revision needs no listing first: its id is enough.
        """
        needed = dict.fromkeys(revision.revision_id for revision in revisions if not self._is_known(revision))
        titles = {revision.revision_id: revision.title for revision in revisions}
        pending = list(needed)
        for revision in revisions:
            while revision.revision_id in needed:
                limit = self._client.limit
                batch, pending = pending[:limit], pending[limit:]
                torn = self._fetch({number: titles[number] for number in batch})
                if torn:  # a text that was damaged on its way comes whole the second time
                    self._fetch({number: titles[number] for number in torn})
                for number in batch:
                    del needed[number]
            text = self._known_text(revision)
            if text is not None:
                yield revision, text

    def _fetch(self, titles: Mapping[int, str]) -> list[int]:
        """Ask for the texts of as many revisions as a question may name and keep every answer.

        Args:
            titles: Ids, with the title under which each was asked for.

        Returns:
            Ids of the texts that do not match their hash.
        """
        torn: list[int] = []
        asked = {
            "prop": "revisions",
            "revids": "|".join(map(str, titles)),
            "rvprop": "ids|timestamp|sha1|slotsha1|content",
            "rvslots": "main",
        }
        for reply in self._pages_of(asked):
            query = reply.get("query", {})
            bad = [int(row["revid"]) for row in query.get("badrevids", {}).values()]
            answers: list[tuple[int, Answer, str | None]] = [(id_, Answer(reason=Reason.DELETED), None) for id_ in bad]
            for page in query.get("pages", {}).values():
                for row in page.get("revisions", ()):
                    number = int(row["revid"])
                    answer, text = _answer(row)
                    if answer.reason is None and page["title"] != titles.get(number, page["title"]):
                        answer = Answer(answer.sha1, Reason.MOVED, f"now of {page['title']!r}")
                    if answer.reason is Reason.SHA1_MISMATCH:
                        torn.append(number)
                    answers.append((number, answer, text))
            self.cache.put_answers(self._source, answers)
        return torn


def _client(url: str, contact: str | None, **options: Any) -> Client:
    try:
        from fresco.builder.wikipedia.client import Client
    except ModuleNotFoundError as error:
        raise FrescoError(f"reading a wiki needs {error.name}; pip install 'fresco-ccs[build]'") from error
    return Client(url, contact, **options)


def _may_be_asked(title: str) -> bool:
    """Whether the API takes a title among others."""
    return bool(title) and len(title.encode()) <= 255 and not re.search(r"[|<>\[\]{}#\x00-\x1f]", title)


def _found(page: Mapping[str, Any]) -> Listing:
    if "invalid" in page or "special" in page:
        return Listing(None, Reason.INVALID, str(page.get("invalidreason", "")))
    if not page or "missing" in page:
        return Listing(None, Reason.MISSING, "")
    return Listing(page["title"])


def _revision(page: Mapping[str, Any], row: Mapping[str, Any]) -> Revision:
    when = parse_timestamp(row["timestamp"])
    return Revision(page["title"], int(page["pageid"]), int(row["revid"]), when, _stated_sha1(row))


def _stated_sha1(row: Mapping[str, Any]) -> str:
    # The revision's own hash is taken over all its slots: it is the text's only where there is no second slot.
    return str(row.get("slots", {}).get("main", {}).get("sha1") or row.get("sha1") or "")


def _answer(row: Mapping[str, Any]) -> tuple[Answer, str | None]:
    """What the wiki says of one revision: the answer to keep and, where there is one, the text."""
    slot = row.get("slots", {}).get("main", row)  # wikis before 1.32 have no slots
    for flag, reason in (
        ("suppressed", Reason.SUPPRESSED),
        ("texthidden", Reason.TEXT_HIDDEN),
        ("textmissing", Reason.TEXT_MISSING),
        ("slotsmissing", Reason.TEXT_MISSING),
    ):
        if flag in slot or flag in row:
            return Answer(reason=reason), None
    text = slot.get("*")
    if text is None:
        return Answer(reason=Reason.TEXT_MISSING), None
    model = slot.get("contentmodel", "wikitext")
    if model != "wikitext":
        return Answer(reason=Reason.NOT_WIKITEXT, detail=str(model)), None
    digest, stated = text_sha1(text), _stated_sha1(row)
    if stated and stated != digest:
        return Answer(reason=Reason.SHA1_MISMATCH, detail=f"the wiki says {stated}, its text has {digest}"), None
    return Answer(digest), text


def _api_time(seconds: int) -> str:
    return format_timestamp(datetime.fromtimestamp(seconds, UTC))
