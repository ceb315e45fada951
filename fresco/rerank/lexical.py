"""BM25 over words (rank-bm25), with the statistics of the whole benchmark."""

from __future__ import annotations

import copy
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from rank_bm25 import BM25Okapi

from fresco.errors import FrescoError
from fresco.records import Passage, Query
from fresco.rerank.registry import RERANKERS
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
        self._corpus: BM25Okapi | None = None
        self.fingerprint = ""

    def fit(self, passages: Iterable[Passage]) -> None:
        """Count the words of the benchmark's passages."""
        texts = [passage.text for passage in passages]
        self._corpus = BM25Okapi([words(text) for text in texts])
        # Scores only need the counts per word; those per passage would double the memory for nothing.
        self._corpus.doc_freqs, self._corpus.doc_len = [], []
        digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()
        self.fingerprint = f"bm25:okapi:k1={self._corpus.k1}:b={self._corpus.b}:corpus={digest}"

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> list[float]:
        """Score one pool; see :class:`fresco.rerank.base.Reranker`."""
        if self._corpus is None:
            raise FrescoError("bm25 has no word statistics yet: call fit(passages) with the benchmark's passages first")
        pool = copy.copy(self._corpus)
        tokens = [words(passage.text) for passage in passages]
        pool.doc_freqs = [Counter(passage) for passage in tokens]
        pool.doc_len = [len(passage) for passage in tokens]
        pool.corpus_size = len(tokens)
        return [float(score) for score in np.asarray(pool.get_scores(words(query.text)))]


@RERANKERS.register("bm25", "BM25 over words", instruction="no")
def _bm25(_arguments: str) -> Bm25:
    return Bm25()
