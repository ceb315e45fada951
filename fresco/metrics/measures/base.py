"""What a measure is: one object that knows its name, its value, its mean and what it must satisfy."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeVar

import numpy as np

from fresco.errors import FrescoError
from fresco.io.foreign import foreign_code
from fresco.metrics.ties import SUPERSEDED, Tiers
from fresco.records import Conflict, Pool, Task
from fresco.stats.arrays import BoolArray, FloatArray

if TYPE_CHECKING:
    import pandas as pd

TOLERANCE: Final = 1e-9
_M = TypeVar("_M", bound="Measure")
#: A mask of the rows that violate an invariant, and what is wrong with them, to be read after the measure's name.
Violation = tuple["BoolArray | pd.Series[bool]", str]


@dataclass(frozen=True)
class Values:
    """The values that invariants are checked on: of single queries, or means over queries.

    Attributes:
        frame: A column for each measure that :meth:`Measure.value` gave; of single queries it is
            ``Evaluation.per_query``.
        measures: The measures that stand in it.
        one_positive: Which rows have, or are means over pools that have, exactly one positive, shape (rows,).
        per_query: Whether a row is a query.
    """

    frame: pd.DataFrame
    measures: Sequence[Measure]
    one_positive: BoolArray
    per_query: bool

    def of(self, measure: Measure) -> FloatArray:
        """The values of a measure, NaN where they are undefined or the measure was not computed."""
        if measure.name not in self.frame.columns:
            return np.full(len(self.frame), np.nan)
        return self.frame[measure.name].to_numpy(np.float64)

    def siblings(self, kind: type[_M], **options: Any) -> Iterator[_M]:
        """The measures of one class that were computed, with these options."""
        for own in self.measures:
            if isinstance(own, kind) and all(getattr(own, name) == value for name, value in options.items()):
                yield own


@dataclass(frozen=True)
class Measure(ABC):
    """A measure of a ranking.

    A new one is a file with a subclass under ``@MEASURES.register("NAME@k", "what it says")``. Its options are the
    fields of a frozen dataclass: ``cutoff`` is what notation writes behind ``@``, the others stand in brackets, as in
    ``MAP(rel=2)`` (the notation of ir_measures).

    Attributes:
        names: What notation calls it; the first is its own name, the others are read as well.
        tasks: The queries it is defined for.
        lower_is_better: Whether the smaller value is the better one.
        bounds: Smallest and largest value.
        defined_everywhere: Whether every query of its tasks has a value.
        per_query: Whether a single query has a value; a ratio of means belongs to a set of queries.
        skewed: Whether values lie near their floor and large ones are rare, as one over a rank does.
        headline: The header under which it stands in the table of results when nobody asked for it by name.
    """

    names: ClassVar[tuple[str, ...]] = ()
    tasks: ClassVar[frozenset[Task]] = frozenset(Task)
    lower_is_better: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)
    defined_everywhere: ClassVar[bool] = False
    per_query: ClassVar[bool] = True
    skewed: ClassVar[bool] = False
    headline: ClassVar[str] = ""

    @abstractmethod
    def value(self, tiers: Tiers) -> float:
        """The value of one pool, NaN where it is undefined.

        Where passages are tied it is the expectation over their orders, each equally likely; where some orders leave
        the measure undefined, the expectation given that it is defined.
        """

    @property
    def name(self) -> str:
        """Its notation: ``nDCG@10``, ``MAP(rel=2)``. The name of its column."""
        options = [
            f"{field.name}={getattr(self, field.name)}"
            for field in dataclasses.fields(self)
            if field.name != "cutoff" and getattr(self, field.name) != field.default
        ]
        cutoff = getattr(self, "cutoff", None)
        own = self.names[0] if self.names else type(self).__name__
        return own + (f"({','.join(options)})" if options else "") + (f"@{cutoff}" if cutoff is not None else "")

    @property
    def conflict(self) -> Conflict | None:
        """The kind of conflict that it is confined to."""
        return None

    def needs(self) -> tuple[Measure, ...]:
        """The measures whose columns its mean reads beside its own."""
        return ()

    def lacks(self, pools: Sequence[Pool]) -> str:
        """What it is that these pools do not have, so that none of them can have a value; nothing where one can."""
        if any(pool.query.task in self.tasks for pool in pools):
            return ""
        return f"{' and '.join(sorted(self.tasks))} queries"

    def parts(self, frame: pd.DataFrame) -> tuple[FloatArray, FloatArray]:
        """Numerator and denominator, query by query: a mean is the ratio of their sums. By default a plain mean."""
        return frame[self.name].fillna(0).to_numpy(np.float64), self.defined(frame).astype(np.float64)

    def defined(self, frame: pd.DataFrame) -> BoolArray:
        """Which queries stand behind the mean, shape (queries,)."""
        return frame[self.name].notna().to_numpy(np.bool_)

    def reference(self) -> Any:
        """The measure of ir_measures with the same value where nothing is tied; None where there is none."""
        return None

    def invariants(self, values: Values) -> Iterator[Violation]:
        """Relations to other measures that hold in any result; see :mod:`fresco.metrics.selfcheck`."""
        return iter(())

    def __str__(self) -> str:
        return self.name


def running(measure: Measure, doing: str) -> AbstractContextManager[None]:
    """What the code of a measure runs under: a failure of somebody else's is one line, one of ours a defect."""
    if type(measure).__module__.startswith("fresco."):
        return nullcontext()
    return foreign_code(f"measure {measure}, {doing}: it failed")


