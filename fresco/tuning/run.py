"""``fresco.tune``: what the front door re-exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fresco.models.settings import Settings
from fresco.records import Benchmark
from fresco.rerank.open import as_reranker
from fresco.terminal.progress import Progress, shown_progress
from fresco.tuning.pipeline import TuneResult, run_tuning


def tune(
    reranker: Any,
    benchmark: str | Benchmark = "mini",
    *,
    nek: str | Benchmark | None = None,
    strict: bool = False,
    settings: Settings | None = None,
    store: str | Path | None = None,
    progress: bool | Progress = True,
    resamples: int = 1000,
    out: str | Path | None = None,
    results: str | Path = "fresco-results",
    overwrite: bool = False,
) -> TuneResult:
    """Fit recency priors over a re-ranker, alone and gated by the question; see :mod:`fresco.tuning.priors`.

    Interrupted at any point, the same call goes on where it stopped.

    Args:
        reranker: Whatever :func:`fresco.score` takes for one.
        benchmark: Its train split fits the gate, validation chooses the parameters, test proves them.
        nek: Another benchmark as the static side.
        strict: Refuse rows of a published collection that are otherwise left out.
        settings: Of a model that a spec names, and the seed of splits and resampling.
        store: File of the score store; the user's own where None.
        progress: Whether to show bars; or a function of what is scored, pairs done and pairs in all.
        resamples: Bootstrap samples for each interval.
        out: Folder of ``tuning.json``, ``card.md``, ``recency.json``, ``cures/`` and ``run.json``.
        results: Where ``out`` is None: a folder in which the tuning gets one of its own.
        overwrite: Replace what the folder holds.

    Raises:
        FrescoError: something cannot be opened, a split lacks EK or NEK queries, or the re-ranker failed.
    """
    chosen = settings or Settings()
    with shown_progress(progress, "pairs") as tell:
        return run_tuning(
            as_reranker(reranker, chosen),
            benchmark,
            nek,
            chosen,
            strict=strict,
            resamples=resamples,
            store=store,
            out=out,
            results=results,
            overwrite=overwrite,
            progress=tell,
        )
