"""Kinds of conflict, superseded passages and grades: against every order of the tied, and in the rows of a run."""

from __future__ import annotations

import dataclasses
import io
import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics_samples import I, N, O, P, benchmark, labels_lists, make_pool, random_benchmark
from rich.console import Console

from fresco.errors import FrescoError
from fresco.metrics.compare import compare_all
from fresco.metrics.evaluate import evaluate
from fresco.metrics.measures import parse_measure, parse_measures
from fresco.metrics.threshold import parse_condition
from fresco.metrics.ties import Tiers
from fresco.records import Conflict, Task
from fresco.results.further import further_tables
from fresco.results.table import draw_cells

KINDS = (Conflict.VERSION, Conflict.HISTORY, Conflict.CROSS_DOCUMENT, None)


def orders(scores):
    """Every order that the scores allow, best first; each is equally likely."""
    groups = [np.flatnonzero(scores == value).tolist() for value in sorted(set(scores), reverse=True)]
    for parts in itertools.product(*(itertools.permutations(group) for group in groups)):
        yield [index for part in parts for index in part]


def plain(pool, order):
    """The measures of one order, from their definitions."""
    positive = [pool.labels[i] is P for i in order]
    first = positive.index(True)
    grades = [max(pool.grades[i], 0) for i in order]
    discount = 1 / np.log2(np.arange(2, len(order) + 2))
    values = {}
    for rel in (1, 2):
        relevant = [grade >= rel for grade in grades]
        n = sum(relevant)
        ranks = [rank for rank, own in enumerate(relevant, 1) if own]
        suffix = f"(rel={rel})" if rel > 1 else ""
        values[f"MAP{suffix}"] = np.mean([k / rank for k, rank in enumerate(ranks, 1)]) if n else 0
        values[f"MAP{suffix}@3"] = sum(k / rank for k, rank in enumerate(ranks, 1) if rank <= 3) / n if n else 0
        values[f"MRR{suffix}"] = 1 / ranks[0] if n else 0
        values[f"Hit{suffix}@3"] = float(any(relevant[:3]))
        values[f"Recall{suffix}@3"] = sum(relevant[:3]) / n if n else 0
        values[f"P{suffix}@3"] = sum(relevant[:3]) / 3
        values[f"R-precision{suffix}"] = sum(relevant[:n]) / n if n else 0
    for k in (2, len(order)):
        best = np.sort(grades)[::-1][:k] @ discount[:k]
        values["nDCG" if k == len(order) else f"nDCG@{k}"] = grades[:k] @ discount[:k] / best
    for of in ("", *Conflict, "superseded"):
        if not of:
            counts = [pool.labels[i] is O for i in order]
        elif of == "superseded":
            counts = [pool.superseded[i] and pool.labels[i] is not P for i in order] if pool.superseded else None
        else:
            counts = [pool.conflicts[i] == of for i in order] if of in pool.conflicts else None
        suffix = f"(of={of})" if of else ""
        known = counts is not None
        pairs = [i < j for i, a in enumerate(positive) if a for j, b in enumerate(counts or []) if b]
        values[f"stale{suffix}@1"] = float(counts[0]) if known else np.nan
        values[f"stale{suffix}@3"] = float(any(counts[:3])) if known else np.nan
        values[f"current>obsolete{suffix}"] = np.mean(pairs) if pairs else np.nan
        values[f"ObsoleteRatio{suffix}"] = sum(counts[:first]) / first if known and first else np.nan
        negatives = len(order) - sum(positive)
        values[f"ObsoleteBase{suffix}"] = sum(counts) / negatives if known and first else np.nan
    return values


