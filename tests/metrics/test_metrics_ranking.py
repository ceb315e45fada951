"""Ranking and staleness metrics: parity with ir_measures, and expectations against every order of the tied."""

from __future__ import annotations

import dataclasses
import itertools

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_samples import I, N, O, P, labels_lists, make_pool

from fresco.metrics.catalog import STANDARD
from fresco.metrics.measures import families, parse_measure, parse_measures
from fresco.metrics.ties import Tiers
from fresco.metrics.values import measure_pools
from fresco.records import Task


def tiers_of(pool, scores):
    return Tiers.of(pool, np.asarray(scores, float))


def all_metrics(pool, scores, names=STANDARD):
    values = measure_pools(parse_measures(names), [tiers_of(pool, scores)])
    return {name: own[0] for name, own in values.items()}


@given(labels_lists(), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_parity_with_ir_measures_where_nothing_is_tied(labels, random):
    # Distinct scores, some far closer than float32 can tell apart.
    scores = np.array([1 + k * random.choice([1e-12, 1.0]) for k in range(1, len(labels) + 1)])
    scores = np.unique(scores + np.arange(len(labels)) * 1e-11)
    random.shuffle(scores)
    pool = make_pool(labels)
    assert not tiers_of(pool, scores).tied
    check_parity(pool, scores)


@given(st.lists(st.integers(-2, 4), min_size=1, max_size=30).filter(lambda grades: max(grades) > 0), st.integers())
@settings(max_examples=150)
def test_parity_with_ir_measures_on_grades(grades, seed):
    pool = graded(grades)
    check_parity(pool, np.random.default_rng(abs(seed)).permutation(len(grades)).astype(float))


PARITY = {
    "MAP": ir_measures.AP,
    "MAP@3": ir_measures.AP @ 3,
    "MAP(rel=2)": ir_measures.AP(rel=2),
    "MRR": ir_measures.RR,
    "MRR@7": ir_measures.RR @ 7,
    "MRR(rel=3)@5": ir_measures.RR(rel=3) @ 5,
    "nDCG": ir_measures.nDCG,
    "nDCG@5": ir_measures.nDCG @ 5,
    "nDCG@20": ir_measures.nDCG @ 20,
    "Hit@1": ir_measures.Success @ 1,
    "Hit@3": ir_measures.Success @ 3,
    "Hit(rel=2)@10": ir_measures.Success(rel=2) @ 10,
    "Recall@10": ir_measures.R @ 10,
    "Recall(rel=2)@4": ir_measures.R(rel=2) @ 4,
    "P@5": ir_measures.P @ 5,
    "P(rel=3)@20": ir_measures.P(rel=3) @ 20,
    "R-precision": ir_measures.Rprec,
    "R-precision(rel=2)": ir_measures.Rprec(rel=2),
}


def check_parity(pool, scores):
    qrels = {"q": {str(i): grade for i, grade in enumerate(pool.grades)}}
    run = {"q": {str(i): -float((scores > own).sum()) for i, own in enumerate(scores)}}
    reference = ir_measures.calc_aggregate(list(PARITY.values()), qrels, run)
    ours = all_metrics(pool, scores, PARITY)
    for name, measure in PARITY.items():
        assert ours[name] == pytest.approx(reference[measure], abs=1e-12), name
        # The closed form needs no tie to be right.
        closed = parse_measure(name).value(tiers_of(pool, scores))
        assert closed == pytest.approx(reference[measure], abs=1e-12), name


def test_every_measure_that_has_a_reference_is_held_against_it():
    with_reference = {type(own) for own in map(parse_measure, PARITY)}
    everywhere = [own() for own in families().values()]
    assert {type(own) for own in everywhere if own.reference() is not None} == with_reference


def graded(grades, **options):
    pool = make_pool([P if grade > 0 else O if grade == 0 else N for grade in grades], **options)
    return dataclasses.replace(pool, gains=tuple(grades))


def orders(scores):
    """Every order of the pool that the scores allow, best first; each is equally likely."""
    groups = [np.flatnonzero(scores == value).tolist() for value in sorted(set(scores), reverse=True)]
    for parts in itertools.product(*(itertools.permutations(group) for group in groups)):
        yield [index for part in parts for index in part]


def plain(order):
    """The metrics of one order of labels, from their definitions."""
    ranks = [rank for rank, label in enumerate(order, 1) if label is P]
    above = order[: ranks[0] - 1]
    pairs = [i < j for i, a in enumerate(order) if a is P for j, b in enumerate(order) if b is O]
    values = {
        "MAP": np.mean([found / rank for found, rank in enumerate(ranks, 1)]),
        "stale@1": float(order[0] is O),
        "ObsoleteRatio": above.count(O) / len(above) if above else np.nan,
        "ObsoleteBase": order.count(O) / (len(order) - len(ranks)) if above else np.nan,
        "current>obsolete": np.mean(pairs) if pairs else np.nan,
    }
    for k in (1, 5, 10):
        ideal = sum(1 / np.log2(rank + 1) for rank in range(1, min(k, len(ranks)) + 1))
        values[f"Hit@{k}"] = float(ranks[0] <= k)
        values[f"MRR@{k}"] = (ranks[0] <= k) / ranks[0]
        values[f"nDCG@{k}"] = sum(1 / np.log2(rank + 1) for rank in ranks if rank <= k) / ideal
    return values


@given(labels_lists(max_size=7), st.data())
@settings(max_examples=60)
def test_expectations_against_every_order_of_the_tied(labels, data):
    levels = st.integers(0, data.draw(st.integers(0, 3)))
    scores = np.array(data.draw(st.lists(levels, min_size=len(labels), max_size=len(labels))), float)
    pool = make_pool(labels)
    untied = [plain([labels[i] for i in order]) for order in orders(scores)]
    ours = all_metrics(pool, scores)
    disagree = False
    for name, value in ours.items():
        seen = np.array([values[name] for values in untied])
        if np.isnan(seen).all():
            assert np.isnan(value), name
        else:  # a conditional expectation where some orders leave the metric undefined
            assert value == pytest.approx(np.nanmean(seen), abs=1e-9), name
            disagree |= bool(np.nanmax(seen) - np.nanmin(seen) > 1e-12)
    # The probability of being defined, which weights a query in a mean, is 1 - Hit@1.
    defined = np.mean([not np.isnan(values["ObsoleteRatio"]) for values in untied])
    assert 1 - ours["Hit@1"] == pytest.approx(defined, abs=1e-9)
    ranks = [next(rank for rank, i in enumerate(order, 1) if labels[i] is P) for order in orders(scores)]
    assert tiers_of(pool, scores).expected_rank == pytest.approx(np.mean(ranks), abs=1e-9)
    # Ties matter exactly where the orders disagree.
    assert tiers_of(pool, scores).ties_matter == disagree


def test_a_constant_scorer_gets_the_random_order_expectation():
    pool = make_pool([P] + [O] * 30 + [I] * 20)
    values = all_metrics(pool, np.zeros(51))
    harmonic = (1 / np.arange(1, 52)).sum()
    assert values["MAP"] == pytest.approx(harmonic / 51)
    assert values["MRR@10"] == pytest.approx((1 / np.arange(1, 11)).sum() / 51)
    assert values["nDCG@5"] == pytest.approx((1 / np.log2(np.arange(2, 7))).sum() / 51)
    assert values["Hit@1"] == pytest.approx(1 / 51)
    assert values["Hit@10"] == pytest.approx(10 / 51)
    assert values["stale@1"] == pytest.approx(30 / 51)
    assert values["ObsoleteRatio"] == pytest.approx(0.6)
    assert values["ObsoleteBase"] == pytest.approx(0.6)
    assert values["current>obsolete"] == 0.5


def test_staleness_by_hand():
    pool = make_pool([P, O, O, I, N, O])
    values = all_metrics(pool, [3, 6, 2, 5, 4, 1])  # outdated, insufficient, near-topic, positive, ...
    assert values["ObsoleteRatio"] == pytest.approx(1 / 3)
    assert values["ObsoleteBase"] == pytest.approx(3 / 5)
    assert values["stale@1"] == 1
    assert values["current>obsolete"] == pytest.approx(2 / 3)
    first = all_metrics(pool, [9, 6, 2, 5, 4, 1])
    assert np.isnan(first["ObsoleteRatio"])
    assert np.isnan(first["ObsoleteBase"])
    assert first["stale@1"] == 0


def test_nek_pools_have_no_staleness():
    pool = make_pool([P, O, I], task=Task.NEK)
    values = all_metrics(pool, [1, 2, 3])
    assert all(np.isnan(values[name]) for name in ("ObsoleteRatio", "ObsoleteBase", "stale@1", "current>obsolete"))


def test_tied_passages_are_counted():
    pool = make_pool([P, O, I, I, N])
    tiers = tiers_of(pool, [1, 1, 0, 0, 5])
    assert tiers.tied == 4
    assert tiers.ties_matter
    harmless = tiers_of(pool, [9, 8, 1, 1, 1])
    assert harmless.tied == 3
    assert not harmless.ties_matter
    assert parse_measure("ObsoleteRatio").value(tiers_of(pool, [0, 1, 1, 2, 2])) == 0.25


def test_large_tied_pools_stay_exact():
    pool = make_pool([P] * 40 + [N] * 1960)
    values = all_metrics(pool, np.zeros(2000))
    assert values["Hit@1"] == pytest.approx(0.02, abs=1e-12)
    assert values["nDCG@10"] == pytest.approx(0.02, abs=1e-12)
