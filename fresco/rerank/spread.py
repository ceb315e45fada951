"""What re-rankers share whose pairs are scored by several others: processes of devices, actors of a cluster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from fresco.models.settings import Settings
from fresco.records import Pair, Passage, Query
from fresco.rerank.base import Reranker, describe, tolerance_of


class Spread(ABC):
    """A pointwise re-ranker that others compute.

    Attributes:
        name: The re-ranker's own, as are ``takes_instruction``, ``fingerprint`` and ``tolerance``.
        divided: That several devices, or a cluster, have a use here.

    Args:
        lead: The re-ranker, opened here; its weights are never loaded here.
        spec: From which each of the others opens its own.
        settings: Theirs.
    """

    pointwise = True
    divided = True

    def __init__(self, lead: Reranker, spec: str, settings: Settings) -> None:
        self.name, self.takes_instruction = lead.name, lead.takes_instruction
        self.tolerance = tolerance_of(lead)
        self._lead, self._spec, self._settings = lead, spec, settings
        self._described: dict[str, Mapping[str, Any]] = {}

    @property
    def fingerprint(self) -> str:
        """The re-ranker's own: who computes changes scores by rounding only."""
        own: str = self._lead.fingerprint  # type: ignore[attr-defined]
        return own

    def describe(self) -> Mapping[str, Any]:
        """The re-ranker's own words, by one that has its weights; what was saved is counted over all."""
        own = next(iter(self._described.values()), None) or describe(self._lead)
        saved = [
            each["tokens_saved_by_sharing"] for each in self._described.values() if "tokens_saved_by_sharing" in each
        ]
        return {**own, **({"tokens_saved_by_sharing": sum(each or 0 for each in saved)} if saved else {})}

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> list[float]:
        """Score one pool; see :class:`fresco.rerank.base.Reranker`."""
        scores = [0.0] * len(passages)
        for indices, values in self.score_batches([(query, own) for own in passages], instruction, lambda _: False):
            for index, value in zip(indices, values, strict=True):
                scores[index] = value
        return scores

    @abstractmethod
    def score_batches(
        self, pairs: Sequence[Pair], instruction: str | None, is_done: Callable[[Sequence[int]], bool]
    ) -> Iterator[tuple[Sequence[int], Sequence[float]]]:
        """Score a run; see :class:`fresco.rerank.base.BatchScorer`."""
