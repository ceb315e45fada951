"""Bootstrap, randomization test, Holm and letters, against scipy and against plain references."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fresco.stats.intervals import SubjectBootstrap
from fresco.stats.significance import holm, letters, randomization_test


def test_bootstrap_of_a_ratio_of_means_agrees_with_scipy():
    rng = np.random.default_rng(1)
    weight = rng.integers(1, 6, 80).astype(float)
    total = weight * 0.5 + rng.normal(0, 0.6, 80)
    ours = SubjectBootstrap([f"s{i}" for i in range(80)], resamples=5000, seed=3).ratio(total[:, None], weight[:, None])
    reference = stats.bootstrap(
        (total, weight),
        lambda a, b, axis=-1: a.mean(axis=axis) / b.mean(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=5000,
        rng=np.random.default_rng(4),
    ).confidence_interval
    assert ours.value[0] == pytest.approx(total.sum() / weight.sum())
    width = reference.high - reference.low
    assert ours.low[0] == pytest.approx(reference.low, abs=0.06 * width)
    assert ours.high[0] == pytest.approx(reference.high, abs=0.06 * width)


def test_bootstrap_resamples_subjects_and_not_observations():
    rng = np.random.default_rng(0)
    subjects = [f"s{i}" for i in range(40)]
    values = rng.normal(size=40)
    single = SubjectBootstrap(subjects, seed=5).ratio(values[:, None], np.ones((40, 1)))
    # Ten copies of the same queries tell nothing new.
    copies = SubjectBootstrap(subjects * 10, seed=5).ratio(np.tile(values, 10)[:, None], np.ones((400, 1)))
    assert copies.low[0] == pytest.approx(single.low[0])
    assert copies.high[0] == pytest.approx(single.high[0])


def test_bootstrap_matches_the_obvious_loop():
    rng = np.random.default_rng(2)
    subjects = [f"s{i % 13}" for i in range(50)]
    values, weights = rng.random(50), rng.random(50) * (rng.random(50) > 0.5)
    bootstrap = SubjectBootstrap(subjects, resamples=50, seed=9)
    draws = bootstrap._weights
    assert (draws.sum(axis=1) == 13).all()
    slow = []
    for draw in draws:
        repeats = np.array([draw[sorted(set(subjects)).index(subject)] for subject in subjects])
        slow.append([(repeats * values * weights).sum(), (repeats * weights).sum()])
    fast = bootstrap.replicate(np.stack([values * weights, weights], axis=1))
    np.testing.assert_allclose(fast, slow, rtol=1e-12)


def test_bootstrap_is_seeded_and_says_nothing_about_one_subject():
    values = np.arange(10.0)[:, None]
    ones = np.ones_like(values)
    subjects = [f"s{i}" for i in range(10)]
    a, b, c = (SubjectBootstrap(subjects, seed=seed).ratio(values, ones) for seed in (0, 0, 1))
    assert a.low == b.low
    assert (a.low, a.high) != (c.low, c.high)
    alone = SubjectBootstrap(["s"] * 10).ratio(values, ones)
    assert alone.value[0] == 4.5
    assert np.isnan(alone.low[0])
    undefined = SubjectBootstrap(subjects).ratio(values * 0, ones * 0)
    assert np.isnan(undefined.value[0])
    assert np.isnan(undefined.high[0])


@pytest.mark.parametrize("seed", range(5))
def test_randomization_test_is_scipys_exact_permutation_test(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=9), rng.normal(0.5, size=9)
    reference = stats.permutation_test(
        (a, b),
        lambda x, y, axis=-1: (x - y).mean(axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    )
    assert randomization_test((a - b)[:, None])[0] == pytest.approx(reference.pvalue, abs=1e-12)


def test_random_flips_come_close_to_the_exact_p():
    rng = np.random.default_rng(6)
    # 14 subjects differ: 16,384 flips, one more than are taken one by one.
    difference = rng.normal(0.5, 1.0, 14)
    signs = np.array(list(itertools.product([-1, 1], repeat=14)))
    exact = np.mean(np.abs(signs @ difference) >= abs(difference.sum()) - 1e-12)
    drawn = randomization_test(difference[:, None], seed=0)[0]
    assert drawn == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 10_000))
    assert drawn == randomization_test(-difference[:, None], seed=0)[0]
    assert randomization_test(np.ones((200, 1)))[0] == 1 / 10_001


def test_randomization_test_without_any_difference():
    assert randomization_test(np.zeros((30, 2))).tolist() == [1.0, 1.0]


def test_randomization_test_keeps_its_level_with_clusters():
    rng = np.random.default_rng(8)
    sums = rng.normal(size=(12, 1)) * rng.integers(1, 9, (12, 400))
    sums *= rng.choice([-1.0, 1.0], sums.shape)
    p = randomization_test(sums)
    assert np.mean(p < 0.05) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_against_its_definition(p):
    reference = []
    for own in range(len(p)):
        order = sorted(range(len(p)), key=lambda i: (p[i], i))
        steps = [min(1.0, p[i] * (len(p) - place)) for place, i in enumerate(order)]
        reference.append(max(steps[: order.index(own) + 1]))
    assert holm(p).tolist() == pytest.approx(reference)


@given(st.integers(1, 8), st.data())
@settings(max_examples=200)
def test_two_share_a_letter_if_and_only_if_they_were_not_told_apart(n, data):
    names = [f"m{i}" for i in range(n)]
    pairs = list(itertools.combinations(names, 2))
    different = data.draw(st.sets(st.sampled_from(pairs))) if pairs else set()
    display = letters(names, different)
    assert list(display) == names
    for a, b in pairs:
        assert bool(set(display[a]) & set(display[b])) == ((a, b) not in different)
    assert "a" in display[names[0]]
    # Compact: no letter's set of names lies inside another's.
    used = sorted(set("".join(display.values())))
    holders = [{name for name in names if letter in display[name]} for letter in used]
    assert not any(x < y or (x == y and i != j) for i, x in enumerate(holders) for j, y in enumerate(holders))
