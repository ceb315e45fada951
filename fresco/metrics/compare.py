"""Differences between re-rankers, query by query, with intervals and corrected significance."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fresco.errors import FrescoError
from fresco.metrics.aggregate import mean_of, rounded_frame, select
from fresco.metrics.catalog import FEWEST_SUBJECTS, PRIMARY, SCOPES
from fresco.metrics.measures import Measure, measures_among, parse_measure
from fresco.stats.arrays import FloatArray
from fresco.stats.intervals import SubjectBootstrap
from fresco.stats.significance import ALPHA, holm, letters, randomization_test

#: Columns of a table of differences; ``difference`` is ``value_b - value_a``, all three over the same ``n`` queries of
#: ``units`` subjects (or relations, where these are drawn).
COLUMNS = (
    *("metric", "task", "kind", "a", "b", "value_a", "value_b"),
    *("difference", "ci_low", "ci_high", "p", "p_holm", "n", "units"),
)


@dataclass(frozen=True, slots=True)
class _Paired:
    """Two re-rankers' values on the same queries."""

    a: str
    b: str
    value_a: FloatArray
    value_b: FloatArray


def compare_all(
    per_query: pd.DataFrame, metric: str = PRIMARY, *, unit: str = "subject", seed: int = 0, resamples: int = 1000
) -> pd.DataFrame:
    """Every pair of re-rankers of one evaluation; the columns are :data:`COLUMNS`, ``unit`` as in :func:`compare`."""
    measure = _comparable(metric, per_query)
    metric = measure.name
    rows: list[dict[str, object]] = []
    for task, kind in _scopes(measure):
        values = _by_reranker(select(per_query, task, kind), metric, unit)
        pairs = [
            _Paired(str(a), str(b), values[a].to_numpy(np.float64), values[b].to_numpy(np.float64))
            for a, b in itertools.combinations(values.columns, 2)
        ]
        rows += _rows(pairs, _units(values), metric, task, kind, seed=seed, resamples=resamples)
    return _table(rows)


def compare(
    per_query_a: pd.DataFrame,
    per_query_b: pd.DataFrame,
    metric: str = PRIMARY,
    *,
    pairs: Sequence[tuple[str, str]] | None = None,
    unit: str = "subject",
    seed: int = 0,
    resamples: int = 1000,
) -> pd.DataFrame:
    """Two runs, over the queries that both hold.

    Args:
        per_query_a: ``Evaluation.per_query`` of the first run.
        per_query_b: That of the second.
        metric: Notation of a measure that each query has and both frames hold. A query counts where both values are
            defined, each with the same weight.
        pairs: Which re-ranker of A is set against which of B. By default each name that both runs hold against itself,
            and the names that only A holds against the names that only B holds.
        unit: What is drawn and flipped as one: ``subject``, or ``relation``, the coarser one.
        seed: Of resampling and of sign flips.
        resamples: Of the bootstrap.

    Returns:
        A frame with the columns :data:`COLUMNS`: ``difference`` is B minus A, Holm's correction spans the pairs of one
        scope that differ anywhere. Scopes without queries are left out.

    Raises:
        FrescoError: unknown metric, no query in common, nothing to pair.
    """
    measure = _comparable(metric, per_query_a, per_query_b)
    metric = measure.name
    names_a, names_b = (list(dict.fromkeys(frame["reranker"])) for frame in (per_query_a, per_query_b))
    if pairs is None:
        only_a = [name for name in names_a if name not in names_b]
        only_b = [name for name in names_b if name not in names_a]
        pairs = [(name, name) for name in names_a if name in names_b] + list(itertools.product(only_a, only_b))
    if not pairs:
        raise FrescoError("nothing to compare: name the re-rankers to pair, one of each run")
    for names, chosen in ((names_a, {a for a, _ in pairs}), (names_b, {b for _, b in pairs})):
        if missing := sorted(chosen - set(names)):
            raise FrescoError(f"no re-ranker {missing[0]!r} in the run; it holds {', '.join(map(repr, names))}")
    rows: list[dict[str, object]] = []
    for task, kind in _scopes(measure):
        left = _by_reranker(select(per_query_a, task, kind), metric, unit)
        right = _by_reranker(select(per_query_b, task, kind), metric, unit)
        common = left.index.intersection(right.index, sort=False)
        left, right = left.loc[common], right.loc[common]
        paired = [
            _Paired(a, b, left[a].to_numpy(np.float64), right[b].to_numpy(np.float64)) for a, b in pairs if len(common)
        ]
        rows += _rows(paired, _units(left), metric, task, kind, seed=seed, resamples=resamples)
    if not rows:
        what = " and ".join(sorted(measure.tasks)) if len(measure.tasks) == 1 else ""
        raise FrescoError(
            f"the two runs have no {what + ' ' if what else ''}query in common: compare runs over the same benchmark"
        )
    return _table(rows)


