"""One corpus, several editions: does a re-ranker keep its rank, on questions newer than its training too?

An edition has questions of its own, so runs over two of them share none and cannot be compared query by query. What can
be compared is the order of the re-rankers that all of them scored. A rank has an interval: that of resampled subjects.
Two ranks whose intervals lie apart have drifted; where they overlap, questions of chance explain the change.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from fresco.errors import FrescoError
from fresco.metrics.aggregate import mean_rows, select
from fresco.metrics.catalog import ALL, FEWEST_SUBJECTS, PRIMARY
from fresco.metrics.measures import Measure, parse_measure
from fresco.records import Task
from fresco.results.result import Result
from fresco.stats.arrays import FloatArray
from fresco.stats.intervals import SubjectBootstrap, divide, percentile_interval


@dataclass(frozen=True)
class Drift:
    """The re-rankers that all editions share, edition by edition.

    Attributes:
        editions: Names, in the order of the runs.
        queries: EK queries of each.
        units: Subjects (or relations) of each.
        rows: One for each re-ranker and edition: ``reranker``, ``edition``, ``value`` with ``ci_low`` and ``ci_high``,
            ``rank`` (1 is the best; ties share the mean) with ``rank_low`` and ``rank_high``, and ``drifted``: whether
            the rank lies outside the first edition's, and its interval apart from that one's; None where units are too
            few for a verdict.
        tau: Kendall's tau-b between the orders of each edition and the one before; NaN where all are tied.
    """

    editions: list[str]
    queries: list[int]
    units: list[int]
    rows: list[dict[str, Any]]
    tau: list[float]


def drift(
    results: Sequence[Result],
    metric: str = PRIMARY,
    *,
    only: Sequence[Collection[str]] | None = None,
    unit: str = "subject",
    seed: int = 0,
    resamples: int = 1000,
) -> Drift:
    """Rank the re-rankers of each edition over its EK queries.

    Args:
        results: A run over each edition, in their order; at least two.
        metric: What they are ranked by; one that each query has a value for.
        only: For each edition the ids of the queries to look at; None: all.
        unit: What is drawn as one: ``subject``, or the coarser ``relation``.
        seed: Of the resampling.
        resamples: Of the bootstrap.

    Raises:
        FrescoError: fewer than two runs or shared re-rankers, an unknown metric, or an edition without such queries.
    """
    from scipy.stats import kendalltau

    measure = parse_measure(metric)
    if len(results) < 2:
        raise FrescoError("--editions: give the runs of two editions at least, the earliest first")
    shared = set.intersection(*(set(result.rerankers) for result in results))
    names = [name for name in results[0].rerankers if name in shared]
    if len(names) < 2:
        raise FrescoError(f"the editions share {len(names)} re-rankers: score the same ones on each")
    editions = [_name(result, number) for number, result in enumerate(results)]
    rows: list[dict[str, Any]] = []
    queries, units, ranks = [], [], list[FloatArray]()
    for number, (edition, result) in enumerate(zip(editions, results, strict=True)):
        frame = select(result.per_query(), str(Task.EK), ALL)
        frame = frame[frame["reranker"].isin(names)]
        if only is not None:
            frame = frame[frame["query_id"].isin(only[number])]
        if frame.empty:
            raise FrescoError(f"{edition}: has no EK query that is looked at")
        if measure.name not in frame:
            raise FrescoError(
                f"{edition}: has no value of {measure.name} for each query; score with --measure {metric}"
            )
        own, low, high = _ranks(frame, names, measure, unit, seed, resamples)
        ranks.append(own)
        queries.append(frame["query_id"].nunique())
        units.append(frame[unit].nunique())
        values = {
            row["reranker"]: row
            for row in mean_rows(frame, [measure], unit=unit, seed=seed, resamples=resamples)
            if (row["task"], row["kind"]) == (str(Task.EK), ALL)
        }
        for place, name in enumerate(names):
            row = {key: values[name][key] for key in ("reranker", "value", "ci_low", "ci_high")}
            rank = {"rank": own[place], "rank_low": low[place], "rank_high": high[place]}
            rows.append({**row, "edition": edition, **{key: float(value) for key, value in rank.items()}})
    _judge(rows, editions[0], enough=min(units) >= FEWEST_SUBJECTS)
    tau = [float(kendalltau(before, now).statistic) for before, now in pairwise(ranks)]
    return Drift(editions, queries, units, rows, tau)


def _ranks(
    frame: pd.DataFrame, names: Sequence[str], measure: Measure, unit: str, seed: int, resamples: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Ranks of the re-rankers with their intervals, each of shape (re-rankers,)."""
    own = [frame[frame["reranker"] == name] for name in names]
    parts = [measure.parts(each) for each in own]
    numerator, denominator = (np.stack([np.asarray(each[side], float) for each in parts], axis=1) for side in (0, 1))
    bootstrap = SubjectBootstrap(own[0][unit].astype(str).tolist(), resamples=resamples, seed=seed)
    drawn = divide(bootstrap.replicate(numerator), bootstrap.replicate(denominator))
    whole = divide(numerator.sum(axis=0), denominator.sum(axis=0))
    low, high = percentile_interval(_ranked(drawn, measure))
    return _ranked(whole[None, :], measure)[0], low, high


def _ranked(values: FloatArray, measure: Measure) -> FloatArray:
    from scipy.stats import rankdata

    found: FloatArray = rankdata(values if measure.lower_is_better else -values, axis=1)
    return found


def _judge(rows: list[dict[str, Any]], first: str, *, enough: bool) -> None:
    began = {row["reranker"]: row for row in rows if row["edition"] == first}
    for row in rows:
        before = began[row["reranker"]]
        apart = row["rank_low"] > before["rank_high"] or row["rank_high"] < before["rank_low"]
        row["drifted"] = bool(apart) if enough else None


def _name(result: Result, number: int) -> str:
    return result.folder.name if result.folder else f"edition {number + 1}"
