"""current>obsolete: how often the current passage stands above the outdated one."""

from __future__ import annotations

from dataclasses import dataclass

from fresco.metrics.measures.base import Staleness
from fresco.metrics.measures.registry import MEASURES
from fresco.metrics.ties import Tiers


@MEASURES.register("current>obsolete", "pairs in which the current passage is above the outdated one")
@dataclass(frozen=True)
class CurrentOverObsolete(Staleness):
    """The share of the pairs of a positive and an outdated passage in which the positive scores higher.

    A tie counts half. Undefined for a pool without an outdated passage.
    """

    names = ("current>obsolete",)
    headline = "current above\noutdated"

    def expectation(self, tiers: Tiers) -> float:
        """Pairs won over pairs, counted tier by tier."""
        pairs = int(tiers.positive.sum()) * int(tiers.outdated.sum())
        if not pairs:
            return float("nan")
        below = tiers.outdated.sum() - tiers.outdated.cumsum()
        return float((tiers.positive * (below + tiers.outdated / 2)).sum() / pairs)
