"""Sorting a long list through a window: it slides from the end to the top, and carries the best along (RankGPT)."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence

from fresco.records import Passage, Query


def shuffled(query: Query, passages: Sequence[Passage], seed: int, number: int = 0) -> list[int]:
    """Places of the passages in an order that is drawn for the query.

    By what a passage says, not where it stood: the order of the input must not leak into a ranking.

    Args:
        query: Different ones get different orders.
        passages: Of its pool.
        seed: Of the run.
        number: Of the start, where there are several.
    """
    order = sorted(range(len(passages)), key=lambda place: (passages[place].text, passages[place].id))
    drawn = hashlib.sha256(f"{seed}\0{number}\0{query.text}".encode("utf-8", "surrogatepass")).digest()
    random.Random(drawn).shuffle(order)  # noqa: S311 - no secret
    return order


def slide(order: list[int], window: int, stride: int, sort: Callable[[list[int]], Sequence[int]]) -> None:
    """Sort a list in place, once through.

    Args:
        order: Whatever is sorted.
        window: How many are sorted at a time.
        stride: By how many the window moves towards the top.
        sort: Gets the entries of a window, gives their places in it, best first.
    """
    end = len(order)
    while end > 1:
        start = max(0, end - window)
        part = order[start:end]
        order[start:end] = [part[place] for place in sort(part)]
        if start == 0:
            return
        end -= stride
