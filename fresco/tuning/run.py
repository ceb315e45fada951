"""``fresco.tune``: what the front door re-exports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fresco.models.settings import Settings
from fresco.records import Benchmark
from fresco.rerank.open import as_reranker
from fresco.terminal.progress import Progress, shown_progress
from fresco.tuning.pipeline import TuneResult, run_tuning
from fresco.tuning.plan import FineTuning


def tune(
    reranker: Any,
    benchmark: str | Benchmark = "mini",
    *,
    nek: str | Benchmark | None = None,
    strict: bool = False,
    train: FineTuning | Sequence[str] | str | None = None,
    instructions: str | Path | Sequence[str] | None = None,
    settings: Settings | None = None,
    store: str | Path | None = None,
    progress: bool | Progress = True,
    resamples: int = 1000,
    out: str | Path | None = None,
    results: str | Path = "fresco-results",
    overwrite: bool = False,
) -> TuneResult:
    """Fit recency priors over a re-ranker, alone and gated by the question, and fine-tune it; prove all on one front.

    :mod:`fresco.tuning.priors` says how priors are fitted, :mod:`fresco.tuning.training` how models are trained.

    Interrupted at any point, the same call goes on where it stopped.

    Args:
        reranker: Whatever :func:`fresco.score` takes for one.
        benchmark: Its train split fits the gate, validation chooses the parameters, test proves them.
        nek: Another benchmark as the static side.
        strict: Refuse rows of a published collection that are otherwise left out.
        train: Losses to fine-tune by (``bce``, ``listnet``, ``lambdarank``), or a
            :class:`fresco.tuning.plan.FineTuning` with all options; the re-ranker must be ``cross-encoder:``,
            ``dense:`` or ``causal-lm:``. None trains nothing.
        instructions: A ``front.json`` of ``fresco optimize``, another file, or a list: a row for each of them.
        settings: Of a model that a spec names, and the seed of splits and resampling.
        store: File of the score store; the user's own where None.
        progress: Whether to show bars; or a function of what is scored, pairs done and pairs in all.
        resamples: Bootstrap samples for each interval.
        out: Folder of ``tuning.json``, ``card.md``, ``recency.json``, ``cures/``, ``models/``, ``tensorboard/`` and
            ``run.json``.
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
            train=_plan(train),
            instructions=instructions,
            strict=strict,
            resamples=resamples,
            store=store,
            out=out,
            results=results,
            overwrite=overwrite,
            progress=tell,
        )


def _plan(train: FineTuning | Sequence[str] | str | None) -> FineTuning | None:
    if train is None or isinstance(train, FineTuning):
        return train
    return FineTuning((train,) if isinstance(train, str) else tuple(train))
