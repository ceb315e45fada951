"""BM25 over words (rank-bm25), with the statistics of the whole benchmark."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from fresco.errors import FrescoError
from fresco.records import Passage, Query
from fresco.rerank.registry import RERANKERS
from fresco.stats.bm25 import K1, B, WordStatistics, word_statistics
from fresco.stats.words import words


class Bm25:
    """Okapi BM25 (k1 1.5, b 0.75, rank-bm25's defaults).

    Word frequencies come from every passage of the benchmark, not from the 51 of a pool: inside a pool the subject's
    own name is in most passages and would weigh nothing.
    """

    name = "bm25"
    takes_instruction = False
    pointwise = True

    def __init__(self) -> None:
        self._corpus: WordStatistics | None = None
        self.fingerprint = ""

    def fit(self, passages: Iterable[Passage]) -> None:
        """Count the words of the benchmark's passages."""
        digest = hashlib.sha256()

        def texts() -> Iterator[str]:
            for number, passage in enumerate(passages):
                text = passage.text
                digest.update(f"\0{text}".encode() if number else text.encode())
                yield text

        # Where no passage has a word no query can find one: all weights are zero.
        self._corpus = word_statistics(texts()) or WordStatistics({}, 1.0)
        self.fingerprint = f"bm25:okapi:words=3:k1={K1}:b={B}:corpus={digest.hexdigest()}"

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> list[float]:
        """Score one pool; see :class:`fresco.rerank.base.Reranker`."""
        if self._corpus is None:
            raise FrescoError("bm25 has no word statistics yet: call fit(passages) with the benchmark's passages first")
        tokens = [words(passage.text) for passage in passages]
        asked = words(query.text)
        counts = [np.array([own.count(word) for own in tokens], np.int64) for word in asked]
        lengths = np.array([len(own) for own in tokens], np.int64)
        return [float(score) for score in self._corpus.scores(asked, counts, lengths)]


@RERANKERS.register("bm25", "BM25 over words", instruction="no")
def _bm25(_arguments: str) -> Bm25:
    return Bm25()
