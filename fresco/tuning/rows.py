"""The rows of a tuning: what is scored on validation and test, and what each costs a query."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.optimizer.transfer import Transfer
from fresco.records import Benchmark, Pool
from fresco.rerank.base import Reranker
from fresco.rerank.instructed import Instructed
from fresco.scoring.runner import fit, score
from fresco.scoring.store import ScoreStore
from fresco.scoring.trial import try_out
from fresco.stats.arrays import FloatArray
from fresco.terminal.progress import Progress
from fresco.tuning.priors import FittedPrior, fused

_TIMED = 20  # pools, of a prior
_TIMED_MODEL = 3  # pools, of a re-ranker


class Tables:
    """The splits, and whatever is scored on them."""

    def __init__(
        self,
        whole: Benchmark,
        parts: Mapping[str, Benchmark],
        store: ScoreStore,
        settings: Settings,
        progress: Progress,
    ) -> None:
        self.whole, self.parts, self.settings = whole, parts, settings
        self._store, self._progress = store, progress

    def scores(self, reranker: Reranker) -> dict[str, list[FloatArray]]:
        """Of validation and test: one array for each pool."""
        fit(reranker, self.whole.passages())
        found = {}
        for name in ("validation", "test"):
            pools = [(pool.query, pool.passages) for pool in self.parts[name].pools]
            try_out(reranker, pools, self._store)
            tell = partial(self._progress, f"{reranker.name}, {name}")
            found[name] = score(reranker, pools, self._store, progress=tell).scores
        return found


def instructed(
    reranker: Reranker, instructions: str | Path | Sequence[str] | None, test: Sequence[Pool]
) -> list[Instructed]:
    """The re-ranker under each instruction of a front, as rows of their own.

    Args:
        reranker: The base.
        instructions: A ``front.json`` of ``fresco optimize``, another file, or a list; None for no such row.
        test: Pools that must not have chosen them.

    Raises:
        FrescoError: the re-ranker takes no instruction, the file is none of instructions, or test queries chose them.
    """
    if instructions is None:
        return []
    if not reranker.takes_instruction:
        raise FrescoError(f"--instructions: {reranker.name} takes none; `fresco rerankers` lists which do")
    found = Transfer(instructions)
    found.check_unseen(test)
    return [Instructed(reranker, each.text, f"instruction {each.id}", last=False) for each in found.instructions]


def own_milliseconds(reranker: Reranker, pools: Sequence[Pool]) -> float:
    """What a query costs a re-ranker that is loaded."""
    some = pools[:_TIMED_MODEL]
    reranker.score(some[0].query, some[0].passages[:1], None)  # loads the model where no score was wanted until now
    start = time.perf_counter()
    for pool in some:
        reranker.score(pool.query, pool.passages, None)
    return (time.perf_counter() - start) * 1000 / len(some)


def added_milliseconds(
    reranker: Reranker, priors: Sequence[FittedPrior], pools: Sequence[Pool], scores: Sequence[FloatArray]
) -> dict[str, float]:
    """What each prior adds to a query."""
    some, own = pools[:_TIMED], scores[:_TIMED]
    cost = {}
    for each in priors:
        start = time.perf_counter()
        fused(each.cure, reranker, some, own)
        cost[each.name] = (time.perf_counter() - start) * 1000 / len(some)
    return cost
