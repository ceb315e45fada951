"""EK and NEK of a benchmark as reranking tasks of ``mteb``, with our measures as extra scores; ``pip install mteb``.

    mteb.evaluate(model, mteb_tasks("mini"))

A task's main score is ``fresco_MAP``; every other measure of ``fresco score`` stands beside it in the same way. Where
scores tie, ours are expectations over the order of the tied, which mteb's own figures are not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fresco.benchmarks.open import open_benchmark
from fresco.errors import FrescoError
from fresco.metrics.catalog import ALL
from fresco.metrics.evaluate import evaluate
from fresco.records import Benchmark, Pool, Task

try:
    from datasets import Dataset
    from mteb import TaskMetadata
    from mteb.abstasks.retrieval import AbsTaskRetrieval
except ImportError as error:
    raise FrescoError(f"an MTEB task needs {error.name}: pip install mteb") from error

_SPLIT = "test"  # mteb's word for what is scored


class FrescoReranking(AbsTaskRetrieval):  # type: ignore[misc]
    """One side of a benchmark; made by :func:`mteb_tasks`."""

    benchmark: Benchmark

    def load_data(self, num_proc: int | None = None, **_: Any) -> None:
        """Give mteb queries, passages, judgements and pools."""
        pools = self.benchmark.pools
        queries = [{"id": pool.query.id, "text": pool.query.text} for pool in pools]
        corpus = [{"id": each.id, "title": "", "text": each.text} for each in self.benchmark.passages()]
        self.dataset = {
            "default": {
                _SPLIT: {
                    "queries": Dataset.from_list(queries),
                    "corpus": Dataset.from_list(corpus),
                    "relevant_docs": {pool.query.id: _grades(pool) for pool in pools},
                    "top_ranked": {pool.query.id: [each.id for each in pool.passages] for pool in pools},
                }
            }
        }
        self.data_loaded = True

    def task_specific_scores(
        self, scores: Any, qrels: Any, results: dict[str, dict[str, float]], hf_split: str, hf_subset: str
    ) -> dict[str, float]:
        """Our measures of what mteb's model scored."""
        own = [
            np.array([results[pool.query.id][passage.id] for passage in pool.passages]) for pool in self.benchmark.pools
        ]
        rows = evaluate(self.benchmark, {"model": own}, probes=(), resamples=2).rows  # mteb has no place for intervals
        return {
            f"fresco_{row['metric']}": row["value"] for row in rows if row["kind"] == ALL and row["value"] is not None
        }


def mteb_tasks(benchmark: str | Benchmark = "mini") -> list[FrescoReranking]:
    """The tasks of a benchmark, EK first; a side without queries has none.

    Raises:
        FrescoError: the benchmark cannot be opened.
    """
    opened = open_benchmark(benchmark) if isinstance(benchmark, str) else benchmark
    return [_task(opened, side) for side in Task if any(pool.query.task is side for pool in opened.pools)]


def _task(benchmark: Benchmark, side: Task) -> FrescoReranking:
    pools = tuple(pool for pool in benchmark.pools if pool.query.task is side)
    name = f"Fresco{side}"
    metadata = TaskMetadata(
        name=name,
        description=f"{side} queries of {benchmark.name}: does a re-ranker put what is valid now first?",
        dataset={"path": benchmark.name, "revision": benchmark.fingerprint},
        type="Reranking",
        category="t2t",
        modalities=["text"],
        eval_splits=[_SPLIT],
        eval_langs=["eng-Latn"],
        main_score="fresco_MAP",
    )
    fields = {"metadata": metadata, "benchmark": Benchmark(benchmark.name, pools, benchmark.fingerprint)}
    made: FrescoReranking = type(name, (FrescoReranking,), fields)()
    return made


def _grades(pool: Pool) -> dict[str, int]:
    return {passage.id: grade for passage, grade in zip(pool.passages, pool.grades, strict=True) if grade > 0}
