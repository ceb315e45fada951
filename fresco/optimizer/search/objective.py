"""What an instruction is worth: average precision, pool by pool, of one re-ranker that stays loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from fresco.errors import FrescoError
from fresco.optimizer.examples import average_precision
from fresco.records import Benchmark, Pool
from fresco.rerank.base import Reranker, describe
from fresco.scoring.runner import Progress, fit, score
from fresco.scoring.store import ScoreStore
from fresco.scoring.trial import try_out
from fresco.stats.arrays import FloatArray

#: Two instructions that any re-ranker which reads them must tell apart.
_CONTRAST = (
    "Rank the passage with the most recent date first, whatever it is about.",
    "Rank the oldest passage first and ignore whether it answers the query.",
)
_PROBES = 4  # pools
_NOISE = 0.01  # of a pool's spread: served models repeat themselves to about this much


class Objective:
    """Scores instructions through the store; the model is loaded once and kept.

    Args:
        reranker: Takes an instruction.
        benchmark: All of it, for re-rankers that want corpus statistics.
        store: Where scores are kept.

    Attributes:
        computed: Pairs that the re-ranker scored so far.
        reused: Pairs whose scores were stored.

    Raises:
        FrescoError: the re-ranker takes no instruction.
    """

    def __init__(self, reranker: Reranker, benchmark: Benchmark, store: ScoreStore) -> None:
        if not reranker.takes_instruction:
            raise FrescoError(
                f"{reranker.name} takes no instruction, so there is none to search for; `fresco rerankers` lists those "
                "that do"
            )
        self.reranker, self.store = reranker, store
        self.computed = self.reused = 0
        fit(reranker, benchmark.passages())
        try_out(reranker, [(pool.query, pool.passages) for pool in benchmark.pools], store)

    @cached_property
    def default_text(self) -> str | None:
        """The re-ranker's own default instruction, where it says so."""
        said: Any = describe(self.reranker).get("default_instruction")
        return said if isinstance(said, str) else None

    def scores(
        self, instruction: str | None, pools: Sequence[Pool], progress: Progress | None = None
    ) -> list[FloatArray]:
        """Scores of each pool's passages, float64, shape (passages,)."""
        candidates = [(pool.query, pool.passages) for pool in pools]
        outcome = score(self.reranker, candidates, self.store, instruction=instruction, progress=progress)
        self.computed += outcome.computed
        self.reused += outcome.reused
        return outcome.scores

    def average_precisions(
        self, instruction: str | None, pools: Sequence[Pool], progress: Progress | None = None
    ) -> FloatArray:
        """Average precision of each pool, expected over the orders of tied passages; shape (pools,)."""
        return precisions(pools, self.scores(instruction, pools, progress))

    def check_that_instructions_matter(self, pools: Sequence[Pool], base: str | None) -> None:
        """Score a few pools under two contrary instructions.

        Raises:
            FrescoError: the scores are the same: the re-ranker reads no instruction, whatever it says.
        """
        probes = sorted(pools, key=len)[:_PROBES]
        scored = [self.scores(text, probes) for text in (base, *_CONTRAST)]
        spread = max(float(np.ptp(own)) for own in scored[0])
        moved = max(
            float(np.abs(one - other).max())
            for texts in scored[1:]
            for one, other in zip(scored[0], texts, strict=True)
        )
        if moved <= _NOISE * spread:
            raise FrescoError(
                f"{self.reranker.name} gives the same scores under contrary instructions (they move by {moved:.3g}, a "
                f"pool spans {spread:.3g}): it reads none, so a search would only find noise; --force goes on"
            )

    def close(self) -> None:
        """Give back what the re-ranker holds."""
        close: Callable[[], None] | None = getattr(self.reranker, "close", None)
        if callable(close):
            close()


def precisions(pools: Sequence[Pool], scores: Sequence[FloatArray]) -> FloatArray:
    """Average precision of each pool, shape (pools,)."""
    return np.array([average_precision(pool, own) for pool, own in zip(pools, scores, strict=True)])
