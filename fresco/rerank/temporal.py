"""A recency prior over any re-ranker's scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fresco.errors import FrescoError
from fresco.records import Passage, Query
from fresco.rerank.base import Reranker, describe

_SECONDS_A_DAY = 86400.0


class Fusion(ABC):
    """A re-ranker that turns another's scores into its own.

    The runner scores the base through the store and calls :meth:`fuse`, so the base model is paid for once, whether it
    is ranked by itself, under a prior, or both.
    """

    name: str

    def __init__(self, base: Reranker) -> None:
        self.base = base
        self.takes_instruction = base.takes_instruction

    @abstractmethod
    def fuse(self, query: Query, passages: Sequence[Passage], base_scores: Sequence[float]) -> npt.NDArray[np.float64]:
        """Turn the base's scores of one pool, shape (passages,), into this re-ranker's."""

    def fit(self, passages: Iterable[Passage]) -> None:
        """Pass the benchmark's passages on to a base that wants them."""
        fit = getattr(self.base, "fit", None)
        if callable(fit):
            fit(passages)

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> Sequence[float]:
        """Score one pool; see :class:`fresco.rerank.base.Reranker`."""
        return list(self.fuse(query, passages, self.base.score(query, passages, instruction)))

    def describe(self) -> dict[str, Any]:
        """The base's words."""
        return {"base": dict(describe(self.base))}


class HalfLife(Fusion):
    """Base score, scaled to 0..1 inside the pool, times ``0.5 ** (age / days)``.

    Age is the time from the passage's date to the query's, never below zero. The scaling makes logits, cosines and
    BM25 scores comparable and keeps a decayed score from rising where scores are negative; a base that gives one score
    to all leaves the recency alone to decide. The half-life blends that people build by hand have this form.
    """

    def __init__(self, base: Reranker, days: float) -> None:
        if not days > 0:
            raise FrescoError(f"half-life of {days} days: give a number of days above zero, as in half-life:bm25,365")
        super().__init__(base)
        self.days = days
        self.name = f"half-life:{base.name},{days:g}"

    def fuse(self, query: Query, passages: Sequence[Passage], base_scores: Sequence[float]) -> npt.NDArray[np.float64]:
        """See :meth:`Fusion.fuse`."""
        scores = np.asarray(base_scores, dtype=np.float64)
        if not len(scores):
            return scores
        low, span = scores.min(), np.ptp(scores)
        relevance = (scores - low) / span if span > 0 else np.ones_like(scores)
        ages = np.array([(query.timestamp - passage.timestamp).total_seconds() for passage in passages])
        return np.asarray(relevance * np.exp2(-np.maximum(ages, 0.0) / _SECONDS_A_DAY / self.days))
