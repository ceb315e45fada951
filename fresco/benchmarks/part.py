"""The benchmark of one run: opened, its static side replaced, cut to a split, cut short, its dates hidden."""

from __future__ import annotations

from dataclasses import dataclass

from fresco.benchmarks.first_stage import INJECTED
from fresco.benchmarks.open import open_benchmark, own_pools
from fresco.benchmarks.sample import limit_queries
from fresco.benchmarks.splits import combine, select_split
from fresco.errors import FrescoError, require_whole
from fresco.records import Benchmark

#: What dates a re-ranker's text carries.
TIMESTAMPS = ("text", "none")


@dataclass(frozen=True)
class Part:
    """What of a benchmark is scored.

    Attributes:
        split: ``all``, ``train``, ``validation`` or ``test``.
        limit: About so many queries, whole subjects; None for all.
        timestamps: ``text``: as the last line of each text; ``none``: hidden.
        seed: Of random dates and of the queries that are kept; never of the splits, which are the same for everybody.
        strict: Refuse what published collections are forgiven; see :mod:`fresco.benchmarks.published`.
        pools: Where the candidates of a published collection come from; see
            :func:`fresco.benchmarks.first_stage.parse_pools`.
    """

    split: str = "all"
    limit: int | None = None
    timestamps: str = "text"
    seed: int = 0
    strict: bool = False
    pools: str = INJECTED

    def __post_init__(self) -> None:
        if self.timestamps not in TIMESTAMPS:
            raise FrescoError(f"--timestamps {self.timestamps}: choose {' or '.join(TIMESTAMPS)}")
        if self.limit is not None:
            require_whole("limit", self.limit)

    def open(self, benchmark: str | Benchmark, nek: str | Benchmark | None = None) -> Benchmark:
        """Open it.

        Args:
            benchmark: See :func:`fresco.benchmarks.open_benchmark`; or one that is open.
            nek: Gives the static side in its place; :attr:`pools` is then of this one.

        Raises:
            FrescoError: it cannot be opened, or nothing is left of it.
        """
        whole = self._opened(benchmark, self.pools if nek is None else INJECTED)
        if nek is not None:
            whole = combine(whole, self._opened(nek, self.pools))
        part = select_split(whole, self.split)
        if self.limit:
            part = limit_queries(part, self.limit, seed=self.seed)
        return part.without_timestamps() if self.timestamps == "none" else part

    def _opened(self, benchmark: str | Benchmark, pools: str) -> Benchmark:
        if not isinstance(benchmark, Benchmark):
            return open_benchmark(str(benchmark), seed=self.seed, strict=self.strict, pools=pools)
        if pools != INJECTED:
            raise FrescoError(own_pools(benchmark.name, pools))
        return benchmark
