"""AUROC, rank correlation and means with bootstrap intervals over questions.

The trajectories of one question are no independent draws, so questions are resampled, each with all its trajectories
(:mod:`fresco.stats.intervals`). Ties count half in an AUROC and share their mean rank in a correlation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fresco.stats.intervals import SubjectBootstrap, divide, percentile_interval

_Floats = npt.NDArray[np.float64]
_CHUNK = 100  # resamples at a time: bounds the memory for weights


@dataclass(frozen=True, slots=True)
class Figure:
    """A value with its interval; None where undefined."""

    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = 0  # observations (or pairs, or groups) that it rests on


class Statistics:
    """Figures over the trajectories of some questions.

    Args:
        questions: Question of each trajectory.
        resamples: Bootstrap samples for each interval.
        seed: Of them.
    """

    def __init__(self, questions: Sequence[str], *, resamples: int = 1000, seed: int = 0) -> None:
        names = sorted(set(questions))
        place = {name: number for number, name in enumerate(names)}
        self._question = np.array([place[name] for name in questions], np.intp)
        self._resamples, self._seed = resamples, seed
        self._names = list(questions)
        # How often each question is drawn, shape (resamples, questions).
        self._drawn = SubjectBootstrap(names, resamples=resamples, seed=seed).replicate(np.eye(len(names)))

    def mean(self, values: _Floats) -> Figure:
        """Mean; NaN values are left out."""
        known = ~np.isnan(values)
        estimate = SubjectBootstrap(self._names, resamples=self._resamples, seed=self._seed).ratio(
            np.where(known, values, 0.0)[:, None], known.astype(float)[:, None]
        )
        return _figure(float(estimate.value[0]), float(estimate.low[0]), float(estimate.high[0]), int(known.sum()))

    def auroc(self, scores: _Floats, positive: _Floats) -> Figure:
        """Chance that a trajectory with ``positive`` 1 scores above one with 0; NaN in either is left out."""
        known = ~(np.isnan(scores) | np.isnan(positive))
        scores, is_positive, question = scores[known], positive[known] > 0, self._question[known]
        if not is_positive.any() or is_positive.all():
            return Figure(None)
        value = _weighted_auroc(scores, is_positive, np.ones((1, len(scores))))[0]
        replicates = np.concatenate(
            [
                _weighted_auroc(scores, is_positive, self._drawn[start : start + _CHUNK, question])
                for start in range(0, len(self._drawn), _CHUNK)
            ]
        )
        low, high = percentile_interval(replicates[:, None])
        return _figure(float(value), float(low[0]), float(high[0]), len(scores))

    def auroc_within(self, scores: _Floats, positive: _Floats) -> Figure:
        """The same over the pairs of one question: what a reward that is normalized within groups can use."""
        known = ~(np.isnan(scores) | np.isnan(positive))
        won, pairs = np.zeros(self._drawn.shape[1]), np.zeros(self._drawn.shape[1])
        for group in np.unique(self._question[known]):
            here = known & (self._question == group)
            high, low = scores[here & (positive > 0)], scores[here & (positive <= 0)]
            won[group] = (high[:, None] > low).sum() + 0.5 * (high[:, None] == low).sum()
            pairs[group] = len(high) * len(low)
        if not pairs.any():
            return Figure(None)
        return self._ratio(won, pairs, int(pairs.sum()))

    def spearman(self, left: _Floats, right: _Floats) -> Figure:
        """Rank correlation; the ranks are the whole sample's in every resample."""
        known = ~(np.isnan(left) | np.isnan(right))
        one, other = midranks(left[known]), midranks(right[known])
        sums = np.stack([np.ones_like(one), one, other, one * one, other * other, one * other], axis=1)
        if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
            return Figure(None)
        replicates = _pearson(self._drawn[:, self._question[known]] @ sums)
        low, high = percentile_interval(replicates[:, None])
        return _figure(float(_pearson(sums.sum(axis=0)[None])[0]), float(low[0]), float(high[0]), len(one))

    def kendall_within(self, left: _Floats, right: _Floats) -> Figure:
        """Kendall's tau-b within each question, averaged over the questions where both vary."""
        known = ~(np.isnan(left) | np.isnan(right))
        taus, counts = np.zeros(self._drawn.shape[1]), np.zeros(self._drawn.shape[1])
        for group in np.unique(self._question[known]):
            here = known & (self._question == group)
            tau = kendall(left[here], right[here])
            if tau is not None:
                taus[group], counts[group] = tau, 1.0
        return self._ratio(taus, counts, int(counts.sum())) if counts.any() else Figure(None)

    def spread(self, scores: _Floats) -> _Floats:
        """Standard deviation within each question of at least two known scores."""
        known = ~np.isnan(scores)
        groups = (scores[known & (self._question == group)] for group in range(self._drawn.shape[1]))
        return np.array([group.std() for group in groups if len(group) > 1])

    def _ratio(self, numerator: _Floats, denominator: _Floats, n: int) -> Figure:
        over = self._drawn @ denominator
        replicates = divide(self._drawn @ numerator, over)
        low, high = percentile_interval(replicates[:, None])
        return _figure(float(numerator.sum() / denominator.sum()), float(low[0]), float(high[0]), n)


def midranks(values: _Floats) -> _Floats:
    """Ranks from 1, equal values sharing their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: _Floats = ((2 * ends - counts + 1) / 2.0)[inverse]
    return ranks


def kendall(left: _Floats, right: _Floats) -> float | None:
    """Tau-b by all pairs; None where one of the two does not vary. For groups, not for whole data sets."""
    one, other = np.sign(left[:, None] - left), np.sign(right[:, None] - right)
    norm = math.sqrt(float(np.abs(one).sum()) * float(np.abs(other).sum()))
    return float((one * other).sum()) / norm if norm else None


def _weighted_auroc(scores: _Floats, positive: npt.NDArray[np.bool_], weights: _Floats) -> _Floats:
    """AUROC under each row of observation weights, shape (rows, observations); NaN where a side has no weight."""
    _, inverse = np.unique(scores, return_inverse=True)
    starts = np.flatnonzero(np.diff(np.sort(inverse), prepend=-1))
    order = np.argsort(inverse, kind="stable")
    above = np.add.reduceat(np.where(positive, weights, 0.0)[:, order], starts, axis=1)
    below = np.add.reduceat(np.where(positive, 0.0, weights)[:, order], starts, axis=1)
    won = (above * (np.cumsum(below, axis=1) - below / 2)).sum(axis=1)
    pairs = above.sum(axis=1) * below.sum(axis=1)
    return divide(won, pairs)


def _pearson(sums: _Floats) -> _Floats:
    """From rows of (n, x, y, xx, yy, xy)."""
    n, x, y, xx, yy, xy = sums.T
    norm = np.sqrt(np.clip(n * xx - x * x, 0, None) * np.clip(n * yy - y * y, 0, None))
    return divide(n * xy - x * y, norm)


def _figure(value: float, low: float, high: float, n: int) -> Figure:
    bounds = [None if math.isnan(each) else each for each in (value, low, high)]
    return Figure(bounds[0], bounds[1], bounds[2], n)
