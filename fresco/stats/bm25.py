"""The word statistics of Okapi BM25, counted in one pass over the passages without keeping any of them.

The definitions and the order of the sums are those of rank-bm25's ``BM25Okapi`` (k1 1.5, b 0.75, epsilon 0.25), so that
scores are equal to its own to the bit (tested). The library keeps a dictionary for each passage, a few kB: a million
passages do not fit a machine. Here memory grows with the distinct words alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fresco.stats.words import words

K1, B, EPSILON = 1.5, 0.75, 0.25


@dataclass(frozen=True)
class WordStatistics:
    """What BM25 knows of a corpus.

    Attributes:
        idf: Weight of each word.
        average: Words of a passage, on average.
    """

    idf: dict[str, float]
    average: float

    def scores(
        self, query: Sequence[str], counts: Sequence[npt.NDArray[np.int64]], lengths: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """BM25 of passages.

        Args:
            query: Its words.
            counts: For each of them how often each passage holds it.
            lengths: Words of each passage.
        """
        found = np.zeros(len(lengths))
        norms = self.norms(lengths)
        for word, own in zip(query, counts, strict=True):
            np.add(found, self.idf.get(word, 0.0) * (own * (K1 + 1) / (own + norms)), out=found)
        return found

    def norms(self, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """What a passage's length adds below the line."""
        return np.asarray(K1 * (1 - B + B * lengths / self.average), np.float64)


def word_statistics(texts: Iterable[str]) -> WordStatistics | None:
    """Count the words of passages.

    Returns:
        None where no passage holds a word.
    """
    holding: dict[str, int] = {}
    passages = total = 0
    for text in texts:
        tokens = words(text)
        passages += 1
        total += len(tokens)
        for word in dict.fromkeys(tokens):
            holding[word] = holding.get(word, 0) + 1
    return WordStatistics(_idf(holding, passages), total / passages) if total else None


def _idf(holding: dict[str, int], passages: int) -> dict[str, float]:
    """A word in more than half of the passages would count against them: a share of the mean stands for its own."""
    idf = {}
    total = 0.0
    for word, count in holding.items():
        idf[word] = math.log(passages - count + 0.5) - math.log(count + 0.5)
        total += idf[word]
    least = EPSILON * (total / len(idf))
    return {word: least if value < 0 else value for word, value in idf.items()}
