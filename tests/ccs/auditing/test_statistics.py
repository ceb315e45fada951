"""Statistics against scikit-learn and scipy, and against counting by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ccs.auditing.statistics import Statistics, kendall, midranks

_VALUES = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), min_size=4, max_size=30)


def of(n: int, groups: int = 4, **options: int) -> Statistics:
    return Statistics([f"q{number % groups}" for number in range(n)], **{"resamples": 50, **options})


@settings(max_examples=50)
@given(_VALUES, st.data())
def test_auroc_and_correlations_equal_the_libraries(scores, data):
    sklearn = pytest.importorskip("sklearn.metrics")
    scipy = pytest.importorskip("scipy.stats")
    labels = np.array(data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=len(scores), max_size=len(scores))))
    values, statistics = np.array(scores), of(len(scores))
    found = statistics.auroc(values, labels).value
    if 0 < labels.sum() < len(labels):
        assert found == pytest.approx(sklearn.roc_auc_score(labels, values), abs=1e-12)
    else:
        assert found is None
    assert midranks(values) == pytest.approx(scipy.rankdata(values))
    if np.ptp(values) and np.ptp(labels):
        assert statistics.spearman(values, labels).value == pytest.approx(scipy.spearmanr(values, labels)[0], abs=1e-9)
        assert kendall(values, labels) == pytest.approx(scipy.kendalltau(values, labels)[0], abs=1e-9)
    else:
        assert statistics.spearman(values, labels).value is None and kendall(values, labels) is None


def test_within_a_question_by_hand():
    # q0: 0.9 right over 0.1 wrong; q1: tie; q2: only wrong ones, no pair.
    statistics = Statistics(["q0", "q0", "q1", "q1", "q2"], resamples=10)
    scores, right = np.array([0.9, 0.1, 0.5, 0.5, 0.7]), np.array([1.0, 0, 1, 0, 0])
    figure = statistics.auroc_within(scores, right)
    assert (figure.value, figure.n) == (0.75, 2)
    assert statistics.kendall_within(scores, right).value == 1.0  # q1 does not vary
    assert statistics.spread(scores) == pytest.approx([0.4, 0.0])


def test_an_offset_of_each_question_is_invisible_within():
    rng = np.random.default_rng(0)
    right = np.tile([1.0, 0.0], 40)
    names = [f"q{number // 2}" for number in range(80)]
    scores = 0.1 * right + np.repeat(rng.normal(size=40), 2)
    statistics = Statistics(names, resamples=100)
    assert statistics.auroc_within(scores, right).value == 1.0
    assert statistics.auroc(scores, right).value < 0.7


def test_missing_values_are_left_out():
    scores, right = np.array([0.9, np.nan, 0.1, 0.2]), np.array([1.0, 0, 0, np.nan])
    statistics = of(4, 2)
    assert (statistics.auroc(scores, right).value, statistics.auroc(scores, right).n) == (1.0, 2)
    assert statistics.mean(scores).value == pytest.approx(0.4)
    assert statistics.mean(np.full(4, np.nan)).value is None


def test_intervals_cover_and_are_reproducible():
    rng = np.random.default_rng(1)
    right = (rng.random(400) < 0.5).astype(float)
    scores = right + rng.normal(size=400)  # true AUROC: 0.760
    one, other = (of(400, 100, resamples=400).auroc(scores, right) for _ in range(2))
    assert one == other
    assert one.low < 0.76 < one.high and one.high - one.low < 0.15
    assert one.low < one.value < one.high


def test_the_interval_is_that_of_whole_questions():
    """Copies of one trajectory are no evidence: the interval must not shrink."""
    rng = np.random.default_rng(2)
    values = rng.random(20)
    alone = Statistics([f"q{n}" for n in range(20)], resamples=400).mean(values)
    copied = Statistics([f"q{n}" for n in range(20)] * 50, resamples=400).mean(np.tile(values, 50))
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=1e-9)
