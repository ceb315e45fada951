"""A ranking as tiers of equal scores.

Within a tier the order is unknown, so every metric here is its expectation over the orders of the tied, each equally
likely: the order of the input must never become a rank. Ranking metrics with closed forms for that expectation:
McSherry & Najork, "Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores",
ECIR 2008.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fresco.stats.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True)
class Tiers:
    """The tiers of one pool, best first.

    Attributes:
        size: Passages in each tier, shape (tiers,).
        positive: Positives among them, shape (tiers,).
        outdated: Outdated passages among them, shape (tiers,).
    """

    size: IntArray
    positive: IntArray
    outdated: IntArray

    @classmethod
    def of(cls, scores: FloatArray, positive: BoolArray, outdated: BoolArray) -> Tiers:
        """Group a pool by score.

        Args:
            scores: Finite, higher is better, shape (passages,).
            positive: Whether a passage is positive; at least one is.
            outdated: Whether a passage is outdated.
        """
        _, tier, size = np.unique(-scores, return_inverse=True, return_counts=True)
        n = len(size)
        return cls(size, np.bincount(tier[positive], minlength=n), np.bincount(tier[outdated], minlength=n))

    @property
    def above(self) -> IntArray:
        """Passages in better tiers, for each tier."""
        return np.cumsum(self.size) - self.size

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
        """Whether the order of the tied can change any metric.

        It can where a tier mixes positives with negatives, or where the top tier mixes outdated passages with others.
        """
        mixed = (self.positive > 0) & (self.positive < self.size)
        return bool(mixed.any() or 0 < self.outdated[0] < self.size[0])

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

    @property
    def expected_rank(self) -> float:
        """Expected rank of the first positive, from 1."""
        above, law = self.law_of_first()
        return above + float(law @ np.arange(1, len(law) + 1))
