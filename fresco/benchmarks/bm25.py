"""Rank a whole corpus for many queries by BM25.

The statistics and the formula are rank-bm25's ``BM25Okapi`` (see :mod:`fresco.stats.bm25`). Its ``get_scores`` looks at
every passage for every word of every query. Here each word's passages are gathered once, for the words that are asked
for, and a query touches only those: the same additions without the zeros, so the scores are equal to the bit (tested).
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from fresco.stats.bm25 import K1, WordStatistics, word_statistics
from fresco.stats.words import words


class CorpusRanking:
    """BM25 over a corpus.

    Attributes:
        statistics: Of its words; None where no passage has one.
    """

    def __init__(
        self, passages: Mapping[str, str], queries: Iterable[str], statistics: WordStatistics | None = None
    ) -> None:
        """Count the words.

        Args:
            passages: Text by passage id.
            queries: All queries that will be asked: only their words are indexed.
            statistics: Of a larger corpus, where the passages are a part of one; their own where None.
        """
        # Sorted, so that neither ties nor the sums of the statistics depend on the order of the file.
        self._ids = sorted(passages)
        self.statistics = statistics or word_statistics(passages[own] for own in self._ids)
        self._postings: dict[str, tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]] = {}
        if self.statistics is None:
            return
        asked = {word for query in queries for word in words(query)}
        found: dict[str, tuple[array[int], array[int]]] = {}
        lengths = np.zeros(len(self._ids), np.int64)
        for place, own in enumerate(self._ids):
            tokens = words(passages[own])
            lengths[place] = len(tokens)
            for word, count in Counter(token for token in tokens if token in asked).items():
                places, counts = found.setdefault(word, (array("i"), array("i")))
                places.append(place)
                counts.append(count)
        self._postings = {
            word: (np.frombuffer(places, np.int32), np.frombuffer(counts, np.int32))
            for word, (places, counts) in found.items()
        }
        self._norms = self.statistics.norms(lengths)

    def scores(self, query: str) -> npt.NDArray[np.float64]:
        """One score for each passage, in the order of the sorted ids."""
        scores = np.zeros(len(self._ids))
        for word in words(query):
            if self.statistics is not None and word in self._postings:
                places, counts = self._postings[word]
                share = counts * (K1 + 1) / (counts + self._norms[places])
                scores[places] += self.statistics.idf[word] * share
        return scores

    def ranking(self, query: str, limit: int) -> list[str]:
        """The ids of the best passages, best first; equal scores by id."""
        scores = self.scores(query)
        best = np.arange(len(scores))
        if limit < len(
            scores
        ):  # only what can be among the best is sorted, all that tie with the last of them included
            last = np.partition(scores, len(scores) - limit)[len(scores) - limit]
            best = np.flatnonzero(scores >= last)
        return [self._ids[best[place]] for place in np.argsort(-scores[best], kind="stable")[:limit]]
