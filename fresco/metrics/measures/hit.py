"""Hit: whether a relevant passage stands at the cutoff or above it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fresco.metrics.measures.base import TOLERANCE, Relevance, Values, Violation
from fresco.metrics.measures.registry import MEASURES
from fresco.metrics.ties import Tiers


@MEASURES.register("Hit@k", "a relevant passage among the first")
@dataclass(frozen=True)
class Hit(Relevance):
    """1 where a relevant passage is among the first, else 0."""

    names = ("Hit", "Success")
    cutoff: int = 1

    def expectation(self, tiers: Tiers) -> float:
        """The probability that the first positive stands inside."""
        return tiers.first_within(self.cutoff)

    def reference(self) -> Any:
        """Success of ir_measures."""
        import ir_measures

        return (ir_measures.Success if self.rel == 1 else ir_measures.Success(rel=self.rel)) @ self.cutoff

    def invariants(self, values: Values) -> Iterator[Violation]:
        """A longer list cannot lower it, and it bounds what counts each relevant passage for at most one."""
        own = values.of(self)
        for other in values.siblings(Hit, rel=self.rel):
            if other.cutoff < self.cutoff:
                yield values.of(other) > own + TOLERANCE, f"is below {other}"
