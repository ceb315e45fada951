"""Time priors over any re-ranker's scores: half-life decay, TempRALM's sum, MRAG's product."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.records import Passage, Query
from fresco.rerank.base import Reranker, describe
from fresco.rerank.registry import RERANKERS, open_over_base

_SECONDS_A_DAY = 86400.0


class Fusion(ABC):
    """A re-ranker that turns another's scores into its own; a :class:`fresco.rerank.base.Wrapper`."""

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
        if not 0 < days < math.inf:
            raise FrescoError(f"half-life of {days} days: give a number of days above zero, as in half-life:bm25,365")
        super().__init__(base)
        self.days = days
        self.name = f"half-life:{base.name},{days:g}"

    def fuse(self, query: Query, passages: Sequence[Passage], base_scores: Sequence[float]) -> npt.NDArray[np.float64]:
        """See :meth:`Fusion.fuse`."""
        return _relevance(base_scores) * np.exp2(-np.maximum(_ages(query, passages), 0.0) / self.days)


class TempRalm(Fusion):
    """Base score plus ``alpha`` times a temporal score (TempRALM, https://arxiv.org/abs/2401.13222).

    The temporal score of a passage is ``1 / |t_query - t_passage|``, brought to the mean and the standard deviation
    that the base scores have in the pool, so that one alpha suits logits, cosines and BM25 alike. Ours to decide: the
    distance counts in days and is at least one, since the inverse has a pole at the query's own moment; later passages
    than the query count like earlier ones (as FRESCO, arXiv 2604.14227, states the method); a base that gives one score
    to all passes for one with deviation 1, so that the dates decide; where all dates are equally far the base does.
    Alpha 0 is the base's own order.
    """

    def __init__(self, base: Reranker, alpha: float) -> None:
        if not 0 <= alpha < math.inf:
            raise FrescoError(f"TempRALM with alpha {alpha}: give a number from zero up, as in tempralm:bm25,1")
        super().__init__(base)
        self.alpha = alpha
        self.name = f"tempralm:{base.name},{alpha:g}"

    def fuse(self, query: Query, passages: Sequence[Passage], base_scores: Sequence[float]) -> npt.NDArray[np.float64]:
        """See :meth:`Fusion.fuse`."""
        scores = np.asarray(base_scores, dtype=np.float64)
        closeness = 1 / np.maximum(np.abs(_ages(query, passages)), 1.0)
        if not self.alpha or not len(scores) or not np.ptp(closeness):
            return scores
        spread = scores.std() if np.ptp(scores) else 1.0
        scaled = (closeness - closeness.mean()) / closeness.std() * spread + scores.mean()
        return np.asarray(scores + self.alpha * scaled)


class Mrag(Fusion):
    """Base score, scaled to 0..1 inside the pool, times ``1 / (1 + |t_query - t_passage| / days)``.

    The fusion of MRAG (https://arxiv.org/abs/2412.15540), semantic score times temporal score, without the rest of it:
    there an LLM parts the question into content and time constraint and summarizes the passages, and the temporal score
    is a spline drawn from the constraint. Here the constraint is always "as of the query's date" and the temporal
    score falls to a half at ``days`` from it, on either side, and never to zero, so that old passages keep an order.
    An infinite ``days`` is the base's own order. With :class:`HalfLife` it shares the scaling; its tail is heavier.
    """

    def __init__(self, base: Reranker, days: float) -> None:
        if not days > 0:
            raise FrescoError(f"MRAG with {days} days: give a number of days above zero, as in mrag:bm25,365")
        super().__init__(base)
        self.days = days
        self.name = f"mrag:{base.name},{days:g}"

    def fuse(self, query: Query, passages: Sequence[Passage], base_scores: Sequence[float]) -> npt.NDArray[np.float64]:
        """See :meth:`Fusion.fuse`."""
        return _relevance(base_scores) / (1 + np.abs(_ages(query, passages)) / self.days)


def _relevance(base_scores: Sequence[float]) -> npt.NDArray[np.float64]:
    """Scores of one pool scaled to 0..1; 1 for all where they are equal."""
    scores = np.asarray(base_scores, dtype=np.float64)
    if not len(scores):
        return scores
    low, span = scores.min(), np.ptp(scores)
    return (scores - low) / span if span > 0 else np.ones_like(scores)


def _ages(query: Query, passages: Sequence[Passage]) -> npt.NDArray[np.float64]:
    """Days from each passage's date to the query's; negative for later passages."""
    seconds = [(query.timestamp - passage.timestamp).total_seconds() for passage in passages]
    return np.array(seconds, dtype=np.float64) / _SECONDS_A_DAY


@RERANKERS.register(
    "half-life:BASE,DAYS",
    "a recency prior over any base",
    needs="what BASE needs",
    example="bm25,365 (days, above zero)",
    instruction="as BASE",
)
def _half_life(arguments: str, settings: Settings) -> Reranker:
    return open_over_base("half-life", arguments, settings, HalfLife)


@RERANKERS.register(
    "tempralm:BASE,ALPHA",
    "any base plus ALPHA times closeness in time (TempRALM)",
    needs="what BASE needs",
    example="bm25,1 (a weight from zero up)",
    instruction="as BASE",
)
def _tempralm(arguments: str, settings: Settings) -> Reranker:
    return open_over_base("tempralm", arguments, settings, TempRalm)


@RERANKERS.register(
    "mrag:BASE,DAYS",
    "any base times closeness in time, a half at DAYS (MRAG)",
    needs="what BASE needs",
    example="bm25,365 (days, above zero)",
    instruction="as BASE",
)
def _mrag(arguments: str, settings: Settings) -> Reranker:
    return open_over_base("mrag", arguments, settings, Mrag)
