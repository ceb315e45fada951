"""What re-rankers over a local model share: files looked at first, weights loaded at the first score, one record.

A family adds how its model is loaded, what of its settings decides a score (:meth:`ModelReranker._identity`) and what
its record says besides (:meth:`ModelReranker._details`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from fresco.models import loading, memory
from fresco.models.batching import BatchModel, score_all, score_in_batches
from fresco.models.settings import Settings
from fresco.records import Pair, Passage, Query
from fresco.rerank.base import DEFAULT_TOLERANCE


class LoadedModel(Protocol):
    """What is known once the weights are there."""

    device: Any
    dtype: str
    limit: int
    truncated: int


class LoadedPairModel(LoadedModel, BatchModel, Protocol):
    """A loaded model that reads query and passage together."""


#: By how much two scorings of a pair may differ (:mod:`fresco.rerank.base`): half precision keeps 8 bits of a number,
#: and other batches add in another order.
_TOLERANCE = {"float32": DEFAULT_TOLERANCE}
_ROUGH = 0.05
#: The same for a score that is the difference of two logits: these are of order 20 to 30 and each is kept to 8 bits,
#: whatever is left between them (SmolLM2 135M: up to 0.09 between two batches).
ROUGH_DIFFERENCE = 0.25

M = TypeVar("M", bound=LoadedModel)
P = TypeVar("P", bound=LoadedPairModel)


class ModelReranker(ABC, Generic[M]):
    """A pointwise re-ranker over one local model.

    Attributes:
        family: What stands before the colon.
        rough: The tolerance in half precision.
        name: ``FAMILY:MODEL``.
    """

    family: str
    rough = _ROUGH
    takes_instruction: bool = False
    pointwise = True

    def __init__(self, files: loading.Model, settings: Settings) -> None:
        """Keep the model's files; weights load at the first score."""
        self._files, self._settings = files, settings
        self.name = f"{self.family}:{files.model}"
        self._loaded: M | None = None

    @abstractmethod
    def _load(self) -> M:
        """Load the weights."""

    def _identity(self) -> str:
        """What of the family's own, besides files, dtype, lengths and libraries, can change a score: ``|KEY=VALUE``."""
        return ""

    def _details(self, loaded: M | None) -> Mapping[str, Any]:
        """What the record says besides model, numbers and truncation; ``loaded`` is None before the first score."""
        return {}

    @cached_property
    def fingerprint(self) -> str:
        """Weights, configs and tokenizer, dtype, length limit and library versions; known without loading.

        Device and batch size are left out: they change scores by rounding only.
        """
        return (
            f"{self.family}|{self._files.identity}|{self._settings.dtype}|max_length={self._settings.max_length}"
            f"{self._identity()}|{loading.library_versions()}"
        )

    @property
    def tolerance(self) -> float:
        """Rounding between two scorings of a pair, by the model's precision: until it is loaded, the one asked for."""
        return _TOLERANCE.get(self._loaded.dtype if self._loaded else self._settings.dtype, self.rough)

    @property
    def files(self) -> loading.Model:
        """Where its weights lie."""
        return self._files

    @property
    def truncated(self) -> int:
        """Inputs of which this process cut the passage's end."""
        return self._loaded.truncated if self._loaded else 0

    def describe(self) -> Mapping[str, Any]:
        """Model, revision and numeric settings; what only the loaded model knows is None before the first score."""
        loaded = self._loaded
        return {
            "model": self._files.model,
            "revision": self._files.revision or self._files.identity,
            "dtype": loaded.dtype if loaded else self._settings.dtype,
            "device": str(loaded.device) if loaded else self._settings.device,
            "max_length": loaded.limit if loaded else self._settings.max_length,
            "batch_tokens": self._settings.batch_tokens,
            "peak_memory": memory.peak(loaded.device) if loaded else None,
            **self._details(loaded),
            "truncated": self.truncated,
        }

    def close(self) -> None:
        """Drop the weights; the next score loads them again."""
        device = self._loaded.device if self._loaded else None
        self._loaded = None
        loading.release(device)

    def _ready(self) -> M:
        if self._loaded is None:
            self._loaded = self._load()
            memory.forget_peak(self._loaded.device)
        return self._loaded


class PairReranker(ModelReranker[P]):
    """One whose model reads query and passage together, in batches that the planner makes."""

    def _instruct(self, loaded: P, instruction: str | None) -> None:
        """Set the instruction of the pairs to come; None for the model's own."""

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> list[float]:
        """Score one pool; see :class:`fresco.rerank.base.Reranker`."""
        pairs = [(query, passage) for passage in passages]
        return score_all(self._under(instruction), pairs, self._settings.batch_tokens)

    def score_batches(
        self, pairs: Sequence[Pair], instruction: str | None, is_done: Callable[[Sequence[int]], bool]
    ) -> Iterator[tuple[Sequence[int], Sequence[float]]]:
        """Score all pairs of a run; see :class:`fresco.rerank.base.BatchScorer`."""
        yield from score_in_batches(self._under(instruction), pairs, self._settings.batch_tokens, is_done)

    def _under(self, instruction: str | None) -> P:
        loaded = self._ready()
        self._instruct(loaded, instruction)
        return loaded
