"""The regression recovers what was planted; the counterfactual test reads scorers whose bias is known."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import numpy as np
import pytest
from metrics_samples import NOW, I, N, O, P, benchmark, make_pool, random_benchmark

from fresco.metrics.bias import PREDICTORS, PreferenceRegression, differences
from fresco.metrics.counterfactual import counterfactual, probe_pools
from fresco.metrics.features import TextFeatures, content_words
from fresco.metrics.pairs import conflict_pairs
from fresco.records import Label, Passage, Task


@pytest.fixture(scope="module")
def sample():
    made = random_benchmark(120, size=20, seed=3)
    pairs = conflict_pairs(made.pools)
    raw = differences(made.pools, pairs)
    subjects = [made.pools[i].query.subject for i in pairs.pool]
    return raw, subjects, PreferenceRegression(raw, subjects, resamples=400)


def test_features_by_hand():
    passage = Passage("p", "Ajax", "Coach", "In 2024 the club hired John Doe. He won 3 of 4 games.", NOW)
    features = TextFeatures.of(passage)
    # Body: 13 words; 2024, John, Doe, 3 and 4 count; In and He start sentences.
    assert features.entity_density == pytest.approx(5 / 13)
    assert features.log_length == pytest.approx(np.log(13 + 3))
    query = make_pool([P], question="Who was the head coach of Ajax in May 2024?").query
    assert content_words(query) == {"head", "coach", "ajax"}
    assert features.overlap(content_words(query)) == pytest.approx(2 / 3)
    assert features.overlap(frozenset()) == 0
    assert TextFeatures.of(Passage("p", "", "", "...", NOW)).entity_density == 0


def test_differences_are_outdated_minus_positive():
    pool = make_pool([O, P, I], ages=[730.5, 0, 0], bodies=["One two three.", "One Two.", "x"], question="three ajax")
    pairs = conflict_pairs([pool])
    assert pairs.gap_days.tolist() == [730.5]
    expected = [2.0, np.log(5 / 4), 0.5, 0 - 1 / 2]
    np.testing.assert_allclose(differences([pool], pairs)[0], expected)


def test_regression_recovers_planted_coefficients(sample):
    raw, _, regression = sample
    rng = np.random.default_rng(0)
    z = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    planted = np.array([-0.5, 0.4, 0.0, 0.2])
    difference = 7 * (z @ planted + rng.normal(0, 0.5, len(z))) + 3
    found = regression.fit(difference)
    scale = difference.std() / 7
    for predictor, true in zip(PREDICTORS, planted / scale, strict=True):
        own = found["predictors"][predictor.name]
        assert own["coefficient"] == pytest.approx(true, abs=0.06)
        assert own["ci_low"] - 0.02 < true < own["ci_high"] + 0.02
    sentences = {name: own["sentence"] for name, own in found["predictors"].items()}
    assert sentences["age"].startswith("prefers newer text: -0.")
    assert sentences["length"].startswith("prefers longer text: +0.")
    assert sentences["overlap"].startswith("no preference for text that repeats the query's words found: ")
    assert 0 < found["r2"] < 1
    # The unit and the origin of scores do not matter.
    rescaled = regression.fit(difference * 1e-3 + 5)
    assert rescaled["predictors"]["age"]["coefficient"] == pytest.approx(found["predictors"]["age"]["coefficient"])


def test_coefficients_and_intervals_against_plain_least_squares(sample):
    raw, subjects, _ = sample
    regression = PreferenceRegression(raw, subjects, resamples=20, seed=4)
    difference = raw @ [1.0, -2.0, 3.0, 0.5] + np.random.default_rng(1).normal(size=len(raw))
    names = np.array(sorted(set(subjects)))
    codes = np.searchsorted(names, subjects)
    slow = []
    for draw in regression._bootstrap._weights:
        weight = np.sqrt(draw[codes])[:, None]
        z = (raw - raw.mean(axis=0)) / raw.std(axis=0)
        design = np.column_stack([np.ones(len(z)), z])
        y = (difference - difference.mean()) / difference.std()
        slow.append(np.linalg.lstsq(weight * design, weight[:, 0] * y, rcond=None)[0][1:])
    found = regression.fit(difference)["predictors"]
    bounds = np.quantile(slow, [0.025, 0.975], axis=0)
    for i, predictor in enumerate(PREDICTORS):
        assert found[predictor.name]["ci_low"] == pytest.approx(bounds[0, i], abs=1e-9)
        assert found[predictor.name]["ci_high"] == pytest.approx(bounds[1, i], abs=1e-9)


def test_constant_and_collinear_predictors_are_not_estimable(sample):
    raw, subjects, _ = sample
    constant = raw.copy()
    constant[:, 0] = 0.1
    difference = raw[:, 1] + np.random.default_rng(0).normal(size=len(raw))
    found = PreferenceRegression(constant, subjects, resamples=100).fit(difference)["predictors"]
    assert found["age"]["coefficient"] is None
    assert "not estimable, the same in every pair" in found["age"]["sentence"]
    assert found["length"]["coefficient"] > 0.1

    collinear = raw.copy()
    collinear[:, 0] = 3 * raw[:, 3] - 1
    found = PreferenceRegression(collinear, subjects, resamples=100).fit(difference)["predictors"]
    for name in ("age", "entities"):
        assert found[name]["coefficient"] is None
        assert "cannot be told from" in found[name]["sentence"]
    assert found["length"]["ci_low"] > 0


def test_regression_without_anything_to_explain(sample):
    raw, subjects, regression = sample
    found = regression.fit(np.zeros(len(raw)))
    assert found["r2"] is None
    assert all("the same in every pair" in own["sentence"] for own in found["predictors"].values())
    few = PreferenceRegression(raw[:3], subjects[:3]).fit(np.arange(3.0))
    assert all("too few pairs" in own["sentence"] for own in few["predictors"].values())
    alone = PreferenceRegression(raw[:40], ["s"] * 40).fit(raw[:40, 1])
    assert alone["predictors"]["length"]["coefficient"] == pytest.approx(1)
    assert alone["predictors"]["length"]["ci_low"] is None


def scored(probes, score):
    return [np.array([score(passage) for passage in probe.passages]) for probe in probes]


def test_probes_swap_the_dates_of_the_nearest_conflict():
    pool = make_pool([O, I, P, O], ages=[900, 3, 5, 300])
    other = make_pool([P, I], query_id="no-conflict")
    static = make_pool([P, O], query_id="nek", task=Task.NEK, ages=[1, 2])
    same_day = make_pool([P, O], query_id="same-day", ages=[7, 7])
    (probe,) = probe_pools(benchmark([pool, other, static, same_day]))
    new, old = pool.passages[2], pool.passages[3]
    assert probe.query == pool.query
    assert probe.passages[:2] == (new, old)
    assert [p.body for p in probe.passages] == [new.body, old.body, new.body, old.body]
    assert [p.timestamp for p in probe.passages] == [new.timestamp, old.timestamp, old.timestamp, new.timestamp]
    assert probe.passages[2].id == f"{new.id}@2024-11-04T23:59:59Z"
    assert probe.labels == (P, O, P, O)


@pytest.mark.parametrize("hidden", [False, True])
def test_counterfactual_reads_scorers_of_known_bias(hidden):
    made = random_benchmark(60, size=12, seed=5)
    probes = probe_pools(made.without_timestamps() if hidden else made)
    assert len(probes) == 60
    # Every role comes first in a quarter of the probes.
    assert len({probe.passages[0].timestamp == max(p.timestamp for p in probe.passages) for probe in probes}) == 2
    positive = {p.body for pool in made.pools for p in pool.labelled(Label.POSITIVE)}

    def read(score):
        found = counterfactual(probes, scored(probes, score), resamples=200)
        return found["newer date wins"]["value"], found["current text wins"]["value"], found["date effect"]["value"]

    assert read(lambda p: p.timestamp.timestamp())[:2] == (1.0, 0.5)
    assert read(lambda p: -p.timestamp.timestamp())[:2] == (0.0, 0.5)
    assert read(lambda p: float(p.body in positive)) == (0.5, 1.0, 0.0)
    assert read(lambda p: 1.0) == (0.5, 0.5, 0.0)
    # A reader of the text sees the dates only where they are shown.
    by_text = read(lambda p: p.text.partition("Timestamp: ")[2] > "2023")
    assert (by_text[0] == 0.5) == hidden


def test_counterfactual_effects_are_in_units_of_the_score():
    made = random_benchmark(40, size=12, seed=6)
    probes = probe_pools(made)
    positive = {p.body for pool in made.pools for p in pool.labelled(Label.POSITIVE)}
    rng = np.random.default_rng(0)
    scores = []
    for probe in probes:
        newer = max(p.timestamp for p in probe.passages)
        own = [6.0 * (p.timestamp == newer) - 2.0 * (p.body in positive) for p in probe.passages]
        scores.append(rng.normal() * 100 + np.array(own))
    found = counterfactual(probes, scores, unit=2.0, resamples=200)
    assert found["date effect"]["value"] == pytest.approx(3.0)
    assert found["text effect"]["value"] == pytest.approx(-1.0)
    assert found["text effect"]["ci_low"] == pytest.approx(-1.0)
    assert found["n_subjects"] == 20
    assert counterfactual(probes, scores, unit=0.0)["date effect"]["value"] is None


def test_newer_is_read_from_the_dates_and_not_from_the_labels():
    pool = make_pool([P, O, N], ages=[100, 20, 0])
    probes = probe_pools(benchmark([pool]))
    found = counterfactual(probes, scored(probes, lambda p: p.timestamp.timestamp()))
    assert found["newer date wins"]["value"] == 1.0
    assert found["newer date wins"]["ci_low"] is None


def test_identical_text_under_two_dates_is_no_conflict():
    pool = make_pool([P, O], ages=[0, 10])
    twin = dataclasses.replace(pool.passages[0], id="twin", timestamp=NOW - timedelta(days=10))
    assert probe_pools(benchmark([dataclasses.replace(pool, passages=(pool.passages[0], twin))])) == []
