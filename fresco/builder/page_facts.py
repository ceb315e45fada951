"""Facts that lie in the pages themselves, read page by page.

Of a source whose pages pass (a dump), each is decided on while it does: what the later stages read of a page is kept
where its facts make a pair, and nothing where they do not. A note of the facts stays until the stage is through, so
that a build that was killed goes on with the pages that are left.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from fresco.builder.config import BuildConfig, Progress
from fresco.builder.facts import Fact
from fresco.builder.facts.infobox import Dated, facts_of_page
from fresco.builder.markup import prose_of
from fresco.builder.pairs import Pair, pairs
from fresco.builder.reader import Reader, window
from fresco.builder.revisions import PassingSource, Revision
from fresco.builder.rows import fact_row, row_fact
from fresco.builder.templates import Relation
from fresco.builder.wikitext import references
from fresco.builder.wikitext.parsed import Parser


class PageFacts:
    """Reads the facts of pages.

    Args:
        config: Of the build.
        reader: Reads the pages.
        relations: Which facts to look for.
        near: Gives the titles of the pages that give near-topic passages.
        words: What decides the facts: notes of other facts are not used.
        problems: What is wrong with pages is counted here.
        progress: Told how many are read.

    Attributes:
        pages: How many pages there are.
    """

    def __init__(
        self,
        config: BuildConfig,
        reader: Reader,
        relations: Sequence[Relation],
        near: Callable[[], Sequence[str]],
        words: Sequence[object],
        problems: Counter[str],
        progress: Progress,
    ) -> None:
        self._config = config
        self._reader = reader
        self._relations = relations
        self._near = near
        self._words = hashlib.sha256(json.dumps([str(each) for each in words]).encode()).hexdigest()
        self._problems = problems
        self._progress = progress
        self.pages = 0

    def read(self, titles: Sequence[str], parser: Callable[[], Parser]) -> Iterator[Fact]:
        """The facts of pages.

        Args:
            titles: The pages; none: all.
            parser: Gives a parser that keeps what it parses for as long as it is open.
        """
        source = self._reader.source
        if isinstance(source, PassingSource):
            self.pages = len(titles) or source.count()
            with parser() as own:
                yield from self._passing(source, titles, Reader(self._config, source, own))
            return
        titles = titles or sorted(source.titles())
        self.pages = len(titles)
        for done, title in enumerate(titles):
            self._progress("facts", done, self.pages)
            yield from self._of_page(title, self._reader, self._problems)
        self._progress("facts", self.pages, self.pages)

    def _passing(self, source: PassingSource, titles: Sequence[str], reader: Reader) -> Iterator[Fact]:
        near = set(self._near())
        source.forget_notes(unless=self._words)
        for done, (title, note) in enumerate(source.passing(titles or None, *window(self._config))):
            self._progress("facts", done, self.pages)
            if note is None:
                problems = Counter[str]()
                found = list(self._of_page(title, reader, problems))
                reader.parser.forget()
                own = [each for each in self._pairs(found) if isinstance(each, Pair)]
                if own or title in near:
                    source.keep(reader.kept(title, own, is_near=title in near))
                source.note(json.dumps([[fact_row(each) for each in found], problems]))
            else:
                rows, problems = json.loads(note)
                found = [row_fact(row) for row in rows]
            self._problems.update(problems)
            yield from found
        self._progress("facts", self.pages, self.pages)

    def _pairs(self, facts: Sequence[Fact]) -> Iterator[object]:
        return pairs(sorted(set(facts), key=fact_order), self._relations, self._config.since, self._config.reference)

    def _of_page(self, title: str, reader: Reader, problems: Counter[str]) -> Iterator[Fact]:
        sampled = reader.sample(title)
        if not sampled:
            listed = any(self._config.since <= each.timestamp for each in reader.history(title))
            problems["page without usable text" if listed else "page without a revision in the window"] += 1
            return
        read = reader.parse(sampled, whole=False, problems=problems)
        pages = [(each, page) for each in sampled if each in read and (page := reader.page(each, whole=False))]
        if not pages:  # its texts are missing, hidden, no wikitext, or more than the parser can take
            problems["page without usable text"] += 1
            return
        ends = [*(each.timestamp for each, _ in pages[1:]), None]
        dated = [
            Dated(each.timestamp, end, page.infoboxes, partial(self._prose, each), partial(self._cited, each))
            for (each, page), end in zip(pages, ends, strict=True)
        ]
        yield from facts_of_page(
            sampled[0].title, dated, self._relations, resolve=reader.source.resolve, problems=problems
        )

    def _prose(self, revision: Revision) -> str:
        return next((prose_of(text, each.markup) for each, text in self._reader.source.texts([revision])), "")

    def _cited(self, revision: Revision) -> str:
        return next(("\n".join(references(text)) for _, text in self._reader.source.texts([revision])), "")


def fact_order(fact: Fact) -> tuple[object, ...]:
    """The order of the facts of a build."""
    return (fact.subject, fact.relation, fact.role, fact.start, fact.value, fact.source)
