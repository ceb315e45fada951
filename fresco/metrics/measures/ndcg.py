"""nDCG: normalised discounted cumulative gain, on the grades as they were judged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from fresco.metrics.measures.base import TOLERANCE, Measure, Values, Violation, check_options
from fresco.metrics.measures.hit import Hit
from fresco.metrics.measures.reciprocal_rank import ReciprocalRank
from fresco.metrics.measures.registry import MEASURES
from fresco.metrics.ties import Tiers


@MEASURES.register("nDCG[@k]", "discounted gain over that of the best order")
@dataclass(frozen=True)
class NDCG(Measure):
    """Gains over log2(1 + rank), over the same sum of the best order. The gain is the grade, 0 for a negative one."""

    names = ("nDCG",)
    defined_everywhere: ClassVar[bool] = True
    cutoff: int | None = None

    def __post_init__(self) -> None:
        check_options(self)

    def value(self, tiers: Tiers) -> float:
        """DCG is a sum over places, so each place counts the mean gain of its tier."""
        gain = np.repeat(tiers.gain / tiers.size, tiers.size)[: self.cutoff]
        ideal = tiers.ideal[: self.cutoff]
        discount = 1 / np.log2(np.arange(2, max(len(gain), len(ideal)) + 2))
        best = (ideal * discount[: len(ideal)]).sum()
        return float(gain @ discount[: len(gain)] / best)

    def reference(self) -> Any:
        """NDCG of ir_measures."""
        import ir_measures

        return ir_measures.nDCG if self.cutoff is None else ir_measures.nDCG @ self.cutoff

    def invariants(self, values: Values) -> Iterator[Violation]:
        """With one positive of rank r, 1 / r <= 1 / log2(1 + r) <= 1, whatever its grade."""
        own, one = values.of(self), values.one_positive
        if self.cutoff is not None:
            for smaller in (ReciprocalRank(cutoff=self.cutoff), *self._shorter(values)):
                yield one & (values.of(smaller) > own + TOLERANCE), f"is below {smaller}, with one positive"
            hit = Hit(cutoff=self.cutoff)
            yield one & (own > values.of(hit) + TOLERANCE), f"is above {hit}, with one positive"

    def _shorter(self, values: Values) -> Iterator[NDCG]:
        for other in values.siblings(NDCG):
            if other.cutoff is not None and self.cutoff is not None and other.cutoff < self.cutoff:
                yield other
