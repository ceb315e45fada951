"""Intervals over subjects: the bootstrap, and for shares one that holds where events are rare.

The explicit and the implicit query of a fact, and the facts of one subject, share their passages: they are one draw,
not several. So subjects are resampled, with all their queries (cluster bootstrap, percentile interval; Efron &
Tibshirani 1993, chapters 8 and 13). A resample only needs each subject's sums, so it is one matrix product. Means of
values between 0 and 1 take :mod:`fresco.stats.shares` instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fresco.stats.arrays import FloatArray
from fresco.stats.shares import layered_bounds, share_bounds

#: Coverage of every interval in this package.
LEVEL = 0.95
# Resamples drawn at a time: bounds the memory for index arrays, and does not change what is drawn.
_CHUNK = 100


@dataclass(frozen=True, slots=True)
class Estimate:
    """Ratios of sums with their intervals, each of shape (columns,); NaN where undefined."""

    value: FloatArray
    low: FloatArray
    high: FloatArray


class SubjectBootstrap:
    """Resamples the subjects of a set of observations; the same draws serve every column.

    Args:
        subjects: Subject of each observation.
        resamples: How many.
        seed: Same seed, same draws.
    """

    def __init__(self, subjects: Sequence[str], *, resamples: int = 1000, seed: int = 0) -> None:
        names = sorted(set(subjects))
        code = {name: index for index, name in enumerate(names)}
        self._codes = np.array([code[subject] for subject in subjects], np.intp)
        self._resamples = resamples
        self._seed = seed
        self.n_subjects = len(names)

    @cached_property
    def _weights(self) -> FloatArray:
        """How often each subject was drawn, shape (resamples, subjects)."""
        rng = np.random.default_rng(self._seed)
        n = self.n_subjects
        weights = np.empty((self._resamples, n))
        for start in range(0, self._resamples, _CHUNK):
            rows = min(_CHUNK, self._resamples - start)
            drawn = rng.integers(n, size=(rows, n)) + n * np.arange(rows)[:, None]
            weights[start : start + rows] = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
        return weights

    def sums(self, columns: FloatArray) -> FloatArray:
        """Each subject's sums, shape (subjects, columns), of ``columns``, shape (observations, columns)."""
        summed = [np.bincount(self._codes, weights=column, minlength=self.n_subjects) for column in columns.T]
        return np.stack(summed, axis=1) if summed else np.zeros((self.n_subjects, 0))

    def replicate(self, columns: FloatArray) -> FloatArray:
        """The columns' sums in each resample, shape (resamples, columns)."""
        return self._weights @ self.sums(columns)

    def ratio(self, numerator: FloatArray, denominator: FloatArray) -> Estimate:
        """Sum of the numerator over sum of the denominator, column by column.

        A mean has a denominator of ones, a mean of what is sometimes undefined has zeros there, a weighted mean its
        weights, and a ratio of means the other mean.

        Args:
            numerator: Shape (observations, columns), 0 where the observation does not count.
            denominator: Likewise.

        Returns:
            Values with intervals. Resamples whose denominator is 0 are left out; fewer than two subjects give no
            interval.
        """
        value = divide(numerator.sum(axis=0), denominator.sum(axis=0))
        counted = (self.sums(denominator) != 0).sum(axis=0)
        if self.n_subjects < 2:
            nothing = np.full(value.shape, np.nan)
            return Estimate(value, nothing, nothing)
        low, high = percentile_interval(divide(self.replicate(numerator), self.replicate(denominator)))
        few = counted < 2
        return Estimate(value, np.where(few, np.nan, low), np.where(few, np.nan, high))

    def share(self, numerator: FloatArray, denominator: FloatArray) -> Estimate:
        """The same for means of values between 0 and 1; nothing is resampled, see :mod:`fresco.stats.shares`.

        Args:
            numerator: Shape (observations, columns), each value from 0 to the denominator beside it.
            denominator: Likewise, 0 where the observation does not count.
        """
        value = divide(numerator.sum(axis=0), denominator.sum(axis=0))
        sums = (self.sums(numerator), self.sums(denominator))
        return Estimate(value, *share_bounds(numerator, denominator, sums, level=LEVEL))

    def layered(self, numerator: FloatArray, denominator: FloatArray) -> Estimate:
        """:meth:`share` for skewed values, whose large ones are rare; :func:`fresco.stats.shares.layered_bounds`."""
        value = divide(numerator.sum(axis=0), denominator.sum(axis=0))
        return Estimate(value, *layered_bounds(numerator, denominator, self.sums, level=LEVEL))


def percentile_interval(replicates: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lower and upper bound of each column of ``replicates``, shape (resamples, columns); NaN replicates left out."""
    bounds = np.full((2, replicates.shape[1]), np.nan)
    some = ~np.isnan(replicates).all(axis=0)
    if some.any():
        tail = (1 - LEVEL) / 2
        bounds[:, some] = np.nanquantile(replicates[:, some], [tail, 1 - tail], axis=0)
    return bounds[0], bounds[1]


def divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Elementwise quotient, NaN where the denominator is 0."""
    quotient = np.full(numerator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator != 0)
    return quotient
