"""MRR: mean reciprocal rank of the first relevant passage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fresco.metrics.measures.base import TOLERANCE, Relevance, Values, Violation
from fresco.metrics.measures.hit import Hit
from fresco.metrics.measures.registry import MEASURES
from fresco.metrics.ties import Tiers


@MEASURES.register("MRR[@k]", "reciprocal rank of the first relevant passage")
@dataclass(frozen=True)
class ReciprocalRank(Relevance):
    """1 / rank of the first relevant passage, 0 where it stands below the cutoff."""

    names = ("MRR", "RR")
    skewed: ClassVar[bool] = True
    cutoff: int | None = None

    def expectation(self, tiers: Tiers) -> float:
        """From the law of the first positive."""
        above, law = tiers.law_of_first()
        rank = above + 1 + np.arange(len(law))
        terms = law / rank
        return float((terms if self.cutoff is None else terms[rank <= self.cutoff]).sum())

    def reference(self) -> Any:
        """RR of ir_measures."""
        import ir_measures

        own = ir_measures.RR if self.rel == 1 else ir_measures.RR(rel=self.rel)
        return own if self.cutoff is None else own @ self.cutoff

    def invariants(self, values: Values) -> Iterator[Violation]:
        """At least Hit@1, and a longer list cannot lower it."""
        own = values.of(self)
        yield values.of(Hit(cutoff=1, rel=self.rel)) > own + TOLERANCE, f"is below {Hit(cutoff=1, rel=self.rel)}"
        for other in values.siblings(ReciprocalRank, rel=self.rel):
            if other.cutoff is not None and (self.cutoff is None or other.cutoff < self.cutoff):
                yield values.of(other) > own + TOLERANCE, f"is below {other}"