def groups(
    comparisons: pd.DataFrame, per_query: pd.DataFrame, metric: str = PRIMARY, *, unit: str = "subject"
) -> pd.DataFrame:
    """Letters for the groups that cannot be told apart.

    Args:
        comparisons: What :func:`compare_all` gave for the metric.
        per_query: What it was given.
        metric: The metric.
        unit: As in :func:`compare`.

    Returns:
        ``metric``, ``task``, ``kind``, ``reranker``, ``value``, ``letters``, best first in each scope. Two re-rankers
        of a scope share a letter if and only if their ``p_holm`` is at least 0.05; a scope with fewer than
        :data:`~fresco.metrics.catalog.FEWEST_SUBJECTS` has no letters.
    """
    measure, rows = parse_measure(metric), []
    for task, kind in _scopes(measure):
        scope = select(per_query, task, kind)
        means = pd.Series(
            {name: mean_of(own, measure) for name, own in scope.groupby("reranker", sort=False)}, dtype=float
        )
        means = means.sort_values(ascending=measure.lower_is_better, kind="stable", na_position="last")
        own = comparisons[(comparisons["task"] == task) & (comparisons["kind"] == kind)]
        apart = own[own["p_holm"] < ALPHA]
        names = [str(name) for name in means.index]
        display = dict.fromkeys(names, "")
        if scope[unit].nunique() >= FEWEST_SUBJECTS:
            display = letters(names, list(zip(apart["a"], apart["b"], strict=True)))
        rows += [
            {"metric": metric, "task": task, "kind": kind, "reranker": name, "value": value, "letters": display[name]}
            for name, value in zip(display, means.tolist(), strict=True)
        ]
    return rounded_frame(pd.DataFrame(rows, columns=["metric", "task", "kind", "reranker", "value", "letters"]))


def _scopes(measure: Measure) -> list[tuple[str, str]]:
    return [(task, kind) for task, kind in SCOPES if task in measure.tasks]


def _rows(
    pairs: Sequence[_Paired],
    subjects: Sequence[str],
    metric: str,
    task: str,
    kind: str,
    *,
    seed: int,
    resamples: int,
) -> list[dict[str, object]]:
    if not pairs:
        return []
    difference = np.stack([pair.value_b - pair.value_a for pair in pairs], axis=1)
    both = ~np.isnan(difference)
    bootstrap = SubjectBootstrap(subjects, resamples=resamples, seed=seed)
    counted = np.where(both, difference, 0.0)
    estimate = bootstrap.ratio(counted, both.astype(np.float64))
    p = randomization_test(bootstrap.sums(counted), seed=seed)
    # A pair without any difference (a baseline against itself) is no comparison, and must not cost the others power.
    differs = (counted != 0).any(axis=0)
    corrected = np.ones(len(p))
    corrected[differs] = holm(p[differs])
    units = (bootstrap.sums(both.astype(np.float64)) > 0).sum(axis=0)
    rows: list[dict[str, object]] = []
    for column, pair in enumerate(pairs):
        seen = both[:, column]
        means = [float(value[seen].mean()) if seen.any() else float("nan") for value in (pair.value_a, pair.value_b)]
        numbers = (estimate.value, estimate.low, estimate.high, p, corrected)
        cells = (metric, task, kind, pair.a, pair.b, *means, *(float(array[column]) for array in numbers))
        rows.append(dict(zip(COLUMNS, (*cells, int(seen.sum()), int(units[column])), strict=True)))
    return rows


def _table(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    return rounded_frame(pd.DataFrame(rows, columns=list(COLUMNS)))


def _by_reranker(per_query: pd.DataFrame, metric: str, unit: str) -> pd.DataFrame:
    """Values of the metric, a row for each (query, unit), a column for each re-ranker, in order of appearance."""
    frames = {
        name: own.set_index(["query_id", unit])[metric] for name, own in per_query.groupby("reranker", sort=False)
    }
    return pd.DataFrame(frames)


def _units(values: pd.DataFrame) -> list[str]:
    return [str(unit) for _, unit in values.index]


def _comparable(metric: str, *frames: pd.DataFrame) -> Measure:
    """The measure of that notation, if every frame has its values."""
    held = [[own.name for own in measures_among(list(frame.columns))] for frame in frames]
    choice = f"choose one of {', '.join(name for name in held[0] if all(name in own for own in held))}"
    try:
        measure = parse_measure(metric)
    except FrescoError as error:
        raise FrescoError(f"cannot compare by {metric!r}: {choice} ({error})") from error
    if not measure.per_query:
        raise FrescoError(f"cannot compare by {metric!r}: no single query has a value of it; {choice}")
    if any(measure.name not in frame.columns for frame in frames):
        raise FrescoError(
            f"cannot compare by {metric!r}: the results do not hold it; score with --measure {metric}, or {choice}"
        )
    return measure
