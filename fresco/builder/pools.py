"""Pools: positives, outdated passages of every kind of conflict, and the hardest passages that answer nothing."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from fresco.builder.facts.values import Value, fold
from fresco.builder.hard_negatives import Ranking
from fresco.builder.near_duplicates import TwinIndex, shingles
from fresco.builder.queries import spoken
from fresco.builder.reading import may_state_another
from fresco.builder.revisions import Revision
from fresco.builder.statements import mentions, name_pattern
from fresco.builder.templates import Relation
from fresco.records import Conflict, Label, Passage

#: Positives of a pool, at most.
MOST_POSITIVES = 3
#: A pool is at most this much larger than its outdated passages allow by their share.
SMALLEST_POOL = 10


@dataclass(frozen=True, slots=True)
class Known:
    """A passage whose label is known before the pool is chosen.

    Attributes:
        label: The label.
        conflict: For outdated ones.
    """

    label: Label
    conflict: Conflict | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What a pool is built for.

    Attributes:
        text: The query.
        title: The page asked about.
        relation: The relation asked for.
        role: Words of the role.
        values: Current and earlier holders: near-topic passages must not mention one of them.
        known: Labels of passages of its own page, and of others that state a former value, by id.
    """

    text: str
    title: str
    relation: Relation
    role: str
    values: tuple[Value, ...]
    known: Mapping[str, Known]


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a pool, with the score by which it was chosen."""

    passage_id: str
    label: Label
    score: float
    conflict: Conflict | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a pool may be.

    Attributes:
        size: Candidates at most.
        share: Of outdated passages at least, where there are any: else the pool is smaller, down to
            :data:`SMALLEST_POOL`.
        snapshot: Whether passages of other pages are of an old snapshot and count as outdated, as published.
    """

    size: int
    share: float
    snapshot: bool = False

    def of(self, outdated: int) -> int:
        """Candidates of a pool that has so many outdated passages to offer."""
        if not self.share:
            return self.size
        return min(self.size, max(SMALLEST_POOL, int(outdated / self.share)))


def near_topic_revision(history: Sequence[Revision], *, oldest: bool = False) -> Revision:
    """The revision of a page from which near-topic passages come: SHA-256 of the title picks it, or it is the oldest.

    So near-topic passages are of all ages, and neither the newest nor the oldest date gives them away.
    """
    if oldest:
        return history[0]
    seed = hashlib.sha256(history[0].title.encode()).digest()
    return history[int.from_bytes(seed[:8]) % len(history)]


def by_hash(titles: Iterable[str], most: int) -> list[str]:
    """At most so many titles, picked by SHA-256, so that more pages move none; sorted."""
    return sorted(heapq.nsmallest(most, titles, key=_digest))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def choose(
    question: Question,
    ranking: Ranking,
    passages: Mapping[str, Passage],
    limits: Limits,
) -> tuple[list[Member], Counter[str]]:
    """The pool of a question: positives, outdated passages, then the hardest that answer nothing.

    Args:
        question: The question.
        ranking: Of what the question may take.
        passages: By id: the near-topic ones and the question's own.
        limits: How large the pool may be.

    Returns:
        The pool, positives first, then hardest first; and how many passages were passed over, by reason.
    """
    known = question.known
    positives = sorted((each for each, own in known.items() if own.label is Label.POSITIVE), key=_digest)
    outdated = [each for each, own in known.items() if own.label is Label.OUTDATED]
    outdated.sort(key=lambda each: (-ranking.own[each], each))
    if not limits.snapshot:
        outdated = _late_first(outdated, positives, passages)
    size = limits.of(len(outdated))
    pool = _Pool(passages)
    for each in positives[: min(MOST_POSITIVES, max(1, size // 4))]:
        pool.add(each, known[each])
    # Half of a pool, so that there is something beside them.
    for each in outdated:
        if pool.labelled(Label.OUTDATED) < max(1, size // 2):
            pool.add(each, known[each])
    scores = dict(ranking.own)
    for each, score in ranking.hardest:
        if len(pool) >= size:
            break
        scores[each] = score
        if each in known:
            if known[each].label is Label.INSUFFICIENT:
                pool.add(each, known[each])
        elif passages[each].title != question.title:
            if _mentions_any(question, passages[each]):
                pool.discarded["another page, mentions a value"] += 1
            elif _may_tell(question, passages[each]):
                pool.discarded["another page, may state a value of the subject"] += 1
            else:
                pool.add(each, Known(Label.OUTDATED if limits.snapshot else Label.NEAR_TOPIC))
    members = [Member(each, own.label, scores[each], own.conflict) for each, own in pool.members.items()]
    members.sort(key=lambda each: (each.label is not Label.POSITIVE, -each.score, each.passage_id))
    return members, pool.discarded


def _late_first(outdated: Sequence[str], positives: Sequence[str], passages: Mapping[str, Passage]) -> list[str]:
    """Outdated passages, those first that are not older than every positive, and few of the others where there are any.

    A pool in which every outdated passage is older than every positive is decided by the date. Where the page (or
    another one) still states a former value later, the pool is about that, and superseded revisions are the fewer.
    """
    first = min((passages[each].timestamp for each in positives), default=None)
    late = [each for each in outdated if first is not None and passages[each].timestamp >= first]
    others = [each for each in outdated if each not in late]
    return [*late, *others[: max(1, len(late) // 2)]] if late else others


class _Pool:
    """Members so far; what is a near-duplicate of one with another label is passed over."""

    def __init__(self, passages: Mapping[str, Passage]) -> None:
        self._passages = passages
        self._index = TwinIndex()
        self._labels: list[Label] = []
        self.members: dict[str, Known] = {}
        self.discarded: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self.members)

    def labelled(self, label: Label) -> int:
        """How many members bear the label."""
        return self._labels.count(label)

    def add(self, identifier: str, own: Known) -> None:
        text = _shingles(self._passages[identifier].body)
        if any(self._labels[number] is not own.label for number in self._index.twins(text)):
            self.discarded["near-duplicate of a passage with another label"] += 1
            return
        self._index.add(text)
        self._labels.append(own.label)
        self.members[identifier] = own


def _mentions_any(question: Question, passage: Passage) -> bool:
    text = f"{passage.title}\n{passage.section}\n{passage.body}"
    return any(mentions(question.relation, question.role, value, text) for value in question.values)


def _may_tell(question: Question, passage: Passage) -> bool:
    """Whether a passage of another page names the subject and may state a value of it that no fact knows."""
    name = name_pattern((spoken(question.title),))
    if not name.search(fold(f"{passage.title}\n{passage.body}")):
        return False
    return may_state_another(question.relation, question.role, passage.section, passage.body)


@lru_cache(maxsize=8192)
def _shingles(text: str) -> frozenset[str]:
    return shingles(text)
