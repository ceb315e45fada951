"""Pools to scores to metrics: everything ``fresco score`` computes, without its console."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from fresco.io.foreign import foreign_code
from fresco.metrics.counterfactual import probe_pools
from fresco.metrics.evaluate import Evaluation, evaluate
from fresco.metrics.measures import Measure
from fresco.records import Benchmark, Candidates
from fresco.rerank.base import Reranker, describe
from fresco.scoring.runner import Scored, fit, score
from fresco.scoring.store import ScoreStore
from fresco.scoring.trial import try_out
from fresco.terminal.progress import Progress, no_progress


@dataclass(frozen=True)
class RerankerRun:
    """One re-ranker's share of a run.

    Attributes:
        name: The re-ranker's.
        scores: For each pool of the benchmark, float64, shape (passages,).
        outcome: Pairs computed and reused, seconds.
        description: The re-ranker's own words for the record.
    """

    name: str
    scores: list[npt.NDArray[np.float64]]
    outcome: Scored
    description: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """What a run of ``fresco score`` found."""

    benchmark: Benchmark
    rerankers: list[RerankerRun]
    evaluation: Evaluation


def score_benchmark(
    benchmark: Benchmark,
    rerankers: Sequence[Reranker],
    store: ScoreStore,
    *,
    instruction: str | None = None,
    seed: int = 0,
    resamples: int = 1000,
    measures: Sequence[Measure] = (),
    unit: str = "subject",
    progress: Progress = no_progress,
) -> Run:
    """Score every pool and every counterfactual probe with every re-ranker, then measure.

    Args:
        benchmark: What to score.
        rerankers: Names must differ.
        store: Where scores are kept.
        instruction: For the re-rankers that take one; the others go without.
        seed: Of the resampling.
        resamples: Bootstrap samples for each interval.
        measures: To compute beside the standard set.
        unit: What is drawn and flipped as one: ``subject`` or ``relation``.
        progress: Told how many pairs of each re-ranker are scored.

    Raises:
        FrescoError: a re-ranker failed; scores made before are stored.
    """
    probes = probe_pools(benchmark)
    pools: list[Candidates] = [(pool.query, pool.passages) for pool in benchmark.pools]
    made_up: list[Candidates] = [(probe.query, probe.passages) for probe in probes]
    by_id = {reranker.name for reranker in rerankers if getattr(reranker, "by_id", False)}
    runs = [
        _score_one(
            reranker,
            benchmark,
            pools if reranker.name in by_id else pools + made_up,
            store,
            instruction,
            progress,
        )
        for reranker in rerankers
    ]
    evaluation = evaluate(
        benchmark,
        {run.name: run.scores for run in runs},
        probes=probes,
        probe_scores={run.name: run.outcome.scores[len(benchmark.pools) :] for run in runs if run.name not in by_id},
        measures=measures,
        unit=unit,
        seed=seed,
        resamples=resamples,
    )
    return Run(benchmark, runs, evaluation)


def _score_one(
    reranker: Reranker,
    benchmark: Benchmark,
    pools: Sequence[Candidates],
    store: ScoreStore,
    instruction: str | None,
    progress: Progress,
) -> RerankerRun:
    fit(reranker, benchmark.passages())
    try:
        asked = instruction if reranker.takes_instruction else None
        try_out(reranker, pools, store, asked)
        outcome = score(
            reranker,
            pools,
            store,
            instruction=asked,
            progress=partial(progress, reranker.name),
        )
        description = describe(reranker)
    finally:
        close = getattr(reranker, "close", None)
        if callable(close):  # a model's memory goes back before the next one loads
            with foreign_code(f"{reranker.name}: close() failed"):
                close()
    return RerankerRun(reranker.name, outcome.scores[: len(benchmark.pools)], outcome, description)
