"""The fine-tuned models of a tuning: one for each loss and seed, trained on the train split, as re-rankers to prove."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fresco.benchmarks import limit_queries
from fresco.models.settings import Settings
from fresco.optimizer.search.objective import precisions
from fresco.optimizer.search.racing import ek_and_nek
from fresco.records import Benchmark
from fresco.rerank.base import Reranker
from fresco.stats.arrays import FloatArray
from fresco.terminal.progress import Progress
from fresco.tuning.model import source_of
from fresco.tuning.model_card import model_card
from fresco.tuning.plan import FineTuning

if TYPE_CHECKING:
    from fresco.tuning.training import Trained


def train_models(
    reranker: Reranker,
    parts: Mapping[str, Benchmark],
    validation: Sequence[FloatArray],
    plan: FineTuning,
    settings: Settings,
    folder: Path,
    progress: Progress,
) -> list[Trained]:
    """Train every model of the plan, or find it trained.

    Args:
        reranker: The base: what training starts from.
        parts: The splits; test is not looked at.
        validation: The base's scores there, an array for each pool.
        plan: Losses, seeds and the rest.
        settings: Device, lengths, first seed.
        folder: Of the tuning.
        progress: Told of steps.

    Raises:
        FrescoError: the base has no weights to train, or training failed.
    """
    start = source_of(reranker)
    from fresco.tuning.training import Trainable, fine_tune

    scores = dict(zip((pool.query.id for pool in parts["validation"].pools), validation, strict=True))
    few = limit_queries(parts["validation"], plan.queries, seed=settings.seed).pools
    base = ek_and_nek(precisions(few, [scores[pool.query.id] for pool in few]), few)
    card = partial(model_card, parts["train"].name)
    what = Trainable(start, parts["train"].pools, few, base, settings, card)
    return [
        fine_tune(what, plan, name, loss, seed, folder, partial(progress, f"training {name}"))
        for name, loss, seed in plan.runs(settings.seed)
    ]
