"""Which passages may be among a query's first, without reading all that its common words say.

MaxScore (Turtle and Flood 1995), over arrays: the rare words of a query are read first. When all common words together
cannot lift a passage that holds none of the rare ones among the first, they are only looked up for the passages that
still can be. Sums are in single precision, and every bound allows for its error: no passage of the first is missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: Of single precision, as a share of the highest sum that a query can have; 2**-24 for each of some words.
ERROR = 1e-5
_SPARSE = 8  # words are rare as long as their lists are together shorter than this part of the corpus
_LOOK_UP = 4  # looking a passage up in a list costs as much as reading so many of its postings

_Numbers = npt.NDArray[np.int32]


class Postings(NamedTuple):
    """One word of a query.

    Attributes:
        documents: The passages that hold it, ascending.
        impacts: What it adds to the score of each, where it is asked for once; all above 0.
        times: How often it is asked for.
        most: The largest of the impacts.
    """

    documents: _Numbers
    impacts: npt.NDArray[np.float32]
    times: int
    most: float

    @property
    def top(self) -> float:
        """The most that it adds."""
        return self.times * self.most


def among_the_first(lists: Sequence[Postings], k: int, sums: npt.NDArray[np.float32]) -> npt.NDArray[np.integer]:
    """All passages that may be among the first ``k``.

    Args:
        lists: The words of the query.
        k: How many are wanted.
        sums: Zeros, one for each passage of the corpus; they are zeros again afterwards.

    Returns:
        Their numbers, each once, in no order.
    """
    lists = sorted(lists, key=lambda each: len(each.documents))
    rare = int(np.searchsorted(np.cumsum([len(each.documents) for each in lists]), len(sums) // _SPARSE, side="right"))
    margin = ERROR * sum(each.top for each in lists)
    touched: list[_Numbers] = [np.empty(0, np.int32)]
    for each in lists[:rare]:
        before = sums[each.documents]
        sums[each.documents] = before + _weighted(each)
        touched.append(each.documents[before == 0])
    found = np.concatenate(touched)
    try:
        return _with_the_common(found, lists[rare:], k, sums, margin)
    finally:
        if rare < len(lists):
            sums[:] = 0
        else:
            sums[found] = 0


def _with_the_common(
    found: _Numbers, common: Sequence[Postings], k: int, sums: npt.NDArray[np.float32], margin: float
) -> npt.NDArray[np.integer]:
    """The same after the rare words; ``found`` are the passages that hold one."""
    outside = sum(each.top for each in common)  # the most that a passage without any of them can have
    least = 0.0
    for number, each in enumerate(common):
        if len(found) >= k:
            values = sums[found]
            least = _kth(values, k)
            left = sum(later.top for later in common[number:])
            if outside + margin < least:
                found = found[values + np.float32(left + margin) >= least]
                if len(found) * _LOOK_UP < sum(len(later.documents) for later in common[number:]):
                    return found
        sums[each.documents] += _weighted(each)
    if common and outside + margin >= least:
        # What the k-th of the passages with a rare word has is a bound for all.
        found = np.flatnonzero(sums > max(least - margin, 0.0)).astype(np.int32)
    if len(found) <= k:
        return found
    values = sums[found]
    return found[values + np.float32(margin) >= _kth(values, k)]


def _weighted(each: Postings) -> npt.NDArray[np.float32]:
    return each.impacts if each.times == 1 else each.impacts * np.float32(each.times)


def _kth(values: npt.NDArray[np.float32], k: int) -> float:
    return float(np.partition(values, len(values) - k)[len(values) - k])