@st.composite
def pools(draw):
    labels = draw(labels_lists(max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    pool = make_pool(labels)
    conflicts = tuple(KINDS[rng.integers(4)] if label is O else None for label in labels)
    grades = tuple(int(rng.integers(1, 4)) if label is P else -int(rng.integers(0, 2)) for label in labels)
    return dataclasses.replace(
        pool,
        gains=grades if draw(st.booleans()) else (),
        conflicts=conflicts if draw(st.booleans()) else (),
        superseded=tuple(bool(rng.integers(2)) for _ in labels) if draw(st.booleans()) else (),
    )


@given(pools(), st.data())
@settings(max_examples=60)
def test_every_measure_against_every_order_of_the_tied(pool, data):
    levels = st.integers(0, data.draw(st.integers(0, 3)))
    scores = np.array(data.draw(st.lists(levels, min_size=len(pool), max_size=len(pool))), float)
    seen = [plain(pool, order) for order in orders(scores)]
    tiers = Tiers.of(pool, scores)
    for name in seen[0]:
        values = np.array([own[name] for own in seen])
        found = parse_measure(name).value(tiers)
        if np.isnan(values).all():
            assert np.isnan(found), name
        else:
            assert found == pytest.approx(np.nanmean(values), abs=1e-12), name
    ties_matter = {
        name for name in seen[0] if len({round(own[name], 12) for own in seen if own[name] == own[name]}) > 1
    }
    assert tiers.ties_matter or not ties_matter & {"MAP", "MRR", "nDCG", "stale@1", "current>obsolete"}


def with_conflicts(made):
    """Version and history in turn among the outdated; superseded is every version and some of the others."""
    rng = np.random.default_rng(0)
    marked = []
    for pool in made.pools:
        kinds = [(Conflict.VERSION, Conflict.HISTORY)[rng.integers(2)] if label is O else None for label in pool.labels]
        old = [
            kind is Conflict.VERSION or (label is I and rng.random() < 0.5)
            for kind, label in zip(kinds, pool.labels, strict=True)
        ]
        marked.append(dataclasses.replace(pool, conflicts=tuple(kinds), superseded=tuple(old)))
    return benchmark(marked)


MADE = with_conflicts(random_benchmark(40, size=12, seed=2, nek=10))


def latest_only(pool):
    """A re-ranker whose corpus holds only the latest revision of each page: what is superseded stands last."""
    return np.array([(label is O) * 2.0 + (label is P) for label in pool.labels]) - 9.0 * np.array(pool.superseded)


@pytest.fixture(scope="module")
def evaluation():
    rng = np.random.default_rng(1)
    return evaluate(
        MADE,
        {"dice": [rng.normal(size=len(pool)) for pool in MADE.pools], "latest": [latest_only(p) for p in MADE.pools]},
        resamples=50,
    )


def rows_of(evaluation, reranker, metric, kind="all"):
    return [row for row in evaluation.rows if (row["reranker"], row["metric"], row["kind"]) == (reranker, metric, kind)]


def test_kinds_are_a_dimension_of_the_rows(evaluation):
    found = {row.get("conflict") for row in evaluation.rows}
    assert found == {None, "version", "history"}
    for kind in ("version", "history"):
        holders = [pool for pool in MADE.pools if kind in pool.conflicts and pool.query.task is Task.EK]
        (row,) = rows_of(evaluation, "dice", f"current>obsolete(of={kind})")
        assert (row["conflict"], row["n"]) == (kind, len(holders))
        assert row["value"] == pytest.approx(
            evaluation.per_query.query("reranker == 'dice'")[f"current>obsolete(of={kind})"].mean()
        )
    # Deduplication cures the one kind wholly and the other not at all.
    assert rows_of(evaluation, "latest", "stale(of=version)@1")[0]["value"] == 0
    assert rows_of(evaluation, "latest", "current>obsolete(of=version)")[0]["value"] == 1
    assert rows_of(evaluation, "latest", "stale(of=history)@1")[0]["value"] == 1
    assert rows_of(evaluation, "latest", "current>obsolete(of=history)")[0]["value"] == 0
    json.dumps(evaluation.to_json_dict(), allow_nan=False)


def test_two_obsolete_ratios_each_with_its_base(evaluation):
    ours, theirs = (rows_of(evaluation, "latest", f"ObsoleteRatio{of}")[0] for of in ("", "(of=superseded)"))
    assert ours["value"] == pytest.approx(1)
    assert theirs["value"] == 0
    bases = [rows_of(evaluation, "dice", f"ObsoleteBase{of}")[0]["value"] for of in ("", "(of=superseded)")]
    shares = [
        np.mean([sum(counts) / (len(p) - 1) for p in MADE.pools[:40] if (counts := count(p)) is not None])
        for count in (lambda p: [own is O for own in p.labels], lambda p: p.superseded)
    ]
    assert bases == pytest.approx(shares, abs=0.05)
    assert bases[0] != pytest.approx(bases[1], abs=1e-3)


def test_confined_measures_are_compared_and_bounded_by_notation(evaluation):
    assert len(compare_all(evaluation.per_query, "stale(of=history)@1", resamples=20)) == 3
    found = parse_condition("stale(of=history)@1 > 0.9").holds(evaluation.rows)
    assert [row["reranker"] for row in found] == ["latest"]


def test_what_the_data_does_not_say_is_refused():
    bare = random_benchmark(4, size=6)
    scores = {"m": [np.arange(6.0)] * 4}
    for asked, lacking in (
        ("stale(of=version)@1", "no outdated passage whose kind of conflict is version"),
        ("ObsoleteRatio(of=superseded)", "no word of which passages are superseded"),
    ):
        with pytest.raises(FrescoError, match=lacking):
            evaluate(bare, scores, measures=parse_measures([asked]))
    with pytest.raises(FrescoError, match="no EK queries"):
        evaluate(random_benchmark(0, size=6, nek=4), scores, measures=parse_measures(["stale@5"]))


def test_measures_that_were_asked_for_stand_behind_the_standard_set():
    made = random_benchmark(20, size=12, nek=5)
    rng = np.random.default_rng(0)
    scores = {"m": [rng.normal(size=12).round(1) for _ in made.pools]}
    plain_run = evaluate(made, scores, resamples=50)
    asked = parse_measures(["nDCG@20", "Recall@10", "Rprec", "MRR@7", "Hit@3", "stale@3", "MAP", "P@5", "MAP@5", "MRR"])
    more = evaluate(made, scores, measures=asked, resamples=50)
    kept = [row for row in more.rows if any(row["metric"] == own["metric"] for own in plain_run.rows)]
    assert kept == plain_run.rows
    added = list(dict.fromkeys(row["metric"] for row in more.rows if row not in kept))
    assert added == ["nDCG@20", "Recall@10", "R-precision", "MRR@7", "Hit@3", "stale@3", "P@5", "MAP@5", "MRR"]


def test_the_table_of_conflicts(evaluation):
    console = Console(width=150, record=True, file=io.StringIO())
    names = ["dice", "latest"]
    (table,) = further_tables(evaluation.rows, names)
    console.print(draw_cells(table.cells, names, table.title))
    text = console.export_text()
    n = sum(Conflict.HISTORY in pool.conflicts for pool in MADE.pools)
    assert f"n={n}" in text
    assert "announced" not in text
    # All nine columns of a benchmark with every kind fit beside a name of ordinary length.
    assert max(len(line.rstrip()) for line in text.splitlines()) < 85
    (line,) = [line for line in text.splitlines() if "latest" in line]
    assert [cell.strip() for cell in line.split("│")[2:-1]] == ["0.000", "1.000", "1.000", "0.000", "0.000"]
    bare = random_benchmark(4, size=6)
    assert further_tables(evaluate(bare, {"m": [np.arange(6.0)] * 4}, resamples=20).rows, ["m"]) == []


def test_graded_pools_by_hand():
    pool = dataclasses.replace(make_pool([P, P, N, I], task=Task.NEK), gains=(3, 1, -1, 0))
    tiers = Tiers.of(pool, np.array([1.0, 2.0, 3.0, 0.0]))
    discount = 1 / np.log2([2, 3, 4])
    assert parse_measure("nDCG@10").value(tiers) == pytest.approx((discount[1] + 3 * discount[2]) / (3 + discount[1]))
    assert parse_measure("MAP").value(tiers) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert parse_measure("MAP(rel=2)").value(tiers) == pytest.approx(1 / 3)
    assert parse_measure("MRR(rel=4)@10").value(tiers) == 0
