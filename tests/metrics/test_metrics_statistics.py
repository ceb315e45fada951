"""Bootstrap, randomization test, Holm and letters, against scipy and against plain references."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fresco.metrics.aggregate import mean_rows
from fresco.metrics.measures import parse_measures
from fresco.stats.intervals import SubjectBootstrap
from fresco.stats.shares import EDGES, PRIOR_SUBJECTS
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
        random_state=np.random.default_rng(4),
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


def clopper_pearson(share, size):
    """For any size, whole or not."""
    events, misses = share * size, (1 - share) * size
    low = stats.beta.ppf(0.025, events, misses + 1) if events else 0.0
    high = stats.beta.ppf(0.975, events + 1, misses) if misses else 1.0
    return low, high


@pytest.mark.parametrize("events", [0, 1, 7, 43, 86])
def test_a_share_of_single_queries_is_the_exact_interval_under_students_t(events):
    values = (np.arange(86) < events).astype(float)[:, None]
    found = SubjectBootstrap([f"s{i}" for i in range(86)]).share(values, np.ones((86, 1)))
    # Between single queries the variance is n / (n - 1) of what is seen, so a part of the design effect is above 1.
    seen = min(events, 86 - events)
    effect = 1.0 if seen == 0 else (seen * 86 / 85 + PRIOR_SUBJECTS) / (seen + PRIOR_SUBJECTS)
    size = 86 / effect * (stats.norm.ppf(0.975) / stats.t.ppf(0.975, 85)) ** 2
    assert (found.low[0], found.high[0]) == pytest.approx(clopper_pearson(events / 86, size))
    assert found.low[0] <= found.value[0] <= found.high[0]
    assert found.high[0] - found.low[0] > 0.03


def test_ten_copies_of_the_same_queries_give_the_same_share():
    rng = np.random.default_rng(3)
    subjects = [f"s{i}" for i in range(40)]
    values = (rng.random((40, 3)) < [0.0, 0.1, 0.6]).astype(float)
    single = SubjectBootstrap(subjects).share(values, np.ones_like(values))
    copies = SubjectBootstrap(subjects * 10).share(np.tile(values, (10, 1)), np.ones((400, 3)))
    # As 40 they lack the correlation that the copies show in full, so a single one is hardly shorter.
    np.testing.assert_allclose(copies.low, single.low, atol=2e-3)
    np.testing.assert_allclose(copies.high, single.high, atol=2e-3)


def test_a_share_matches_the_obvious_computation():
    rng = np.random.default_rng(7)
    subjects = [f"s{i % 11}" for i in range(60)]
    weight = rng.random((60, 4)) * (rng.random((60, 4)) > 0.3)
    value = np.where(rng.random((60, 4)) < [0.05, 0.5, 0.97, 0.0], 1.0, rng.random((60, 4)) * [0.1, 1.0, 1.0, 0.0])
    found = SubjectBootstrap(subjects).share(value * weight, weight)
    for column in range(4):
        own = [(s, v, w) for s, v, w in zip(subjects, value[:, column], weight[:, column], strict=True) if w]
        total = sum(w for *_, w in own)
        share = sum(v * w for _, v, w in own) / total
        clusters = {s: [(v, w) for t, v, w in own if t == s] for s, *_ in own}
        apart = sum((w * (v - share)) ** 2 for _, v, w in own) / total**2
        between = sum(sum(w * (v - share) for v, w in each) ** 2 for each in clusters.values()) / total**2
        n, squares = len(clusters), sum(w * w for *_, w in own)
        worst = sum(sum(w for _, w in each) ** 2 for each in clusters.values()) / squares
        if apart == 0:
            size = total**2 / squares / worst
        else:
            seen = min(
                sum(any(v > 0 for v, _ in each) for each in clusters.values()),
                sum(any(v < 1 for v, _ in each) for each in clusters.values()),
            )
            effect = max(n / (n - 1) * between / apart, 1.0)
            effect = (seen * effect + PRIOR_SUBJECTS * worst) / (seen + PRIOR_SUBJECTS)
            size = share * (1 - share) / apart / effect
        size *= (stats.norm.ppf(0.975) / stats.t.ppf(0.975, n - 1)) ** 2
        assert (found.low[column], found.high[column]) == pytest.approx(clopper_pearson(share, size), abs=1e-9)


@pytest.mark.parametrize(("subjects", "rate"), [(86, 0.01), (50, 0.03), (200, 0.99)])
def test_a_share_covers_rare_events_where_the_bootstrap_does_not(subjects, rate):
    rng = np.random.default_rng(11)
    chances = rng.beta(rate, 1 - rate, (subjects, 600))  # four queries of a subject, correlation 0.5
    values = rng.binomial(1, np.repeat(chances, 4, axis=0)).astype(float)
    bootstrap = SubjectBootstrap(np.repeat([f"s{i}" for i in range(subjects)], 4).tolist(), resamples=200)
    covers = {}
    for name, method in (("share", bootstrap.share), ("draws", bootstrap.ratio)):
        found = method(values, np.ones_like(values))
        covers[name] = np.mean((found.low <= rate) & (rate <= found.high))
    assert covers["share"] > 0.93
    assert covers["draws"] < 0.92


@pytest.mark.parametrize("value", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("subjects", [2, 20, 86])
def test_values_that_are_all_alike_do_not_make_an_interval_of_one_point(value, subjects):
    """Of what none of n subjects showed, up to about 3 / n of all may: [.00 .00] would be a lie."""
    values = np.full((2 * subjects, 1), value)
    bootstrap = SubjectBootstrap([f"{place // 2}" for place in range(2 * subjects)])
    for found in (bootstrap.share(values, np.ones_like(values)), bootstrap.layered(values, np.ones_like(values))):
        assert found.low[0] <= value <= found.high[0]
        assert found.high[0] - found.low[0] > 2 / subjects / 2
        assert value in (0.0, 1.0) or found.low[0] < value < found.high[0]


def test_a_share_says_nothing_about_one_subject():
    alone = SubjectBootstrap(["s"] * 4).share(np.ones((4, 1)), np.ones((4, 1)))
    assert alone.value[0] == 1.0
    assert np.isnan([alone.low[0], alone.high[0]]).all()
    undefined = SubjectBootstrap(["a", "b"]).share(np.zeros((2, 1)), np.zeros((2, 1)))
    assert np.isnan([undefined.value[0], undefined.low[0]]).all()


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


def test_layers_of_yes_and_no_are_the_share():
    rng = np.random.default_rng(3)
    subjects = [f"s{i // 3}" for i in range(90)]
    values = rng.integers(2, size=(90, 4)).astype(float)
    values[:, 0] = 0
    bootstrap, ones = SubjectBootstrap(subjects), np.ones_like(values)
    share, layered = bootstrap.share(values, ones), bootstrap.layered(values, ones)
    for bound in ("value", "low", "high"):
        np.testing.assert_allclose(getattr(layered, bound), getattr(share, bound), atol=1e-12)


def test_layers_hold_the_mean_and_add_up_to_it():
    rng = np.random.default_rng(4)
    subjects = [f"s{i // 2}" for i in range(80)]
    values = 1 / rng.integers(1, 21, size=(80, 5))
    counted = rng.integers(2, size=(80, 5)).astype(float)
    found = SubjectBootstrap(subjects).layered(values * counted, counted)
    assert (found.low < found.value).all() and (found.value < found.high).all()
    parts = [np.clip((values - low) / (high - low), 0, 1) * (high - low) for low, high in itertools.pairwise(EDGES)]
    np.testing.assert_allclose(sum(parts), values, atol=1e-12)


def test_one_over_a_rank_is_covered_by_layers_where_a_share_is_not():
    """Twenty subjects of four queries, alike; most ranks are low, so the rare first place decides the mean."""
    rng = np.random.default_rng(5)
    chances = rng.beta(0.1, 0.9, size=(20, 400))
    values = 1 / (1 + rng.binomial(19, 1 - np.repeat(chances, 4, axis=0)))
    truth = float((1 / (1 + rng.binomial(19, 1 - rng.beta(0.1, 0.9, size=1_000_000)))).mean())
    bootstrap = SubjectBootstrap([f"s{i // 4}" for i in range(80)])
    covers = {}
    for name, method in (("share", bootstrap.share), ("layered", bootstrap.layered)):
        found = method(values, np.ones_like(values))
        covers[name] = float(((found.low <= truth) & (truth <= found.high)).mean())
    assert covers["layered"] > 0.93
    assert covers["share"] < 0.75


def test_the_interval_of_mrr_is_the_layered_one():
    values = 1 / np.random.default_rng(6).integers(1, 30, size=60)
    frame = pd.DataFrame({"reranker": "a", "task": "NEK", "kind": "static", "subject": [f"s{i}" for i in range(60)]})
    frame = frame.assign(query_id=frame["subject"], MRR=values, **{"nDCG@5": values})
    rows = mean_rows(frame, parse_measures(["MRR", "nDCG@5"]), resamples=10)
    bootstrap, column = SubjectBootstrap(frame["subject"].tolist()), values[:, None]
    for row, method in zip(rows, (bootstrap.layered, bootstrap.share), strict=True):
        found = method(column, np.ones_like(column))
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((found.low[0], found.high[0])), row["metric"]
