"""Intervals for means of values between 0 and 1 over clusters, which hold where events are rare.

A bootstrap that never drew an event answers ``[0, 0]``. So a share is read as that of an effective number of
observations (Korn & Graubard 1998, Survey Methodology 24): as many independent yes-or-no draws as give the variance
that is seen between subjects, corrected for its degrees of freedom by Student's t, and from them the exact interval of
Clopper & Pearson (1934).

How alike the observations of one subject are cannot be seen from a handful of events, and a guess that is too low makes
the interval too short. So the estimated design effect is drawn towards the largest one possible, that of subjects whose
observations are all alike, with the weight of :data:`PRIOR_SUBJECTS` subjects against those that bear the rarer
outcome. ``eval/coverage.py`` shows what that covers.

Values such as one over a rank lie close together near their floor, with a rare one far above: what was seen varies too
little to tell of what was not. :func:`layered_bounds` cuts such a value into layers, each of them almost yes or no.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
from scipy import special

from fresco.stats.arrays import FloatArray

#: Weight, in subjects, of the assumption that a subject's observations are all alike. Found by simulation.
PRIOR_SUBJECTS = 8
#: Where values are cut into layers; the lower edges are close together, as one over a rank is.
EDGES = (0.0, 0.06, 0.1, 0.18, 0.3, 0.45, 0.7, 1.0)
# Sums such as 0.1 + 0.2 leave a residue where nobody had anything.
_RESIDUE = 1e-12


def share_bounds(
    numerator: FloatArray, denominator: FloatArray, by_subject: tuple[FloatArray, FloatArray], *, level: float
) -> tuple[FloatArray, FloatArray]:
    """Bounds of the sum of each numerator over the sum of its denominator.

    Args:
        numerator: Shape (observations, columns), each value from 0 to the denominator beside it.
        denominator: Weights of the observations, 0 where one does not count.
        by_subject: Each subject's sums of both, shape (subjects, columns).
        level: Coverage.

    Returns:
        Lower and upper bounds, each of shape (columns,); NaN where fewer than two subjects count.
    """
    counted = (by_subject[1] > 0).sum(axis=0)
    bounds = np.full((2, numerator.shape[1]), np.nan)
    enough = counted > 1
    if not enough.any():
        return bounds[0], bounds[1]
    numerator, denominator = numerator[:, enough], denominator[:, enough]
    own = (by_subject[0][:, enough], by_subject[1][:, enough])
    share = np.clip(numerator.sum(axis=0) / denominator.sum(axis=0), 0.0, 1.0)
    tail = (1 - level) / 2
    penalty = special.ndtri(1 - tail) / special.stdtrit(counted[enough] - 1, 1 - tail)
    size = effective_size(numerator, denominator, own) * penalty**2
    events, misses = share * size, (1 - share) * size
    with np.errstate(invalid="ignore", divide="ignore"):
        low = np.where(share > _RESIDUE, special.betaincinv(events, misses + 1, tail), 0.0)
        high = np.where(share < 1 - _RESIDUE, special.betaincinv(events + 1, misses, 1 - tail), 1.0)
    bounds[:, enough] = low, high
    return bounds[0], bounds[1]


def layered_bounds(
    numerator: FloatArray, denominator: FloatArray, sums: Callable[[FloatArray], FloatArray], *, level: float
) -> tuple[FloatArray, FloatArray]:
    """Bounds as :func:`share_bounds` gives them, of one layer of the values at a time, and added up.

    A value v is the sum over the layers from a to b of (b - a) times the part of the layer that it fills, so its mean
    is the same sum over the layers' means, and of the bounds of these. In a layer that nobody reached, the bound is
    that of an event which was never seen. The sum is wider than it need be, for the layers do not err all together.

    Args:
        numerator: As in :func:`share_bounds`.
        denominator: Likewise.
        sums: Gives each subject's sums of columns, shape (subjects, columns).
        level: Coverage.
    """
    low, high = np.zeros(numerator.shape[1]), np.zeros(numerator.shape[1])
    weights = sums(denominator)
    for lower, upper in pairwise(EDGES):
        filled = np.clip((numerator - lower * denominator) / (upper - lower), 0.0, denominator)
        own_low, own_high = share_bounds(filled, denominator, (sums(filled), weights), level=level)
        low += (upper - lower) * own_low
        high += (upper - lower) * own_high
    return low, high


def effective_size(
    numerator: FloatArray, denominator: FloatArray, by_subject: tuple[FloatArray, FloatArray]
) -> FloatArray:
    """The number of independent yes-or-no draws whose mean would vary as much, shape (columns,).

    Args:
        numerator: As in :func:`share_bounds`, at least two subjects in every column.
        denominator: Likewise.
        by_subject: Likewise.
    """
    of, weight = by_subject
    total, squares = denominator.sum(axis=0), (denominator**2).sum(axis=0)
    share = numerator.sum(axis=0) / total
    alone = total**2 / squares  # as if each observation were a subject of its own
    worst = (weight**2).sum(axis=0) / squares  # the design effect where the observations of a subject are all alike
    apart = ((numerator - share * denominator) ** 2).sum(axis=0) / total**2
    between = ((of - share * weight) ** 2).sum(axis=0) / total**2
    n = (weight > 0).sum(axis=0)
    varies = apart > _RESIDUE * share
    safe = np.where(varies, apart, 1.0)
    estimated = np.where(varies, n / (n - 1) * between / safe, worst)
    seen = np.minimum((of > _RESIDUE).sum(axis=0), (weight - of > _RESIDUE).sum(axis=0))
    effect = (seen * np.maximum(estimated, 1.0) + PRIOR_SUBJECTS * worst) / (seen + PRIOR_SUBJECTS)
    # Fractions vary less than yes and no: they stand for more draws than there are of them.
    size: FloatArray = np.where(varies, share * (1 - share) / safe, alone) / effect
    return size
