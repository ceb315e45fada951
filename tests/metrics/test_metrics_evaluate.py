"""The whole evaluation: rows, scopes, age gaps, comparisons, bad scores, invariants and conditions."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from metrics_samples import N, O, P, benchmark, make_pool, random_benchmark

from fresco.errors import FrescoError
from fresco.metrics.catalog import SCOPES, STANDARD
from fresco.metrics.compare import compare
from fresco.metrics.counterfactual import probe_pools
from fresco.metrics.evaluate import evaluate
from fresco.metrics.measures import parse_measure
from fresco.metrics.selfcheck import InvariantError, check_per_query, check_rows
from fresco.metrics.staleness import GAP_BINS
from fresco.metrics.threshold import parse_condition
from fresco.records import Kind, Label, Task

MADE = random_benchmark(60, size=15, seed=1, nek=30)


def good(pools, noise=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return [np.array([label is P for label in pool.labels]) + noise * rng.normal(size=len(pool)) for pool in pools]


def newest(pools):
    return [np.array([p.timestamp.timestamp() for p in pool.passages]) for pool in pools]


def constant(pools):
    return [np.zeros(len(pool)) for pool in pools]


@pytest.fixture(scope="module")
def evaluation():
    probes = probe_pools(MADE)
    scores = {"good": good(MADE.pools), "newest": newest(MADE.pools), "constant": constant(MADE.pools)}
    return evaluate(MADE, scores, probes=probes, probe_scores={"newest": newest(probes)}, resamples=200)


def value(evaluation, reranker, scope, metric):
    (row,) = [
        row
        for row in evaluation.rows
        if (row["reranker"], f"{row['task']}/{row['kind']}", row["metric"]) == (reranker, scope, metric)
    ]
    return row["value"]


def test_rows_have_every_scope_and_metric_once(evaluation):
    keys = [(row["reranker"], row["task"], row["kind"], row["metric"]) for row in evaluation.rows]
    expected = [
        (name, task, kind, metric)
        for name in ("good", "newest", "constant")
        for task, kind in SCOPES
        for metric in STANDARD
        if task in parse_measure(metric).tasks
    ]
    assert keys == expected
    assert {tuple(row) for row in evaluation.rows} == {
        ("reranker", "task", "kind", "metric", "value", "ci_low", "ci_high", "n")
    }
    for row in evaluation.rows:
        if row["value"] is not None and row["n"] > 20:
            assert row["ci_low"] <= row["value"] <= row["ci_high"]


def test_rows_are_means_of_the_queries(evaluation):
    frame = evaluation.per_query
    assert len(frame) == 3 * 90
    own = frame[(frame["reranker"] == "good") & (frame["kind"] == "implicit")]
    assert value(evaluation, "good", "EK/implicit", "MRR@10") == pytest.approx(own["MRR@10"].mean())
    # Without ties a query counts wholly or not at all, and the lift is the ratio of two means over the same queries.
    ratio, base = (value(evaluation, "good", "EK/implicit", f"Obsolete{name}") for name in ("Ratio", "Base"))
    assert ratio == pytest.approx(own["ObsoleteRatio"].mean())
    assert own["ObsoleteBase"].isna().equals(own["ObsoleteRatio"].isna())
    assert value(evaluation, "good", "EK/implicit", "ObsoleteLift") == pytest.approx(ratio / base)


def test_a_constant_scorer_is_a_random_order(evaluation):
    assert value(evaluation, "constant", "EK/all", "Hit@1") == pytest.approx(1 / 15)
    assert value(evaluation, "constant", "NEK/all", "Hit@5") == pytest.approx(1 / 3)
    assert value(evaluation, "constant", "EK/all", "current>obsolete") == 0.5
    assert value(evaluation, "constant", "EK/all", "ObsoleteLift") == pytest.approx(1)
    assert evaluation.ties["constant"] == {
        **{"pools": 90, "pools_with_ties": 90, "pools_where_ties_matter": 90},
        **{"tied_passages": 90 * 15, "constant_pools": 90},
    }
    assert any(text.startswith("constant: every passage has the same score in 90") for text in evaluation.warnings)
    assert evaluation.ties["good"]["tied_passages"] == 0
    assert json.loads(json.dumps(evaluation.ties)) == evaluation.ties
    bias = evaluation.bias["constant"]["regression"]["predictors"]
    assert all(own["coefficient"] is None for own in bias.values())


def test_tied_queries_weigh_by_the_chance_that_a_negative_is_on_top():
    pools = [
        make_pool([P, O], query_id="a", subject="a"),
        make_pool([P, O, N, N], query_id="b", subject="b"),
    ]
    found = evaluate(benchmark(pools), {"m": [np.zeros(2), np.array([0.0, 1, 2, 3])]}, resamples=100)
    # a: the outdated passage is above in half of the orders (ratio 1); b: always (ratio 1/3).
    assert value(found, "m", "EK/all", "ObsoleteRatio") == pytest.approx((0.5 * 1 + 1 / 3) / 1.5)
    assert value(found, "m", "EK/all", "ObsoleteBase") == pytest.approx((0.5 * 1 + 1 / 3) / 1.5)


def test_age_gaps_count_every_pair_once(evaluation):
    gaps = evaluation.age_gap
    n_pairs = sum(sum(1 for _ in pool.labelled(Label.OUTDATED)) for pool in MADE.pools)
    for name in ("good", "newest", "constant"):
        own = gaps[(gaps["reranker"] == name) & (gaps["metric"] == "current>obsolete")]
        assert own["bin"].tolist() == list(GAP_BINS)
        assert own["n"].sum() == n_pairs
    own = gaps[(gaps["reranker"] == "newest") & (gaps["metric"] == "current>obsolete")].set_index("bin")["value"]
    # Newest-first is right wherever the outdated text is older, and wrong where it bears the newer date.
    assert own["outdated text is newer"] == 0
    assert (own.drop("outdated text is newer") == 1).all()
    stale = gaps[(gaps["reranker"] == "good") & (gaps["metric"] == "stale@1")]
    assert stale["n"].sum() == 60
    per_query = evaluation.per_query
    total = (stale["value"].fillna(0) * stale["n"]).sum() / 60
    assert total == pytest.approx(per_query.loc[per_query["reranker"] == "good", "stale@1"].mean())


def test_gap_bins_have_the_edges_they_name():
    ages = [0, 89.5, 90, 364.5, 365, 729.5, 730, 1460.5, 1461]
    pool = make_pool([P] + [O] * 9, ages=[0, *ages])
    newer = make_pool([P, O], ages=[10, 9.5], query_id="newer")
    found = evaluate(benchmark([pool, newer]), {"m": constant([pool, newer])}).age_gap
    assert found[found["metric"] == "current>obsolete"]["n"].tolist() == [1, 2, 2, 2, 2, 1]


def test_comparisons_and_letters_agree(evaluation):
    comparisons, groups = evaluation.comparisons, evaluation.groups
    assert len(comparisons) == 3 * len(SCOPES)
    first = comparisons.iloc[0]
    assert first["difference"] == pytest.approx(first["value_b"] - first["value_a"])
    assert set(groups["metric"]) == {"MAP", "stale@1", "current>obsolete"}
    groups = groups[groups["metric"] == "MAP"]
    for row in comparisons.itertuples():
        own = groups[(groups["task"] == row.task) & (groups["kind"] == row.kind)].set_index("reranker")["letters"]
        assert bool(set(own[row.a]) & set(own[row.b])) == (row.p_holm >= 0.05)
    assert groups["letters"].iloc[0].startswith("a")
    assert comparisons["p_holm"].min() < 0.05


def test_compare_two_runs_over_the_queries_in_common(evaluation):
    half = dataclasses.replace(MADE, pools=MADE.pools[20:])
    scores = {"good": good(half.pools, noise=0.01, seed=3), "other": newest(half.pools)}
    other = evaluate(half, scores, resamples=100)
    found = compare(evaluation.per_query, other.per_query, "MAP", resamples=200)
    assert list(dict.fromkeys(zip(found["a"], found["b"], strict=True))) == [
        *[("good", "good"), ("newest", "other"), ("constant", "other")]
    ]
    row = found[(found["a"] == "good") & (found["task"] == "EK") & (found["kind"] == "all")].iloc[0]
    assert row["n"] == 40
    assert row["difference"] > 0
    assert row["p_holm"] < 0.05
    assert row["ci_low"] > 0
    same = found[(found["b"] == "other") & (found["a"] == "newest")]
    assert (same["difference"] == 0).all()
    assert (same["p"] == 1).all()
    with pytest.raises(FrescoError, match="choose one of MAP"):
        compare(evaluation.per_query, other.per_query, "ObsoleteLift")
    with pytest.raises(FrescoError, match="no re-ranker 'x'"):
        compare(evaluation.per_query, other.per_query, pairs=[("x", "good")])
    ek, nek = (evaluation.per_query[evaluation.per_query["task"] == task] for task in ("EK", "NEK"))
    with pytest.raises(FrescoError, match="no query in common"):
        compare(ek, nek)
    assert set(compare(ek, evaluation.per_query, "stale@1")["task"]) == {"EK"}


def test_bias_and_probes_are_reported(evaluation):
    probe = evaluation.bias["newest"]["counterfactual"]
    assert probe["newer date wins"]["value"] == 1.0
    assert probe["current text wins"]["value"] == 0.5
    assert evaluation.bias["good"]["counterfactual"] is None
    age = evaluation.bias["newest"]["regression"]["predictors"]["age"]
    assert age["coefficient"] == pytest.approx(-1, abs=1e-6)
    assert age["sentence"].startswith("prefers newer text: -1.00")


def test_same_input_same_json():
    scores = {"good": good(MADE.pools), "newest": newest(MADE.pools)}
    first, second = (evaluate(MADE, scores, resamples=50).to_json_dict() for _ in range(2))
    assert json.dumps(first, allow_nan=False) == json.dumps(second, allow_nan=False)
    assert set(first) == {"rows", "age_gap", "comparisons", "groups", "bias", "ties", "warnings"}


def test_per_query_survives_parquet(evaluation, tmp_path):
    evaluation.per_query.to_parquet(tmp_path / "q.parquet")
    back = pd.read_parquet(tmp_path / "q.parquet")
    pd.testing.assert_frame_equal(compare(back, evaluation.per_query), compare(evaluation.per_query, back))


def test_one_sided_benchmarks():
    ek = evaluate(random_benchmark(6, size=6), {"m": constant(random_benchmark(6, size=6).pools)}, resamples=50)
    assert {row["task"] for row in ek.rows} == {"EK"}
    assert any("3 subjects are few" in text for text in ek.warnings)
    made = random_benchmark(0, size=6, nek=5)
    nek = evaluate(made, {"m": good(made.pools)}, resamples=50)
    assert {(row["task"], row["kind"]) for row in nek.rows} == {("NEK", "all")}
    assert nek.bias == {}
    assert nek.age_gap["n"].sum() == 0
    json.dumps(nek.to_json_dict(), allow_nan=False)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_cannot_be_ranked_are_refused(bad):
    scores = good(MADE.pools)
    scores[7][3] = bad
    with pytest.raises(FrescoError, match=r"'m', query 'q7', passage 'q7-p3': score (nan|inf|-inf);"):
        evaluate(MADE, {"m": scores})


def test_input_that_does_not_fit_is_refused():
    scores = good(MADE.pools)
    with pytest.raises(FrescoError, match="scores for 89 pools, but the benchmark has 90"):
        evaluate(MADE, {"m": scores[:-1]})
    with pytest.raises(FrescoError, match="'m', query 'q0': 14 scores for 15 passages"):
        evaluate(MADE, {"m": [scores[0][1:], *scores[1:]]})
    with pytest.raises(FrescoError, match="nothing to evaluate"):
        evaluate(MADE, {})
    with pytest.raises(FrescoError, match="cannot compare by 'map'"):
        evaluate(MADE, {"m": scores}, primary="map")
    twice = [make_pool([P, O]), make_pool([P, O])]
    with pytest.raises(FrescoError, match="query 'q' occurs twice"):
        evaluate(benchmark(twice), {"m": constant(twice)})
    static = [make_pool([P, O], task=Task.EK, kind=Kind.STATIC)]
    with pytest.raises(FrescoError, match="not static"):
        evaluate(benchmark(static), {"m": constant(static)})


def test_an_impossible_published_row_fires():
    def rows(**values):
        return [
            {"reranker": "r", "task": "EK", "kind": "all", "metric": m, "value": v, "n": 9} for m, v in values.items()
        ]

    published = {"MRR@10": 0.5204, "nDCG@10": 0.4302}
    with pytest.raises(InvariantError, match=r"'r', EK/all: nDCG@10 is below MRR@10"):
        check_rows(rows(**published), one_positive=True)
    check_rows(rows(**published), one_positive=False)
    with pytest.raises(InvariantError, match=r"Hit@10 is below Hit@5"):
        check_rows(rows(**{"Hit@5": 0.9, "Hit@10": 0.8}), one_positive=False)
    with pytest.raises(InvariantError, match=r"MAP is not the mean reciprocal rank"):
        check_rows(rows(**{"MAP": 0.7, "MRR@10": 0.6, "Hit@10": 0.9}), one_positive=True)
    with pytest.raises(InvariantError, match=r"MAP lies outside"):
        check_rows(rows(MAP=26.56), one_positive=True)


def test_counts_by_kind_must_add_up(evaluation):
    rows = [dict(row) for row in evaluation.rows]
    check_rows(rows, one_positive=True)
    rows[0]["n"] -= 1
    with pytest.raises(InvariantError, match="'good', EK: MAP counts 59 queries by kind, 60 in all"):
        check_rows(rows, one_positive=True)


@pytest.mark.parametrize(
    ("column", "bad"),
    [
        *[("MAP", 1.5), ("nDCG@10", 0.01), ("Hit@5", 0.0), ("MRR@5", 1.0), ("n_outdated", 99), ("stale@1", 1.0)],
        *[("rank", 3.5), ("ObsoleteRatio", np.nan), ("MRR@10", np.nan)],
    ],
)
def test_a_doctored_query_fires(evaluation, column, bad):
    frame = evaluation.per_query.copy()
    # The positive second, for certain, below a negative that is not outdated.
    row = frame.index[(frame["reranker"] == "good") & (frame["rank"] == 2) & (frame["stale@1"] == 0)][0]
    check_per_query(frame)
    frame.loc[row, column] = bad
    if column == "stale@1":
        frame.loc[row, ["Hit@1"]] = 0.5
    with pytest.raises(InvariantError, match=f"query '{frame.loc[row, 'query_id']}'"):
        check_per_query(frame)


def test_conditions_pick_the_rows_that_offend(evaluation):
    assert parse_condition("MAP>=0").holds(evaluation.rows) == [
        row for row in evaluation.rows if (row["task"], row["kind"], row["metric"]) == ("EK", "all", "MAP")
    ]
    assert parse_condition("MAP<0").holds(evaluation.rows) == []
    offenders = parse_condition("EK/implicit: current>obsolete <= 0.5").holds(evaluation.rows)
    assert [row["reranker"] for row in offenders if row["kind"] == "implicit"] == [row["reranker"] for row in offenders]
    assert "constant" in [row["reranker"] for row in offenders]
    nek_only = [row for row in evaluation.rows if row["task"] == "NEK"]
    assert {row["task"] for row in parse_condition("Hit@1>=0").holds(nek_only)} == {"NEK"}
    with pytest.raises(FrescoError, match="no stale@1 for NEK/all"):
        parse_condition("stale@1>0.2").holds(nek_only)


def test_a_value_that_is_undefined_meets_no_condition():
    pools = [make_pool([P, O])]
    rows = evaluate(benchmark(pools), {"m": [np.array([1.0, 0.0])]}).rows
    assert parse_condition("ObsoleteRatio>=0").holds(rows) == []
    assert parse_condition("stale@1>=0").holds(rows) != []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("stail@1>0.2", "unknown metric 'stail@1'; choose one of current>obsolete, Hit@k, MAP[@k], "),
        ("stale>0.2", "measure 'stale': needs a cutoff, as in stale@10"),
        ("stale@0>0.2", "cutoff is 0; it must be a whole number above 0"),
        ("Hit(of=version)@1<0.2", "'of=version' is no option of it; it takes rel=..."),
        (
            "stale(of=older)@1>0.2",
            "of is 'older'; choose one of version, history, cross-document, announced, superseded",
        ),
        ("EK/explict:MAP>0.2", "no queries EK/explict"),
        ("NEK/implicit:MAP>0.2", "no queries NEK/implicit"),
        ("XY:MAP>0.2", "no queries XY/all"),
        ("NEK:stale@1>0.2", "stale@1 is not defined for NEK"),
        ("MAP=0.2", "expected METRIC, one of > >= < <=, and a number"),
        ("MAP>", "expected METRIC"),
        ("MAP>a", "'a' is not a number"),
        ("MAP>nan", "'nan' is not a number"),
        ("MAP>0.2 0.3", "expected METRIC"),
        ("", "unknown metric ''"),
    ],
)
def test_conditions_that_cannot_be_read(text, complaint):
    with pytest.raises(FrescoError) as error:
        parse_condition(text)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)
    assert "stale@1>0.2" in str(error.value) or "choose" in str(error.value)
