"""``fresco.answer``: what the front door re-exports."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fresco.answering.pipeline import AnswerOptions, AnswerResult, run_answering
from fresco.benchmarks.part import Part
from fresco.models.settings import Settings
from fresco.records import Benchmark
from fresco.rerank.open import open_rerankers
from fresco.terminal.progress import Progress, shown_progress

#: Beside what the user names: chance, date alone, words alone.
BASELINES = ("random", "newest", "bm25")


def answer(
    what: Any,
    benchmark: str | Benchmark = "mini",
    *,
    reader: str,
    top_k: int = 5,
    facts: str | Path | None = None,
    likelihood: bool = False,
    max_tokens: int = 48,
    nek: str | Benchmark | None = None,
    strict: bool = False,
    split: str | None = None,
    limit: int | None = None,
    baselines: bool | Iterable[Any] = True,
    settings: Settings | None = None,
    store: str | Path | None = None,
    progress: bool | Progress = True,
    resamples: int = 1000,
    out: str | Path | None = None,
    results: str | Path = "fresco-results",
    overwrite: bool = False,
) -> AnswerResult:
    """What a reader answers from the passages that re-rankers put first: the current value, a former one, or neither.

    Interrupted at any point, the same call goes on where it stopped: scores and answers are kept.

    Args:
        what: Re-rankers, as :func:`fresco.score` takes them; None for the baselines alone.
        benchmark: Likewise.
        reader: ``URL#MODEL`` of an OpenAI-compatible server, or the folder or id of a chat model.
        top_k: Passages that the reader is shown, best first.
        facts: JSON Lines with the values of each query (:mod:`fresco.answering.values`); the file beside the
            benchmark where None.
        likelihood: Ask besides whether the current value is likelier, as the answer, than every former one; for a
            model in this process.
        max_tokens: Of an answer.
        nek: Another benchmark as the static side.
        strict: Refuse rows of a published collection that are otherwise left out.
        split: ``all``, ``train``, ``validation`` or ``test``; ``all`` where None.
        limit: Only about so many queries, whole subjects, drawn by the seed of the settings.
        baselines: Whether ``random``, ``newest`` and ``bm25`` stand beside; or which re-rankers do.
        settings: Of models in this process, and the seed.
        store: File of the score store; the user's own where None.
        progress: Whether to show bars; or a function of what is done, how much of it and how much there is.
        resamples: Bootstrap samples for each interval.
        out: Folder of ``answers.json``, ``answers.jsonl``, ``answers.md`` and ``run.json``.
        results: Where ``out`` is None: a folder in which the run gets one of its own.
        overwrite: Replace what the folder holds.

    Raises:
        FrescoError: something cannot be opened, former values are not known, a re-ranker or the reader failed.
    """
    chosen = settings or Settings()
    beside = (BASELINES if baselines else ()) if isinstance(baselines, bool) else baselines
    _, rerankers = open_rerankers(what, chosen, beside)
    part = Part(split or "all", limit, seed=chosen.seed, strict=strict)
    options = AnswerOptions(reader, top_k, facts, likelihood, max_tokens, resamples)
    with shown_progress(progress) as tell:
        return run_answering(
            rerankers,
            benchmark,
            nek,
            part,
            chosen,
            options,
            store=store,
            out=out,
            results=results,
            overwrite=overwrite,
            progress=tell,
        )
