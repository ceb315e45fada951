"""What workers do of a build, one page or one question at a time; no disk and no network, so any machine will do.

Each is a frozen dataclass that is called with an item: the dataclass is what a worker is sent once, the item what it is
asked. :mod:`fresco.builder.pipeline` and :mod:`fresco.builder.assemble` map them.
"""

from __future__ import annotations

from collections import ChainMap, Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fresco.builder.align import Aligned, Pages, align
from fresco.builder.config import BuildConfig
from fresco.builder.cross_document import stating_elsewhere
from fresco.builder.hard_negatives import Scores
from fresco.builder.pairs import Pair
from fresco.builder.paper import align_like_paper
from fresco.builder.pools import Limits, Member, Question, choose
from fresco.builder.queries import in_a_question
from fresco.builder.revisions import Revision
from fresco.builder.rows import Row, aligned_row, row_values
from fresco.builder.templates import Relation
from fresco.builder.wikitext.parsed import unpacked
from fresco.records import Passage, parse_timestamp


@dataclass(frozen=True, slots=True)
class OfPage:
    """The pairs of one subject.

    Attributes:
        pairs: Of the subject.
        pages: The revisions that were read for it, oldest first, each as the parser keeps it.
        newest: The newest revision of its page.
    """

    pairs: Sequence[Pair]
    pages: Sequence[tuple[Revision, bytes]]
    newest: Revision | None


@dataclass(frozen=True, slots=True)
class Aligner:
    """Aligns the pairs of a page: for each its row, with what was discarded in it, or why it is dropped."""

    config: BuildConfig

    def __call__(self, own: OfPage) -> list[Row | str]:
        """The outcome for each pair, in their order."""
        pages = [(revision, unpacked(page)) for revision, page in own.pages]
        found: list[Row | str] = []
        for pair in own.pairs:
            aligned = self._aligned(pair, pages, own.newest)
            if isinstance(aligned, str):
                found.append(aligned)
                continue
            lead = pages[-1][1].sections[0].text if pages[-1][1].sections else ""
            found.append({**aligned_row(aligned), "spoken": in_a_question(pair.subject, lead)})
        return found

    def _aligned(self, pair: Pair, pages: Pages, newest: Revision | None) -> Aligned | str:
        config = self.config
        if config.like_paper:
            return align_like_paper(pair, pages, config.reference)
        return align(pair, pages, config.reference, infobox=config.infobox, newest=newest, documents=config.documents)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Ids of near-topic passages that state a former value of an aligned pair; see :mod:`.cross_document`."""

    relations: Mapping[str, Relation]
    near: Mapping[str, Passage]

    def __call__(self, row: Row) -> list[str]:
        """The ids for a row of the ``align`` stage."""
        relation = self.relations[row["relation"]]
        values, count = row_values(row, relation.values), len(row["current"])
        since = parse_timestamp(row["since"])
        current, former = values[:count], values[count:]
        return list(stating_elsewhere(row["subject"], relation, row["role"], current, former, since, self.near))


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with what may answer it.

    Attributes:
        question: The question.
        own: The passages that it knows, by id.
        scores: Of these and of the near-topic passages.
    """

    question: Question
    own: dict[str, Passage]
    scores: Scores


@dataclass(frozen=True, slots=True)
class Chooser:
    """Chooses a question's pool; see :func:`fresco.builder.pools.choose`."""

    near: dict[str, Passage]
    near_ids: Sequence[str]
    limits: Limits

    def __call__(self, asked: Asked) -> tuple[list[Member], Counter[str]]:
        """The pool, and how many passages were passed over, by reason."""
        passages = ChainMap(asked.own, self.near)
        return choose(asked.question, asked.scores.ranking(self.near_ids), passages, self.limits)
