"""Which re-rankers differ: paired randomization test over subjects, Holm's correction, letters for the groups.

The randomization test needs no distribution: if two re-rankers are alike, swapping them for all the queries of one
subject is as likely as not (Smucker, Allan & Carterette, CIKM 2007). Holm (1979) bounds the chance of any false
difference over all pairs. Letters: insert-and-absorb (Piepho 2004), two re-rankers share one if and only if they were
not told apart.
"""

from __future__ import annotations

import math
import string
from collections.abc import Collection, Sequence

import numpy as np

from fresco.stats.arrays import FloatArray

#: Two re-rankers are told apart below this corrected p.
ALPHA = 0.05
# Random sign flips; with so few subjects that all flips are no more than this, all are taken.
_FLIPS = 10_000
_CHUNK = 1_000


def randomization_test(sums: FloatArray, *, seed: int = 0) -> FloatArray:
    """Two-sided paired randomization test by sign flips.

    Args:
        sums: Each subject's sum of paired differences, shape (subjects, comparisons).
        seed: Of the random flips.

    Returns:
        p for each comparison, shape (comparisons,). Exact where the subjects that differ are few enough to take all
        flips (at most 13); else (1 + b) / (1 + n) with b of n random flips at least as far from 0.
    """
    observed = np.abs(sums.sum(axis=0))
    # Sums that are equal on paper differ in their last bits with the order of addition.
    threshold = observed - 1e-12 * np.abs(sums).sum(axis=0)
    differ = (sums != 0).sum(axis=0)
    exact = differ <= math.log2(_FLIPS)
    p = np.empty(sums.shape[1])
    for column in np.flatnonzero(exact):
        parts = sums[sums[:, column] != 0, column]
        signs = 1.0 - 2.0 * ((np.arange(2 ** len(parts))[:, None] >> np.arange(len(parts))) & 1)
        p[column] = np.mean(np.abs(signs @ parts) >= threshold[column])
    if not exact.all():
        rng = np.random.default_rng(seed)
        beyond = np.zeros(int((~exact).sum()), np.intp)
        for _ in range(_FLIPS // _CHUNK):
            signs = 1.0 - 2.0 * rng.integers(2, size=(_CHUNK, len(sums)), dtype=np.int8)
            beyond += (np.abs(signs @ sums[:, ~exact]) >= threshold[~exact]).sum(axis=0)
        p[~exact] = (1 + beyond) / (1 + _FLIPS)
    return p


def holm(p: Sequence[float] | FloatArray) -> FloatArray:
    """Holm's step-down correction.

    Args:
        p: The family's p values.

    Returns:
        Corrected p values in the same order, at most 1.
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty(len(values))
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected


def letters(names: Sequence[str], different: Collection[tuple[str, str]]) -> dict[str, str]:
    """Compact letter display.

    Args:
        names: Best first: the first name bears the letter ``a``.
        different: The pairs that were told apart, in either order.

    Returns:
        Letters of each name; two names share a letter if and only if their pair is not in ``different``.
    """
    columns = [frozenset(names)]
    for left, right in different:
        split: list[frozenset[str]] = []
        for column in columns:
            split += [column - {left}, column - {right}] if {left, right} <= column else [column]
        unique = list(dict.fromkeys(split))
        columns = [column for column in unique if not any(column < other for other in unique)]
    place = {name: index for index, name in enumerate(names)}
    columns.sort(key=lambda column: sorted(place[name] for name in column))
    return {name: "".join(_letter(index) for index, column in enumerate(columns) if name in column) for name in names}


def _letter(index: int) -> str:
    alphabet = string.ascii_letters
    return alphabet[index] if index < len(alphabet) else f"({index + 1})"
