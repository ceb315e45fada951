"""R-precision: precision at the number of relevant passages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fresco.metrics.measures.base import TOLERANCE, Relevance, Values, Violation
from fresco.metrics.measures.hit import Hit
from fresco.metrics.measures.registry import MEASURES
from fresco.metrics.ties import Tiers


@MEASURES.register("R-precision", "precision at the number of relevant passages")
@dataclass(frozen=True)
class RPrecision(Relevance):
    """Of the first R passages, R the number of relevant ones, the share that is relevant."""

    names = ("R-precision", "Rprec", "RPrec")

    def expectation(self, tiers: Tiers) -> float:
        """Each place counts the share of positives of its tier."""
        return tiers.expected_positives(tiers.relevant) / tiers.relevant

    def reference(self) -> Any:
        """Rprec of ir_measures."""
        import ir_measures

        return ir_measures.Rprec if self.rel == 1 else ir_measures.Rprec(rel=self.rel)

    def invariants(self, values: Values) -> Iterator[Violation]:
        """With one positive it is Hit@1."""
        if self.rel == 1:
            off = np.abs(values.of(self) - values.of(Hit(cutoff=1))) > TOLERANCE
            yield values.one_positive & off, f"is not {Hit(cutoff=1)}, with one positive"
