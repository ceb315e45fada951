"""A ranking as tiers of equal scores.

Within a tier the order is unknown, so every metric here is its expectation over the orders of the tied, each equally
likely: the order of the input must never become a rank. Ranking metrics with closed forms for that expectation:
McSherry & Najork, "Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores",
ECIR 2008.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from fresco.records import Conflict, Label, Pool
from fresco.stats.arrays import BoolArray, FloatArray, IntArray

#: Beside the kinds of conflict, what :meth:`Tiers.against` takes: negatives from older revisions or old snapshots.
SUPERSEDED: Final = "superseded"


@dataclass(frozen=True, slots=True)
class Tiers:
    """The tiers of one pool, best first.

    Attributes:
        size: Passages in each tier, shape (tiers,).
        positive: Positives among them, shape (tiers,).
        outdated: Outdated passages among them, shape (tiers,).
        gain: Sum of their grades, negative ones taken as 0, shape (tiers,).
        ideal: The grades above 0 of all judged passages, largest first, shape (gainful passages,).
        uneven: Whether the grades inside each tier differ, shape (tiers,).
        missed: How many relevant passages are no candidates.
        place: The tier of each passage, in pool order, shape (passages,).
        pool: Where the counts come from.
    """

    size: IntArray
    positive: IntArray
    outdated: IntArray
    gain: IntArray
    ideal: IntArray
    uneven: BoolArray
    missed: int
    place: IntArray
    pool: Pool = field(repr=False)

    @classmethod
    def of(cls, pool: Pool, scores: FloatArray) -> Tiers:
        """Group a pool by score.

        Args:
            pool: The passages with their labels and grades.
            scores: Finite, higher is better, shape (passages,).
        """
        _, place, size = np.unique(-np.asarray(scores, np.float64), return_inverse=True, return_counts=True)
        n = len(size)
        gains = np.maximum(pool.grades, 0)
        highest, lowest = np.zeros(n, np.intp), np.full(n, gains.max())
        np.maximum.at(highest, place, gains)
        np.minimum.at(lowest, place, gains)
        positive, outdated = (
            np.bincount(place[_labelled(pool, label)], minlength=n) for label in (Label.POSITIVE, Label.OUTDATED)
        )
        return cls(
            size=size,
            positive=positive,
            outdated=outdated,
            gain=np.bincount(place, weights=gains, minlength=n).astype(np.intp),
            ideal=np.sort([*gains[gains > 0], *(grade for _, grade in pool.missed)])[::-1],
            uneven=highest > lowest,
            missed=len(pool.missed),
            place=place,
            pool=pool,
        )

    def at_level(self, rel: int) -> Tiers:
        """The same tiers where a passage is positive from grade ``rel`` on; possibly none is."""
        return dataclasses.replace(
            self,
            positive=self._count(np.asarray(self.pool.grades) >= rel),
            missed=sum(grade >= rel for _, grade in self.pool.missed),
        )

    def against(self, of: str) -> Tiers | None:
        """The same tiers where only some passages count as outdated.

        Args:
            of: A kind of conflict, or :data:`SUPERSEDED`.

        Returns:
            None where the pool does not say, or holds no outdated passage of that kind of conflict.
        """
        pool = self.pool
        if of == SUPERSEDED:
            if not pool.superseded:
                return None
            return dataclasses.replace(
                self, outdated=self._count(np.asarray(pool.superseded) & ~_labelled(pool, Label.POSITIVE))
            )
        kind = Conflict(of)
        chosen = np.array([own is kind for own in pool.conflicts], np.bool_)
        return dataclasses.replace(self, outdated=self._count(chosen)) if chosen.any() else None

    def with_outdated_as_positive(self) -> Tiers:
        """The same tiers where the outdated passages are the positives, for :meth:`law_of_first` of them."""
        return dataclasses.replace(self, positive=self.outdated)

    def _count(self, chosen: BoolArray) -> IntArray:
        return np.bincount(self.place[chosen], minlength=len(self.size))

    @property
    def above(self) -> IntArray:
        """Passages in better tiers, for each tier."""
        return np.cumsum(self.size) - self.size

    @property
    def relevant(self) -> int:
        """Relevant passages, candidates or not."""
        return int(self.positive.sum()) + self.missed

    @property
    def first(self) -> int:
        """Index of the best tier that holds a positive."""
        return int(np.argmax(self.positive > 0))

    @property
    def tied(self) -> int:
        """How many passages share their score with another one."""
        return int(self.size[self.size > 1].sum())

    @property
    def ties_matter(self) -> bool:
        """Whether the order of the tied can change any measure of the standard set.

        It can where a tier mixes positives with negatives, or different grades, or where the top tier mixes outdated
        passages with others.
        """
        mixed = (self.positive > 0) & (self.positive < self.size)
        return bool(mixed.any() or self.uneven.any() or 0 < self.outdated[0] < self.size[0])

    def law_of_first(self) -> tuple[int, FloatArray]:
        """Where the first positive stands.

        Returns:
            The number of passages in better tiers, and for i = 0, 1, ... the probability that i negatives of its own
            tier come before it (negative hypergeometric).
        """
        size, positive = int(self.size[self.first]), int(self.positive[self.first])
        orders = math.comb(size, positive)
        law = [math.comb(size - 1 - i, positive - 1) / orders for i in range(size - positive + 1)]
        return int(self.above[self.first]), np.array(law)

    def first_within(self, cutoff: int) -> float:
        """Probability that the first positive stands at the cutoff or above it."""
        above, law = self.law_of_first()
        inside = max(cutoff - above, 0)
        # The whole law sums to one only up to rounding, and a certain hit is exactly 1.
        return 1.0 if inside >= len(law) else float(law[:inside].sum())

    def expected_positives(self, cutoff: int) -> float:
        """Expected number of positives at the cutoff or above it."""
        inside = np.clip(cutoff - self.above, 0, self.size)
        return float((self.positive * (inside / self.size)).sum())

    @property
    def expected_rank(self) -> float:
        """Expected rank of the first positive, from 1; NaN where no candidate is one."""
        if not self.positive.any():
            return math.nan
        above, law = self.law_of_first()
        return above + float(law @ np.arange(1, len(law) + 1))


def _labelled(pool: Pool, label: Label) -> BoolArray:
    return np.fromiter((own is label for own in pool.labels), np.bool_, len(pool))
