from __future__ import annotations

import numpy as np
import pytest
from rank_bm25 import BM25Okapi

from fresco.errors import FrescoError
from fresco.rerank.baselines import Newest, Random
from fresco.rerank.lexical import Bm25
from fresco.rerank.temporal import HalfLife
from fresco.stats.words import words
from fresco.testing import check_reranker
from tests.factories import make_benchmark, make_passage, make_pool, make_query


def test_newest_sorts_by_date():
    passages = [make_passage("a", days_old=5), make_passage("b", days_old=1), make_passage("c", days_old=9)]
    assert np.argsort(Newest().score(make_query(), passages)).tolist() == [2, 0, 1]


def test_random_is_uniform_and_follows_its_seed():
    passages = [make_passage(str(number)) for number in range(2000)]
    draw = np.array(Random(0).score(make_query(), passages))
    assert draw.tolist() == Random(0).score(make_query(), passages)
    assert draw.tolist() != Random(1).score(make_query(), passages)
    assert abs(draw.mean() - 0.5) < 0.03
    assert len(set(draw)) == 2000


def test_bm25_equals_the_library_on_the_whole_corpus():
    """Ours scores any passage with the corpus's statistics; the library only those that it indexed."""
    benchmark = make_benchmark(8)
    passages = list(benchmark.passages())
    ours = Bm25()
    ours.fit(passages)
    library = BM25Okapi([words(passage.text) for passage in passages])
    for pool in benchmark.pools:
        places = [passages.index(passage) for passage in pool.passages]
        expected = library.get_batch_scores(words(pool.query.text), places)
        np.testing.assert_allclose(ours.score(pool.query, pool.passages), expected, rtol=1e-12)


def test_bm25_without_statistics_says_so():
    with pytest.raises(FrescoError, match="call fit"):
        Bm25().score(make_query(), [make_passage("a")])


class Fixed:
    name, takes_instruction, pointwise, fingerprint = "fixed", False, True, "fixed"

    def __init__(self, *scores):
        self.scores = scores

    def score(self, query, passages, instruction=None):
        return self.scores[: len(passages)]


def test_half_life_halves():
    passages = [make_passage("now"), make_passage("year", days_old=365), make_passage("worst", days_old=1)]
    scores = HalfLife(Fixed(4.0, 4.0, -2.0), 365).score(make_query(), passages)
    np.testing.assert_allclose(scores, [1.0, 0.5, 0.0])


def test_half_life_of_a_constant_base_is_the_recency_alone():
    passages = [make_passage("a", days_old=20), make_passage("b", days_old=10)]
    np.testing.assert_allclose(HalfLife(Fixed(7.0, 7.0), 10).score(make_query(), passages), [0.25, 0.5])


def test_a_date_after_the_question_is_not_rewarded():
    passages = [make_passage("future", days_old=-50), make_passage("today")]
    np.testing.assert_allclose(HalfLife(Fixed(1.0, 1.0), 10).score(make_query(), passages), [1.0, 1.0])


@pytest.mark.parametrize("days", [0, -1, float("nan")])
def test_half_life_needs_a_positive_number(days):
    with pytest.raises(FrescoError, match="above zero"):
        HalfLife(Newest(), days)


def test_an_empty_pool_has_no_scores():
    assert HalfLife(Newest(), 9).fuse(make_query(), [], []).tolist() == []
    assert make_pool().passages


@pytest.mark.parametrize("make", [Random, Newest, Bm25, lambda: HalfLife(Bm25(), 365), lambda: HalfLife(Newest(), 1)])
def test_ours_conform(make):
    check_reranker(make())
