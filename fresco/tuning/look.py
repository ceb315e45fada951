"""What early stopping goes by: the area that the model and its base dominate together on validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sentence_transformers.base.evaluation import BaseEvaluator

from fresco.models.settings import Settings
from fresco.optimizer.search.objective import precisions
from fresco.optimizer.search.racing import ek_and_nek
from fresco.optimizer.search.selection import hypervolume
from fresco.records import Pool
from fresco.rerank.cross_encoder import CrossEncoderReranker

METRIC = "hypervolume"


def area(point: tuple[float, float], base: tuple[float, float]) -> float:
    """The area above (0, 0) that a model and its base dominate together.

    Where the model adds nothing to its base, its own area, which is then no larger: a model that is still on its way
    gets better by it, too.

    Args:
        point: EK and NEK MAP of the model.
        base: Those of its base.
    """
    both = float(hypervolume(*(np.array(side) for side in zip(point, base, strict=True))))
    return both if both > base[0] * base[1] else point[0] * point[1]


class FrontLook(BaseEvaluator):  # type: ignore[misc]  # the library has no types
    """Scores the model in training on validation pools, as ``fresco score`` would.

    Args:
        pools: Of the validation split, of both tasks.
        base: EK and NEK MAP of the base on the same pools.
        settings: Lengths and batches.
    """

    def __init__(self, pools: Sequence[Pool], base: tuple[float, float], settings: Settings) -> None:
        super().__init__()
        self._pools, self._base, self._settings = pools, base, settings
        self.primary_metric = METRIC

    def __call__(self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1) -> dict[str, Any]:
        """EK, NEK and their area; called by the trainer."""
        training = model.training
        model.eval()
        reranker = CrossEncoderReranker(model, self._settings)
        pairs = [(pool.query, passage) for pool in self._pools for passage in pool.passages]
        flat = np.zeros(len(pairs))
        for places, scores in reranker.score_batches(pairs, None, lambda _: False):
            flat[list(places)] = scores
        model.train(training)
        ends = np.cumsum([len(pool) for pool in self._pools])
        ek, nek = ek_and_nek(precisions(self._pools, np.split(flat, ends[:-1])), self._pools)
        return {METRIC: area((ek, nek), self._base), "EK": ek, "NEK": nek}
