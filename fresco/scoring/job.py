"""What a run of ``fresco score`` is asked for, once everything is opened."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from fresco.benchmarks.part import Part
from fresco.errors import require_whole
from fresco.metrics.catalog import check_unit
from fresco.metrics.measures import Measure
from fresco.models.settings import Settings
from fresco.records import Benchmark
from fresco.rerank.base import Reranker
from fresco.scoring.pipeline import Run, score_benchmark
from fresco.scoring.store import ScoreStore
from fresco.terminal.progress import Progress


@dataclass(frozen=True)
class Job:
    """One run.

    Attributes:
        benchmark: What is scored.
        part: Which part of it that is.
        rerankers: All that are scored.
        named: The names of those that the user asked for.
        settings: Of models and draws.
        instruction: For the re-rankers that take one.
        instructions: The texts that have rows of their own.
        resamples: Bootstrap samples for each interval.
        measures: To compute beside those that the benchmark gets anyway.
        unit: What is drawn and flipped as one: ``subject`` or ``relation``.
    """

    benchmark: Benchmark
    part: Part
    rerankers: Sequence[Reranker]
    named: Sequence[str]
    settings: Settings
    instruction: str | None = None
    instructions: Sequence[str] = ()
    resamples: int = 1000
    measures: Sequence[Measure] = ()
    unit: str = "subject"

    def __post_init__(self) -> None:
        require_whole("resamples", self.resamples)
        check_unit(self.unit)

    @cached_property
    def identity(self) -> str:
        """SHA-256 over what makes two jobs the same run: such a run may replace the other's folder."""
        settings = self.settings
        parts: list[Any] = [
            self.benchmark.name,
            self.benchmark.fingerprint,
            self.part.timestamps,
            [self.instruction, *self.instructions] if self.instructions else self.instruction,
            [reranker.name for reranker in self.rerankers],
            [settings.dtype, settings.max_length, settings.seed, self.resamples],
        ]
        if settings.template or settings.answers:
            parts += [[settings.template, *settings.answers]]
        parts += [[measure.name for measure in self.measures]] if self.measures else []
        parts += [["unit", self.unit]] if self.unit != "subject" else []
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def run(self, store: ScoreStore, progress: Progress) -> Run:
        """Score and measure; see :func:`fresco.scoring.pipeline.score_benchmark`."""
        return score_benchmark(
            self.benchmark,
            self.rerankers,
            store,
            instruction=self.instruction,
            seed=self.settings.seed,
            resamples=self.resamples,
            measures=self.measures,
            unit=self.unit,
            progress=progress,
        )
