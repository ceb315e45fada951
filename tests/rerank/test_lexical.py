"""BM25 against the library whose definition it is, and what it holds in memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from fresco.stats.bm25 import WordStatistics, word_statistics
from fresco.stats.words import words

_TEXT = st.lists(st.sampled_from(["a", "b", "c", "d", "e", "f", "g", "the", "of"]), max_size=12).map(" ".join)


@given(st.lists(_TEXT, min_size=1, max_size=12), st.lists(_TEXT, min_size=1, max_size=6), _TEXT)
def test_scores_are_the_librarys_to_the_bit(corpus: list[str], pool: list[str], query: str) -> None:
    statistics = word_statistics(corpus)
    if statistics is None:
        assert not any(words(text) for text in corpus)
        return
    okapi = BM25Okapi([words(text) for text in corpus])
    assert statistics.idf == okapi.idf and statistics.average == okapi.avgdl
    tokens = [words(text) for text in pool]
    okapi.doc_freqs = [{word: own.count(word) for word in own} for own in tokens]
    okapi.doc_len, okapi.corpus_size = [len(own) for own in tokens], len(pool)
    counts = [np.array([own.count(word) for own in tokens]) for word in words(query)]
    ours = statistics.scores(words(query), counts, np.array([len(own) for own in tokens]))
    assert np.array_equal(ours, okapi.get_scores(words(query)))


def test_passages_are_counted_without_being_kept() -> None:
    text = " ".join(f"word{number}" for number in range(200))
    tracemalloc.start()
    statistics = word_statistics(text for _ in range(2000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert statistics is not None and len(statistics.idf) == 200
    assert peak < 1 << 20  # the library's dictionaries would take 20 MB


def test_a_corpus_without_words_scores_nothing() -> None:
    assert word_statistics(["!?", "", "..."]) is None
    nothing = np.zeros(3, np.int64)
    assert WordStatistics({}, 1.0).scores(["who"], [nothing], nothing).tolist() == [0.0, 0.0, 0.0]
