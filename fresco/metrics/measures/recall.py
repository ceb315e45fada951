"""Recall: the share of the relevant passages that stand at the cutoff or above it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fresco.metrics.measures.base import TOLERANCE, Relevance, Values, Violation
from fresco.metrics.measures.hit import Hit
from fresco.metrics.measures.registry import MEASURES
from fresco.metrics.ties import Tiers


@MEASURES.register("Recall@k", "share of the relevant passages among the first")
@dataclass(frozen=True)
class Recall(Relevance):
    """Relevant passages found over those there are."""

    names = ("Recall", "R")
    cutoff: int = 10

    def expectation(self, tiers: Tiers) -> float:
        """Each place counts the share of positives of its tier."""
        return tiers.expected_positives(self.cutoff) / tiers.relevant

    def reference(self) -> Any:
        """R of ir_measures."""
        import ir_measures

        return (ir_measures.R if self.rel == 1 else ir_measures.R(rel=self.rel)) @ self.cutoff

    def invariants(self, values: Values) -> Iterator[Violation]:
        """At most Hit, the same with one positive, and a longer list cannot lower it."""
        own, hit = values.of(self), Hit(cutoff=self.cutoff, rel=self.rel)
        yield own > values.of(hit) + TOLERANCE, f"is above {hit}"
        if self.rel == 1:
            yield values.one_positive & (values.of(hit) > own + TOLERANCE), f"is below {hit}, with one positive"
        for other in values.siblings(Recall, rel=self.rel):
            if other.cutoff < self.cutoff:
                yield values.of(other) > own + TOLERANCE, f"is below {other}"
