"""stale: whether an outdated passage stands at the cutoff or above it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from fresco.metrics.measures.base import TOLERANCE, Staleness, Values, Violation
from fresco.metrics.measures.hit import Hit
from fresco.metrics.measures.registry import MEASURES
from fresco.metrics.ties import Tiers


@MEASURES.register("stale@k", "an outdated passage among the first")
@dataclass(frozen=True)
class Stale(Staleness):
    """1 where an outdated passage is among the first, else 0: what Hit is for relevant passages."""

    names = ("stale",)
    lower_is_better: ClassVar[bool] = True
    headline = "outdated on top\nstale@1"
    cutoff: int = 1

    def expectation(self, tiers: Tiers) -> float:
        """The probability that the first outdated passage stands inside."""
        return tiers.with_outdated_as_positive().first_within(self.cutoff) if tiers.outdated.any() else 0.0

    def invariants(self, values: Values) -> Iterator[Violation]:
        """What is on top is relevant or outdated, not both; a longer list cannot lower it."""
        own = values.of(self)
        if self.cutoff == 1 and not self.of:
            top = Hit(cutoff=1)
            yield own + values.of(top) > 1 + TOLERANCE, f"exceeds 1 - {top}"
        for other in values.siblings(Stale, of=self.of):
            if other.cutoff < self.cutoff:
                yield values.of(other) > own + TOLERANCE, f"is below {other}"