def check_options(measure: Measure) -> None:
    """Check the options that measures share: ``cutoff`` and ``rel`` above 0, ``of`` a kind of passage.

    Raises:
        FrescoError: an option has no such value.
    """
    for option in ("cutoff", "rel"):
        value = getattr(measure, option, None)
        if value is not None and (not isinstance(value, int) or value < 1):
            raise FrescoError(f"{option} is {value!r}; it must be a whole number above 0")
    of = getattr(measure, "of", "")
    if of and of not in (*Conflict, SUPERSEDED):
        raise FrescoError(f"of is {of!r}; choose one of {', '.join((*Conflict, SUPERSEDED))}")


@dataclass(frozen=True)
class Relevance(Measure):
    """The shared part of measures of relevance: a passage counts from grade :attr:`rel` on.

    Where no candidate has that grade the value is 0, as in trec_eval.
    """

    rel: int = 1
    defined_everywhere: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_options(self)

    def lacks(self, pools: Sequence[Pool]) -> str:
        """See :meth:`Measure.lacks`."""
        if self.rel > 1 and not any(grade >= self.rel for pool in pools for grade in pool.gains):
            return f"passage that was judged {self.rel} or better"
        return super().lacks(pools)

    def value(self, tiers: Tiers) -> float:
        """See :meth:`Measure.value`."""
        level = tiers if self.rel == 1 else tiers.at_level(self.rel)
        return self.expectation(level) if level.positive.any() else 0.0

    @abstractmethod
    def expectation(self, tiers: Tiers) -> float:
        """The value of a pool with at least one positive."""


@dataclass(frozen=True)
class Staleness(Measure):
    """The shared part of measures of staleness: which passages count as outdated.

    ``of`` is empty for every passage that bears the label, a kind of conflict for those of that kind, ``superseded``
    for every negative that comes from an older revision or an old snapshot, whatever it states. Pools without such a
    passage are left out where a kind is named, and pools of which it is not known wherever ``of`` is given.
    """

    of: str = ""
    tasks: ClassVar[frozenset[Task]] = frozenset({Task.EK})

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def conflict(self) -> Conflict | None:
        """The kind of conflict that it is confined to."""
        return Conflict(self.of) if self.of in tuple(Conflict) else None

    def lacks(self, pools: Sequence[Pool]) -> str:
        """See :meth:`Measure.lacks`."""
        own = [pool for pool in pools if pool.query.task in self.tasks]
        if self.of == SUPERSEDED and not any(pool.superseded for pool in own):
            return "word of which passages are superseded"
        if self.conflict and not any(self.conflict in pool.conflicts for pool in own):
            return f"outdated passage whose kind of conflict is {self.conflict}"
        return super().lacks(pools)

    def value(self, tiers: Tiers) -> float:
        """See :meth:`Measure.value`."""
        chosen = tiers.against(self.of) if self.of else tiers
        return float("nan") if chosen is None else self.expectation(chosen)

    @abstractmethod
    def expectation(self, tiers: Tiers) -> float:
        """The value of a pool in which ``outdated`` stands for the passages that count."""
