"""The conflicts inside EK pools: every positive against every outdated passage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fresco.records import Label, Pool, Task
from fresco.stats.arrays import FloatArray, IntArray

_SECONDS_A_DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class ConflictPairs:
    """Pairs of a positive and an outdated passage of one EK pool.

    Attributes:
        pool: Index of the pool, shape (pairs,).
        positive: Index of the positive among the passages of all pools laid end to end, shape (pairs,).
        outdated: Index of the outdated passage, likewise.
        gap_days: Date of the positive minus date of the outdated passage, in days, shape (pairs,). Negative where the
            outdated text bears the newer date.
    """

    pool: IntArray
    positive: IntArray
    outdated: IntArray
    gap_days: FloatArray

    def __len__(self) -> int:
        return len(self.pool)

    def wins(self, scores: FloatArray) -> FloatArray:
        """1 where the positive scores higher, 0.5 where both score the same, else 0.

        Args:
            scores: The scores of all pools laid end to end.
        """
        difference = scores[self.positive] - scores[self.outdated]
        return (np.sign(difference) + 1) / 2


def conflict_pairs(pools: Sequence[Pool]) -> ConflictPairs:
    """Every pair of a positive and an outdated passage, in pool order; pools that are not EK have none."""
    rows: list[tuple[int, int, int, float]] = []
    start = 0
    for index, pool in enumerate(pools):
        if pool.query.task is Task.EK:
            days = [passage.timestamp.timestamp() / _SECONDS_A_DAY for passage in pool.passages]
            old = [i for i, label in enumerate(pool.labels) if label is Label.OUTDATED]
            new = [i for i, label in enumerate(pool.labels) if label is Label.POSITIVE]
            rows += [(index, start + p, start + o, days[p] - days[o]) for p in new for o in old]
        start += len(pool)
    pool_of, positive, outdated, gap = zip(*rows, strict=True) if rows else ((), (), (), ())
    return ConflictPairs(
        np.array(pool_of, np.intp), np.array(positive, np.intp), np.array(outdated, np.intp), np.array(gap, np.float64)
    )
