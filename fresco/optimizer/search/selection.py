"""Which points of a set are worth keeping: dominance, crowding distance, hypervolume; two objectives, both maximized.

The last axis runs over the points, axes before it over resamples, so that a bootstrap costs one call. Definitions: Deb
et al. 2002, https://doi.org/10.1109/4235.996017 (dominance, crowding); Zitzler & Thiele 1999 (hypervolume).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fresco.optimizer.proposers.base import ScoredInstruction
from fresco.stats.arrays import BoolArray, FloatArray

_NOTHING = 1e-12  # of area: what rounding adds
_AT_A_TIME = 1_000_000  # values: 8 MB, in a handful of arrays


def non_dominated(ek: FloatArray, nek: FloatArray, *, first_of_equals: bool = False) -> BoolArray:
    """Which points no other point dominates.

    A point dominates another where it is at least as good on both sides and better on one; so equal points never
    dominate each other. A comparison with NaN never holds: a point with an undefined side is dominated by none.

    Args:
        ek: Shape (..., points).
        nek: The same shape.
        first_of_equals: Leave out a point that equals an earlier one.
    """
    one, other = (ek[..., :, None], nek[..., :, None]), (ek[..., None, :], nek[..., None, :])
    as_good = (other[0] >= one[0]) & (other[1] >= one[1])
    better = (other[0] > one[0]) | (other[1] > one[1])
    if first_of_equals:
        better |= np.tri(ek.shape[-1], k=-1, dtype=np.bool_)  # row: the point; column: an earlier one
    return np.asarray(~(as_good & better).any(axis=-1))


def hypervolume(ek: FloatArray, nek: FloatArray) -> FloatArray:
    """The area that the points dominate above (0, 0).

    Args:
        ek: Shape (..., points), 0 or more.
        nek: The same shape.

    Returns:
        Shape (...,). Both objectives are at most 1, so is the area.
    """
    order = np.argsort(-ek, axis=-1, kind="stable")
    width = np.take_along_axis(ek, order, axis=-1)
    height = np.maximum.accumulate(np.take_along_axis(nek, order, axis=-1), axis=-1)
    # Between a point's EK and the next lower one, the best NEK of all points up to here is what is dominated.
    steps = width - np.concatenate([width[..., 1:], np.zeros((*width.shape[:-1], 1))], axis=-1)
    return np.asarray((steps * height).sum(axis=-1))


def crowding_distance(ek: FloatArray, nek: FloatArray) -> FloatArray:
    """How far apart each point's neighbours on either side are, over the range, summed over the two objectives.

    The ends of an objective are infinitely far; an objective in which all points are equal adds nothing.

    Args:
        ek: Shape (points,).
        nek: Shape (points,).
    """
    distance = np.zeros(len(ek))
    for values in (ek, nek):
        if len(values) == 0 or np.ptp(values) == 0:
            continue
        order = np.argsort(values, kind="stable")
        fenced = np.concatenate([[-np.inf], values[order], [np.inf]])
        distance[order] += (fenced[2:] - fenced[:-2]) / np.ptp(values)
    return distance


def select(members: Sequence[ScoredInstruction], size: int) -> list[ScoredInstruction]:
    """The non-dominated members, pruned by crowding distance to ``size``.

    Of members with equal values only the oldest (lowest number) counts, and of two with equal distance the older one
    goes first.

    Returns:
        Best spread first: the ends of the front, then the loneliest.
    """
    oldest_first = sorted(members, key=lambda member: member.number)
    kept = non_dominated(*values_of(oldest_first), first_of_equals=True)
    front = [member for member, keep in zip(oldest_first, kept, strict=True) if keep]
    distance = crowding_distance(*values_of(front))
    order = sorted(range(len(front)), key=lambda index: (-distance[index], front[index].number))
    return [front[index] for index in order[:size]]


def best_expected(ek: FloatArray, nek: FloatArray, size: int) -> list[int]:
    """The points whose front has the largest mean hypervolume over resamples, found one by one.

    A front by point estimates is a choice of the luckiest: with few queries it drops what is as good, and the base
    instruction first of all. The mean over resamples of the queries pays for what is ahead in many of them, so it keeps
    close rivals as long as there is room, and drops what is surely behind. Each step takes the point that adds most;
    as the mean is submodular, that is at least 1 - 1/e of the best choice (Nemhauser et al. 1978).

    Args:
        ek: Shape (resamples, points); NaN where a resample drew nothing of that side.
        nek: The same shape.
        size: At most so many; fewer where another one would add nothing in any resample.

    Returns:
        Places of the points, in the order in which they were taken; of equals the first.
    """
    drawn = ~np.isnan(ek + nek).any(axis=1)
    ek, nek = ek[drawn], nek[drawn]
    chosen: list[int] = []
    reached = 0.0
    while len(chosen) < size:
        means = _means_with(ek, nek, chosen)
        best = int(np.argmax(means)) if means.size else -1
        if best < 0 or means[best] <= reached + _NOTHING:
            break
        reached = float(means[best])
        chosen.append(best)
    return chosen


def _means_with(ek: FloatArray, nek: FloatArray, chosen: Sequence[int]) -> FloatArray:
    """Mean hypervolume of the chosen points and each further one, shape (points,)."""
    resamples, points = ek.shape
    means = np.zeros(points)
    step = max(1, _AT_A_TIME // max(1, resamples * (len(chosen) + 1)))
    for start in range(0, points if resamples else 0, step):
        sides = []
        for side in (ek, nek):
            own = side[:, start : start + step, None]
            kept = np.broadcast_to(side[:, None, chosen], (*own.shape[:2], len(chosen)))
            sides.append(np.concatenate([kept, own], axis=2))
        means[start : start + step] = hypervolume(*sides).mean(axis=0)
    return means


def values_of(members: Sequence[ScoredInstruction]) -> tuple[FloatArray, FloatArray]:
    """EK and NEK of members, each of shape (members,)."""
    return np.array([member.ek for member in members]), np.array([member.nek for member in members])
