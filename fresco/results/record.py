"""``run.json``: what a run of ``fresco score`` was asked, on what, with which re-rankers, where and when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fresco.io.provenance import environment, run_header
from fresco.results.writer import run_file
from fresco.scoring.job import Job
from fresco.scoring.pipeline import Run


def run_record(job: Job, run: Run, started: datetime, store: str | None) -> dict[str, Any]:
    """The record of a run that has just ended.

    Args:
        job: What was asked.
        run: What was found.
        started: When.
        store: The score store; None where nothing was scored.
    """
    settings = job.settings
    return {
        **run_header(job.identity, started),
        "benchmark": {
            "name": run.benchmark.name,
            "edition": run.benchmark.edition,
            "fingerprint": run.benchmark.fingerprint,
            "queries": len(run.benchmark),
            "passages": len(list(run.benchmark.passages())),
            "split": job.part.split,
            "limit": job.part.limit,
            "timestamps": job.part.timestamps,
            "pools": job.part.pools,
            "candidates": run.benchmark.candidates,
            "notes": list(run.benchmark.notes),
        },
        "settings": {
            "instruction": job.instruction,
            "device": settings.device,
            "dtype": settings.dtype,
            "max_length": settings.max_length,
            "batch_tokens": settings.batch_tokens,
            "seed": settings.seed,
            "resamples": job.resamples,
            "unit": job.unit,
            "measures": [measure.name for measure in job.measures],
            "store": store,
        },
        "named": list(job.named),
        "rerankers": _rerankers(run),
        "environment": environment(),
    }


def _rerankers(run: Run) -> list[Mapping[str, Any]]:
    ties = run.evaluation.ties
    return [
        {
            **reranker.description,
            "file": run_file(reranker.name),
            "fingerprint": reranker.outcome.fingerprint,
            "pairs_scored": reranker.outcome.computed,
            "pairs_from_store": reranker.outcome.reused,
            "scores_kept": reranker.outcome.kept,
            "seconds": reranker.outcome.seconds,
            "ties": ties[reranker.name],
        }
        for reranker in run.rerankers
    ]
