"""P: the share of relevant passages among the first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fresco.metrics.measures.base import TOLERANCE, Relevance, Values, Violation
from fresco.metrics.measures.hit import Hit
from fresco.metrics.measures.registry import MEASURES
from fresco.metrics.ties import Tiers


@MEASURES.register("P@k", "share of relevant passages among the first")
@dataclass(frozen=True)
class Precision(Relevance):
    """Relevant passages among the first k, over k; a pool of fewer passages counts as if filled up."""

    names = ("P", "Precision")
    cutoff: int = 10

    def expectation(self, tiers: Tiers) -> float:
        """Each place counts the share of positives of its tier."""
        return tiers.expected_positives(self.cutoff) / self.cutoff

    def reference(self) -> Any:
        """P of ir_measures."""
        import ir_measures

        return (ir_measures.P if self.rel == 1 else ir_measures.P(rel=self.rel)) @ self.cutoff

    def invariants(self, values: Values) -> Iterator[Violation]:
        """At most Hit."""
        hit = Hit(cutoff=self.cutoff, rel=self.rel)
        yield values.of(self) > values.of(hit) + TOLERANCE, f"is above {hit}"
