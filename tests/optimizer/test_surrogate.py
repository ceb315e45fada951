"""The model of what clauses are worth, against plain references."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.optimizer.proposers.base import SearchState
from fresco.optimizer.proposers.clauses import Bank, ClausesProposer, read_bank
from fresco.optimizer.proposers.surrogate import Catalogue, ClauseModel, Observed, added_hypervolume, propose_choices
from fresco.optimizer.search.selection import hypervolume

CHOICES = {"a": ("none", "x", "y"), "b": ("none", "z"), "c": ("none", "u", "v")}
unit = st.floats(0, 1, width=32)


def test_features_are_clauses_and_pairs_of_different_categories():
    model = ClauseModel(CHOICES)
    (row,) = model.features([{"a": "y", "b": "z", "c": "none"}])
    assert row.sum() == 3  # y, z, and the two together
    assert len(row) == 5 + (2 * 1 + 2 * 2 + 1 * 2)
    assert not model.features([{"a": "none", "b": "none", "c": "none"}]).any()


@given(st.lists(st.tuples(unit, unit), min_size=1, max_size=8), st.tuples(unit, unit))
def test_added_hypervolume_is_the_difference_of_two(front, point):
    ek, nek = np.array(front).T
    with_it = hypervolume(np.append(ek, point[0]), np.append(nek, point[1]))
    (added,) = added_hypervolume(np.array([point[0]]), np.array([point[1]]), ek, nek)
    assert added == pytest.approx(float(with_it - hypervolume(ek, nek)), abs=1e-9)


def test_the_posterior_is_that_of_the_textbook_under_its_deviations():
    model, rng = ClauseModel(CHOICES), np.random.default_rng(0)
    features = rng.integers(0, 2, (30, len(model.features([{"a": "x", "b": "z", "c": "u"}])[0]))).astype(float)
    gains = features[:, 0] * 0.1 + rng.normal(0, 0.01, 30)
    errors = np.full(30, 0.02)
    fits = list(model._fits(features, gains, errors))
    evidence, factor, mean = fits[0]
    noise, prior = errors**2 + 0.005**2, np.array([0.02] * 5 + [0.02 * 0.2] * (features.shape[1] - 5)) ** 2
    covariance = np.diag(noise) + features * prior @ features.T  # of the gains, the weights integrated out
    logdet = np.linalg.slogdet(covariance).logabsdet
    assert evidence == pytest.approx(-0.5 * (gains @ np.linalg.solve(covariance, gains) + logdet))
    assert mean == pytest.approx((features * prior).T @ np.linalg.solve(covariance, gains))
    assert factor @ factor.T == pytest.approx(features.T @ (features / noise[:, None]) + np.diag(1 / prior))
    posterior = model.fit(features, gains, errors)
    draws = np.array([posterior.draw(rng) for _ in range(4000)])
    assert np.cov(draws.T) == pytest.approx(np.linalg.inv(posterior.factor @ posterior.factor.T), abs=3e-4)
    assert draws.mean(axis=0) == pytest.approx(posterior.mean, abs=3e-3)


def test_what_was_seen_of_few_queries_counts_less():
    model = ClauseModel(CHOICES)
    features = model.features([{"a": "x", "b": "none", "c": "none"}] * 2)
    sure = model.fit(features, np.array([0.1, 0.0]), np.array([0.0, 0.2])).mean[0]
    doubtful = model.fit(features, np.array([0.1, 0.0]), np.array([0.2, 0.0])).mean[0]
    assert sure > 0.05 > doubtful


def test_clauses_that_help_are_tried_again():
    """x gains EK, z gains NEK, y loses both: a few observations suffice for x and z together."""
    model, rng = ClauseModel(CHOICES), np.random.default_rng(1)
    catalogue = Catalogue(CHOICES, lambda params: " ".join(v for v in params.values() if v != "none"), model)
    candidates, texts, features = catalogue.look([], rng)
    assert len(texts) == 3 * 2 * 3 - 1  # the empty one is none
    worth = {"x": (0.2, 0.0), "z": (0.0, 0.2), "y": (-0.2, -0.2)}
    observed = [
        Observed(params, tuple(sum(worth.get(v, (0, 0))[side] for v in params.values()) for side in (0, 1)), (0.0, 0.0))
        for params in candidates
        if texts[candidates.index(params)] in ("x", "y", "z", "y u", "u", "v")
    ]
    members = np.array([[0.3 + each.gains[0], 0.3 + each.gains[1]] for each in observed])
    fresh = np.array([text not in ("x", "y", "z", "y u", "u", "v") for text in texts])
    tried = Counter(
        texts[propose_choices(model, features, fresh, observed, (0.3, 0.3), members, 1, np.random.default_rng(s))[0][0]]
        for s in range(20)
    )
    assert sum(count for text, count in tried.items() if {"x", "z"} <= set(text.split())) >= 18


def test_a_large_bank_is_looked_at_in_part():
    wordings = {f"w{n}": f"Wording number {n}." for n in range(12)}
    bank = Bank({f"c{n}": dict(wordings) for n in range(6)}, {})
    state = SearchState(1, (), frozenset(), (), None, (), random.Random(0))
    first, again = (ClausesProposer(bank).propose(state, 3) for _ in range(2))
    assert len({each.text for each in first}) == 3
    state = SearchState(1, (), frozenset(), (), None, (), random.Random(0))
    assert [each.text for each in ClausesProposer(bank).propose(state, 3)] == [each.text for each in first]
    assert {each.text for each in again}.isdisjoint({each.text for each in first})  # the source of chance went on


def test_nothing_is_proposed_twice_and_a_bank_may_run_out():
    bank = Bank({"a": {"x": "The x counts.", "y": "The y counts."}}, {})
    proposer = ClausesProposer(bank)
    state = SearchState(1, (), frozenset({"The x counts."}), (), None, (), random.Random(0))
    assert [each.text for each in proposer.propose(state, 5)] == ["The y counts."]
    assert read_bank().choices.keys() == {"task", "as_of", "recency", "evidence", "static_guard", "brevity", "order"}
