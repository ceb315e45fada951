"""Rankings that read no text: the controls that every other row is read beside."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from fresco.models.settings import Settings
from fresco.records import Passage, Query
from fresco.rerank.registry import RERANKERS


class Random:
    """A uniform number for each pair, drawn from a hash: the same for the same seed, whatever the order."""

    name = "random"
    takes_instruction = False
    pointwise = True

    def __init__(self, seed: int = 0) -> None:
        self.fingerprint = f"random:1:{seed}"
        self._seed = seed

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> list[float]:
        """Score one pool; see :class:`fresco.rerank.base.Reranker`."""
        return [self._draw(query, passage) for passage in passages]

    def _draw(self, query: Query, passage: Passage) -> float:
        digest = hashlib.sha256(f"{self._seed}\0{query.text}\0{passage.text}\0{passage.timestamp}".encode()).digest()
        return int.from_bytes(digest[:6], "big") / 2**48


class Newest:
    """The newest passage first, whatever it says."""

    name = "newest"
    takes_instruction = False
    pointwise = True
    fingerprint = "newest:1"

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> list[float]:
        """Score one pool; see :class:`fresco.rerank.base.Reranker`."""
        return [passage.timestamp.timestamp() for passage in passages]


@RERANKERS.register("random", "a random order", instruction="no")
def _random(_arguments: str, settings: Settings) -> Random:
    return Random(settings.seed)


@RERANKERS.register("newest", "newest date first", instruction="no")
def _newest(_arguments: str) -> Newest:
    return Newest()
