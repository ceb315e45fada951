"""The time priors: what they give by hand, and what holds for any scores and dates."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.records import Passage
from fresco.rerank.registry import open_reranker
from fresco.rerank.temporal import HalfLife, Mrag, TempRalm
from fresco.scoring.runner import score
from fresco.scoring.store import ScoreStore
from fresco.testing import check_reranker
from tests.factories import ASKED, make_passage, make_pool, make_query


class Fixed:
    name, takes_instruction, pointwise, fingerprint = "fixed", False, True, "fixed"

    def __init__(self, *scores: float) -> None:
        self.scores = scores
        self.asked = 0

    def score(self, query, passages, instruction=None):
        self.asked += len(passages)
        return self.scores[: len(passages)]


def dated(*days: float) -> list[Passage]:
    return [Passage(f"p{n}", "", "", "body", ASKED - timedelta(days=day)) for n, day in enumerate(days)]


def inversions(scores: np.ndarray, reference: list[float]) -> int:
    """Pairs that the reference orders strictly and the scores the other way."""
    n = len(reference)
    return sum(scores[i] < scores[j] for i in range(n) for j in range(n) if reference[i] > reference[j])


POOLS = st.lists(
    st.tuples(st.integers(-10_000, 10_000).map(lambda n: n / 1000), st.integers(-3000, 9000)), min_size=1, max_size=12
)


def test_tempralm_by_hand():
    """Written out with plain sums: the closeness takes the base's mean 3 and variance 8/3."""
    ages, base = [1.0, 2.0, 4.0], [3.0, 5.0, 1.0]
    inverse = [1 / age for age in ages]
    mean = sum(inverse) / 3
    deviation = (sum((x - mean) ** 2 for x in inverse) / 3) ** 0.5
    expected = [s + 0.5 * ((x - mean) / deviation * (8 / 3) ** 0.5 + 3.0) for s, x in zip(base, inverse, strict=True)]
    np.testing.assert_allclose(TempRalm(Fixed(), 0.5).fuse(make_query(), dated(*ages), base), expected)


def test_mrag_by_hand():
    got = Mrag(Fixed(), 100).fuse(make_query(), dated(0, 100, 300, -100), [4.0, 4.0, 2.0, 0.0])
    np.testing.assert_allclose(got, [1.0, 0.5, 0.125, 0.0])
    np.testing.assert_allclose(Mrag(Fixed(), 100).fuse(make_query(), dated(0, 100, -300), [7.0] * 3), [1, 0.5, 0.25])


@given(POOLS)
def test_the_neutral_parameter_keeps_the_base_order(pool):
    base, passages = [score for score, _ in pool], dated(*(day for _, day in pool))
    for fusion in (TempRalm(Fixed(), 0), Mrag(Fixed(), float("inf"))):
        fused = fusion.fuse(make_query(), passages, base)
        assert fused.shape == (len(pool),)
        assert not inversions(fused, base)


@given(POOLS, st.floats(0.01, 50))
def test_among_passages_of_one_date_the_base_decides_and_among_equal_scores_the_date(pool, strength):
    base, days = [score for score, _ in pool], [day for _, day in pool]
    for fusion in (TempRalm(Fixed(), strength), Mrag(Fixed(), strength * 30)):
        assert not inversions(fusion.fuse(make_query(), dated(*[days[0]] * len(pool)), base), base)
        closeness = [-max(abs(day), 1) for day in days]
        assert not inversions(fusion.fuse(make_query(), dated(*days), [base[0]] * len(pool)), closeness)


@given(POOLS, st.floats(0.1, 5), st.integers(-50, 50), st.floats(0.01, 5))
def test_the_scale_of_the_base_does_not_matter(pool, factor, shift, strength):
    base, passages = np.array([score for score, _ in pool]), dated(*(day for _, day in pool))
    one = TempRalm(Fixed(), strength).fuse(make_query(), passages, base)
    other = TempRalm(Fixed(), strength).fuse(make_query(), passages, base * factor + shift)
    if np.ptp(base):
        np.testing.assert_allclose(other - other.mean(), (one - one.mean()) * factor, atol=1e-6)
        one, other = (Mrag(Fixed(), strength).fuse(make_query(), passages, s) for s in (base, base * factor + shift))
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_large_alpha_is_newest_first():
    ages = [400, 30, 9, 2000, 90]
    fused = TempRalm(Fixed(), 1e6).fuse(make_query(), dated(*ages), [5.0, 1.0, 2.0, 9.0, 3.0])
    assert np.argsort(-fused).tolist() == np.argsort(ages).tolist()


def test_a_pool_of_nothing_and_of_one():
    for fusion in (TempRalm(Fixed(), 1), Mrag(Fixed(), 30), HalfLife(Fixed(), 30)):
        assert fusion.fuse(make_query(), [], []).shape == (0,)
        assert np.isfinite(fusion.fuse(make_query(), dated(5), [3.0])).all()


def test_the_base_is_paid_for_once():
    base, pools = Fixed(3.0, 2.0, 1.0, 4.0, 0.0), [(pool.query, pool.passages) for pool in map(make_pool, range(3))]
    with ScoreStore(":memory:") as store:
        for fusion in (TempRalm(base, 1), TempRalm(base, 2), Mrag(base, 30), Mrag(base, 300)):
            score(fusion, pools, store)
    assert base.asked == 15


@pytest.mark.parametrize("spec", ["tempralm:bm25,0.5", "mrag:bm25,365", "mrag:newest,inf", "tempralm:mrag:bm25,9,0"])
def test_specs(spec):
    reranker = open_reranker(spec, Settings())
    assert reranker.name == spec
    reranker.fit([make_passage("a"), make_passage("b", body="More words about it.")])
    check_reranker(reranker)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("tempralm:bm25", "write tempralm:BASE,ALPHA, as in tempralm:bm25,1"),
        ("tempralm:bm25,-1", "a number from zero up"),
        ("tempralm:bm25,nan", "a number from zero up"),
        ("tempralm:bm25,inf", "a number from zero up"),
        ("tempralm:,1", "write tempralm:BASE,ALPHA"),
        ("mrag:bm25,soon", "write mrag:BASE,DAYS"),
        ("mrag:bm25,0", "days above zero"),
        ("mrag:bm25,nan", "days above zero"),
    ],
)
def test_bad_specs_are_one_line(spec, said):
    with pytest.raises(FrescoError) as caught:
        open_reranker(spec, Settings())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
