"""What the stages of a build read of its pages: the window's history, a sample of it, parsed revisions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from fresco.builder.config import BuildConfig
from fresco.builder.pairs import Pair, wanted_revisions
from fresco.builder.pools import near_topic_revision
from fresco.builder.revisions import PassingSource, Revision, RevisionSource
from fresco.builder.sampling import sample
from fresco.builder.wikitext import Page
from fresco.builder.wikitext.parsed import Parser

_CHUNK = 200


def window(config: BuildConfig) -> tuple[datetime | None, datetime]:
    """Beginning and end of what a build reads."""
    # Documents have no earlier revision that stood. A sample looks back by one stretch from the window's beginning.
    start = None if config.documents else config.since - timedelta(days=config.sample_days)
    return start, config.reference + timedelta(seconds=1)


class Reader:
    """Reads pages for a build.

    Args:
        config: Says which time is read.
        source: Where revisions come from.
        parser: Parses them.

    Attributes:
        source: See above.
        parser: See above.
    """

    def __init__(self, config: BuildConfig, source: RevisionSource, parser: Parser) -> None:
        self._config = config
        self.source = source
        self.parser = parser

    def history(self, title: str) -> Sequence[Revision]:
        """The revisions of a page in the window, with the one that stood at its beginning."""
        return self.source.history(title, *window(self._config), standing=True)

    def sample(self, title: str) -> list[Revision]:
        """The revisions of a page that are read for its facts."""
        config = self._config
        return sample(self.history(title), config.since, config.reference, config.sample_days)

    def wanted(self, pair: Pair) -> list[Revision]:
        """The revisions to read for a pair."""
        config = self._config
        return wanted_revisions(pair, self.history(pair.subject), config.reference, config.per_interval)

    def near_topic(self, title: str) -> Revision | None:
        """The revision of a page that gives near-topic passages; None where there is none in the window."""
        sampled = self.sample(title)
        return near_topic_revision(sampled, oldest=self._config.like_paper) if sampled else None

    def let_pass(self, pairs: Sequence[Pair], near: Sequence[str]) -> None:
        """Let the pages that a build goes on with pass, so that what it reads of them is kept.

        Args:
            pairs: What the build asks.
            near: Titles of pages that give near-topic passages.
        """
        if not isinstance(self.source, PassingSource):
            return
        of_page: dict[str, list[Pair]] = defaultdict(list)
        for pair in pairs:
            of_page[pair.subject].append(pair)
        near_too = set(near)
        for title, _ in self.source.passing(
            [*of_page, *sorted(near_too - of_page.keys())], *window(self._config), listed=True
        ):
            self.source.keep(self.kept(title, of_page.get(title, ()), is_near=title in near_too))

    def kept(self, title: str, pairs: Sequence[Pair], *, is_near: bool) -> set[Revision]:
        """The revisions of a page that the stages behind the facts read."""
        found = {each for pair in pairs for each in self.wanted(pair)}
        if is_near and (near := self.near_topic(title)) is not None:
            found.add(near)
        return found

    def page(self, revision: Revision, *, whole: bool) -> Page | None:
        """A revision that was parsed."""
        return self.parser.known(revision.sha1, whole=whole, markup=revision.markup)

    def parse(
        self,
        revisions: Sequence[Revision],
        *,
        whole: bool,
        problems: Counter[str],
        tick: Callable[[int, int], None] = lambda *_: None,
    ) -> set[Revision]:
        """Fetch and parse what is not parsed yet; gives the revisions that can be had."""
        read: set[Revision] = set()
        failed: list[Revision] = []
        if isinstance(self.source, PassingSource):
            self.source.fetch(each for each in revisions if not self._has(each, whole))
        for start in range(0, len(revisions), _CHUNK):
            chunk = revisions[start : start + _CHUNK]
            missing = [each for each in chunk if not self._has(each, whole)]
            read.update(set(chunk) - set(missing))
            texts = self.source.texts(missing) if missing else iter(())
            pages = self.parser.pages(texts, whole=whole, failed=failed.append, markup_of=lambda each: each.markup)
            for done, (revision, _) in enumerate(pages):
                tick(start + len(chunk) - len(missing) + done, len(revisions))
                read.add(revision)
        if failed:
            problems["revision that the parser gave up on"] += len(failed)
        if absent := len(revisions) - len(read) - len(failed):
            problems["revision that the source does not give"] += absent
        tick(len(revisions), len(revisions))
        return read

    def _has(self, revision: Revision, whole: bool) -> bool:
        return self.parser.has(revision.sha1, whole=whole, markup=revision.markup)
