"""Recency priors whose parameter is chosen on the validation split, with and without a gate over the question.

The criterion is that of the instruction search's baselines: the harmonic mean of EK and NEK MAP, which gives neither
side up. Each grid holds the value that leaves the base as it is, so that a choice is never worse than the base on
validation. How sure the choice is, is said by making it again in each resample of the subjects.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fresco.optimizer.baselines import ALPHAS, DAYS
from fresco.optimizer.search.objective import precisions
from fresco.optimizer.search.racing import ek_and_nek, resampled
from fresco.records import Pool
from fresco.rerank.base import Reranker
from fresco.rerank.gate import Gate
from fresco.rerank.recency import PRIORS, Recency
from fresco.stats.arrays import FloatArray
from fresco.stats.intervals import percentile_interval

#: The values tried of each prior; the neutral one first.
GRIDS: Mapping[str, Sequence[float]] = {"half-life": DAYS, "tempralm": ALPHAS, "mrag": DAYS}


@dataclass(frozen=True)
class FittedPrior:
    """A prior at its chosen value.

    Attributes:
        name: ``half-life``, or ``half-life+gate``.
        cure: The prior.
        grid: Each value tried with its EK and NEK MAP on validation.
        low: Lower end of the 95 % interval of the chosen value over resamples of the subjects.
        high: Upper end.
        balance: Harmonic mean of EK and NEK MAP on validation at the chosen value.
    """

    name: str
    cure: Recency
    grid: tuple[tuple[float, float, float], ...]
    low: float
    high: float
    balance: float

    def record(self) -> dict[str, Any]:
        """For JSON, where an infinite value is the text ``inf``."""
        return {
            "name": self.name,
            "prior": self.cure.prior,
            "parameter": PRIORS[self.cure.prior][1],
            "value": _plain(self.cure.value),
            "ci_low": _plain(self.low),
            "ci_high": _plain(self.high),
            "gated": self.cure.gate is not None,
            "neutral": self.cure.neutral,
            "balance": round(self.balance, 12),
            "grid": [
                {"value": _plain(value), "EK": round(ek, 12), "NEK": round(nek, 12)} for value, ek, nek in self.grid
            ],
        }


def fit_priors(
    base: Reranker,
    pools: Sequence[Pool],
    scores: Sequence[FloatArray],
    gate: Gate | None,
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> list[FittedPrior]:
    """Choose the parameter of every prior, alone and, where there is a gate, behind it.

    Args:
        base: What the priors go over; it scores nothing here.
        pools: Of the validation split.
        scores: The base's, an array for each pool.
        gate: Fitted on other subjects.
        seed: Of the resampling.
        resamples: How many.
    """
    opens = None if gate is None else np.array([gate.opens(pool.query.content) for pool in pools])
    found = []
    for prior, values in GRIDS.items():
        grid = [fused(Recency(prior, value), base, pools, scores) for value in values]
        columns = np.stack([precisions(pools, own) for own in grid], axis=1)
        found.append(_choose(prior, None, columns, pools, seed, resamples))
        if opens is not None:  # where the gate is shut the pool has the value of the neutral parameter, which is first
            gated = np.where(opens[:, None], columns, columns[:, :1])
            found.append(_choose(prior, gate, gated, pools, seed, resamples))
    return found


def fused(cure: Recency, base: Reranker, pools: Sequence[Pool], scores: Sequence[FloatArray]) -> list[FloatArray]:
    """What the prior makes of the base's scores, pool by pool."""
    over = cure.over(base)
    return [over.fuse(pool.query, pool.passages, own.tolist()) for pool, own in zip(pools, scores, strict=True)]


def _choose(
    prior: str, gate: Gate | None, columns: FloatArray, pools: Sequence[Pool], seed: int, resamples: int
) -> FittedPrior:
    """The best column; ``columns`` holds average precisions, shape (pools, values of the grid)."""
    values = GRIDS[prior]
    points = [ek_and_nek(columns[:, place], pools) for place in range(len(values))]
    best = int(np.argmax(_balance(*(np.array(side) for side in zip(*points, strict=True)))))
    again = np.argmax(_balance(*resampled(columns, pools, resamples=resamples, seed=seed)), axis=1)
    # Places in the grid, in order of strength: an infinite value has no quantile.
    low, high = percentile_interval(again[:, None].astype(np.float64))
    ends = sorted(values[int(end)] for end in (math.floor(low[0]), math.ceil(high[0])))
    grid = tuple((value, *point) for value, point in zip(values, points, strict=True))
    name = prior if gate is None else f"{prior}+gate"
    balance = float(_balance(*map(np.array, points[best])))
    return FittedPrior(name, Recency(prior, values[best], gate), grid, ends[0], ends[1], balance)


def _balance(ek: FloatArray, nek: FloatArray) -> FloatArray:
    total = ek + nek
    return np.asarray(np.divide(2 * ek * nek, total, out=np.zeros_like(total), where=total > 0))


def _plain(value: float) -> float | str:
    return value if math.isfinite(value) else "inf"
