"""ObsoleteRatio, ObsoleteBase, ObsoleteLift: outdated passages among the negatives above the first positive.

There are two of each. Ours counts a passage as outdated where it states a value that is not valid any more. The paper's
(FRESCO, arXiv 2604.14227, metrics), ``of=superseded``, counts every negative from an older revision or an old snapshot,
also one that states no value at all: a re-ranker that puts old but harmless text on top looks bad by it, and a former
value in the newest revision does not count. Where most negatives of a pool count, a random order scores high too, so
the pool's own share stands beside the ratio (ObsoleteBase), and the ratio of the two means is the lift: 1 says "no
worse than the pool".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fresco.metrics.measures.base import Measure, Staleness, Values, Violation
from fresco.metrics.measures.hit import Hit
from fresco.metrics.measures.registry import MEASURES
from fresco.metrics.ties import Tiers
from fresco.records import Task
from fresco.stats.arrays import BoolArray, FloatArray

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class _AboveFirst(Staleness):
    """Defined given that a negative is on top: the probability of that is how much a query counts in the mean."""

    def needs(self) -> tuple[Measure, ...]:
        """Hit@1, for the weight."""
        return (Hit(cutoff=1),)

    def _weight(self, frame: pd.DataFrame) -> FloatArray:
        return np.where(self.defined(frame), 1 - frame[Hit(cutoff=1).name].to_numpy(np.float64), 0.0)

    def parts(self, frame: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        """A weighted mean."""
        weight = self._weight(frame)
        return weight * frame[self.name].fillna(0).to_numpy(np.float64), weight


@MEASURES.register("ObsoleteRatio", "outdated among the negatives above the first positive")
@dataclass(frozen=True)
class ObsoleteRatio(_AboveFirst):
    """The share of outdated passages among the negatives above the first positive."""

    names = ("ObsoleteRatio",)
    lower_is_better: ClassVar[bool] = True

    def expectation(self, tiers: Tiers) -> float:
        """Expected share, given that a negative is on top; NaN where none can be."""
        above, law = tiers.law_of_first()
        first = tiers.first
        certain = int(tiers.outdated[:first].sum())
        mates = int(tiers.size[first] - tiers.positive[first])
        ahead = np.arange(len(law))
        if above == 0:
            law, ahead = law[1:], ahead[1:]
        if not len(law):
            return float("nan")
        # Those of the own tier that come first are a random sample of its negatives.
        sampled = ahead * (tiers.outdated[first] / mates) if mates else 0.0
        return float((law * ((certain + sampled) / (above + ahead))).sum() / law.sum())

    def invariants(self, values: Values) -> Iterator[Violation]:
        """Defined exactly where a negative can be on top."""
        if values.per_query and not self.of:
            elsewhere = (values.frame["task"] != str(Task.EK)).to_numpy(np.bool_)
            on_top = values.of(Hit(cutoff=1)) == 1
            off = np.isnan(values.of(self)) != (on_top | elsewhere)
            yield off, "must be defined where a negative can be on top"


@MEASURES.register("ObsoleteBase", "outdated among all negatives of the pool")
@dataclass(frozen=True)
class ObsoleteBase(_AboveFirst):
    """The share of outdated passages among all negatives of the pool, where ObsoleteRatio is defined."""

    names = ("ObsoleteBase",)

    def expectation(self, tiers: Tiers) -> float:
        """The pool's own share."""
        if tiers.positive[0] == tiers.size[0]:
            return float("nan")
        return float(tiers.outdated.sum() / (tiers.size.sum() - tiers.positive.sum()))


@MEASURES.register("ObsoleteLift", "ObsoleteRatio over ObsoleteBase")
@dataclass(frozen=True)
class ObsoleteLift(_AboveFirst):
    """The mean of ObsoleteRatio over the mean of ObsoleteBase."""

    names = ("ObsoleteLift",)
    lower_is_better: ClassVar[bool] = True
    bounds: ClassVar[tuple[float, float]] = (0.0, float("inf"))
    per_query: ClassVar[bool] = False
    headline = "obsolete ratio\nlift over pool"

    def expectation(self, tiers: Tiers) -> float:
        """Of one pool it is the quotient, which no mean is taken of."""
        base = ObsoleteBase().expectation(tiers)
        return ObsoleteRatio().expectation(tiers) / base if base else float("nan")

    def needs(self) -> tuple[Measure, ...]:
        """Both shares, and the weight."""
        return (ObsoleteRatio(of=self.of), ObsoleteBase(of=self.of), Hit(cutoff=1))

    def defined(self, frame: pd.DataFrame) -> BoolArray:
        """Where the ratio is."""
        return ObsoleteRatio(of=self.of).defined(frame)

    def parts(self, frame: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        """A ratio of two weighted means over the same queries."""
        ratio, _ = ObsoleteRatio(of=self.of).parts(frame)
        base, _ = ObsoleteBase(of=self.of).parts(frame)
        return ratio, base
