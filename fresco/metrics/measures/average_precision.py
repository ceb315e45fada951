"""MAP: mean average precision."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from fresco.metrics.measures.base import TOLERANCE, Relevance, Values, Violation
from fresco.metrics.measures.hit import Hit
from fresco.metrics.measures.reciprocal_rank import ReciprocalRank
from fresco.metrics.measures.registry import MEASURES
from fresco.metrics.ties import Tiers


@MEASURES.register("MAP[@k]", "precision at the ranks of the relevant passages")
@dataclass(frozen=True)
class AveragePrecision(Relevance):
    """The mean over the relevant passages of the precision at their rank, 0 for those below the cutoff."""

    names = ("MAP", "AP")
    cutoff: int | None = None

    def expectation(self, tiers: Tiers) -> float:
        """Closed form.

        At place i of a tier (from 0) with r positives among n passages, under ``above`` passages of which ``found``
        are positive: a positive stands there with probability r / n, and of the i places before it each holds another
        positive with probability (r - 1) / (n - 1).
        """
        total, found = 0.0, 0
        for size, positive, above in zip(
            tiers.size.tolist(), tiers.positive.tolist(), tiers.above.tolist(), strict=True
        ):
            if positive:
                place = np.arange(size if self.cutoff is None else max(0, min(size, self.cutoff - above)))
                others = place * (positive - 1) / (size - 1) if size > 1 else np.zeros(len(place))
                total += positive / size * float(((found + 1 + others) / (above + place + 1)).sum())
            found += positive
        return total / tiers.relevant

    def reference(self) -> Any:
        """AP of ir_measures."""
        import ir_measures

        own = ir_measures.AP if self.rel == 1 else ir_measures.AP(rel=self.rel)
        return own if self.cutoff is None else own @ self.cutoff

    def invariants(self, values: Values) -> Iterator[Violation]:
        """With one positive and a certain order it is the reciprocal rank."""
        if self.rel != 1 or self.cutoff is not None:
            return
        own = values.of(self)
        if values.per_query:
            certain = values.one_positive & ~values.frame["ties_matter"].to_numpy(np.bool_)
            off = np.abs(own * values.frame["rank"].to_numpy(np.float64) - 1) > TOLERANCE
            yield certain & off, "is not 1 / rank"
        for other in values.siblings(ReciprocalRank, rel=1):
            yield values.one_positive & (values.of(other) > own + TOLERANCE), f"is below {other}, with one positive"
            if other.cutoff is not None:
                # A single positive below the cutoff k adds at most 1 / (k + 1) to average precision.
                rest = (1 - values.of(Hit(cutoff=other.cutoff))) / (other.cutoff + 1)
                more = own - values.of(other) > rest + TOLERANCE
                yield values.one_positive & more, "is not the mean reciprocal rank, with one positive"
