"""What a front is worth above the base instruction, with its interval.

Hypervolume alone hides what a search did: the base by itself has most of it. So the gain is the unit everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fresco.metrics.aggregate import rounded
from fresco.optimizer.search.racing import ek_and_nek, resampled
from fresco.optimizer.search.selection import hypervolume
from fresco.records import Pool
from fresco.stats.arrays import FloatArray
from fresco.stats.intervals import percentile_interval

#: ``value``, ``ci_low`` and ``ci_high`` (95 %), and of an area its ``gain`` with the same.
Row = dict[str, Any]


def hypervolume_row(
    values: FloatArray, base: FloatArray, pools: Sequence[Pool], *, resamples: int = 1000, seed: int = 0
) -> Row:
    """The area that instructions dominate above (0, 0), with its interval and what it is above the base's.

    Args:
        values: Average precision, shape (pools, instructions).
        base: The base instruction's, shape (pools,); paired with the others, pool by pool.
        pools: Where they were measured.
        resamples: Of the bootstrap over subjects.
        seed: Of the bootstrap.
    """
    columns = np.concatenate([values, base[:, None]], axis=1)
    points = [ek_and_nek(column, pools) for column in columns.T]
    ek, nek = (np.array(side) for side in zip(*points, strict=True))
    again = resampled(columns, pools, resamples=resamples, seed=seed)
    value, area = hypervolume(ek[:-1], nek[:-1]), hypervolume(again[0][:, :-1], again[1][:, :-1])
    floor, floors = hypervolume(ek[-1:], nek[-1:]), hypervolume(again[0][:, -1:], again[1][:, -1:])
    low, high = percentile_interval(np.stack([area, area - floors], axis=1))
    return {**_row(value, low[0], high[0]), "gain": _row(value - floor, low[1], high[1])}


def _row(value: FloatArray, low: float, high: float) -> Row:
    return {"value": rounded(float(value)), "ci_low": rounded(low), "ci_high": rounded(high)}
