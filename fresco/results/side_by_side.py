"""Runs side by side: one table of all their re-rankers over the queries that they share, with letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from fresco.errors import FrescoError
from fresco.metrics.aggregate import mean_rows
from fresco.metrics.catalog import HEADLINES, PRIMARY
from fresco.metrics.compare import compare_all, groups
from fresco.metrics.measures import Measure, parse_measure
from fresco.results.result import Result


@dataclass(frozen=True)
class SideBySide:
    """Some runs on one benchmark.

    Attributes:
        names: Of the re-rankers, in the order of the runs; one name in several runs has its run behind it, unless its
            values are the same in all of them, as those of a baseline.
        queries: How many all runs share.
        rows: As ``Evaluation.rows``.
        pairs: Every pair by the metric; see :data:`fresco.metrics.compare.COLUMNS`.
        groups: Letters by every measure shown.
        origins: For each of the names the place of its run, and what it is called there.
    """

    names: list[str]
    queries: int
    rows: list[dict[str, Any]]
    pairs: pd.DataFrame
    groups: pd.DataFrame
    origins: dict[str, tuple[int, str]]


def side_by_side(
    results: Sequence[Result],
    metric: str = PRIMARY,
    *,
    unit: str = "subject",
    seed: int = 0,
    resamples: int = 1000,
) -> SideBySide:
    """Set runs side by side.

    Args:
        results: At least one run.
        metric: Of the pairs.
        unit: What is drawn and flipped as one: ``subject``, or the coarser ``relation``.
        seed: Of resampling and of sign flips.
        resamples: Of the bootstrap.

    Raises:
        FrescoError: they were scored on different content, or share no query; an unknown metric.
    """
    for other in results[1:]:
        results[0].check_same_content(other)
    joined, origins = _joined(results)
    names = list(dict.fromkeys(joined["reranker"]))
    shown = [own for own in map(parse_measure, dict.fromkeys((PRIMARY, *HEADLINES, metric))) if _holds(joined, own)]
    pairs = {
        own.name: compare_all(joined, own.name, unit=unit, seed=seed, resamples=resamples)
        for own in shown
        if own.per_query
    }
    asked = parse_measure(metric).name
    if asked not in pairs:
        pairs[asked] = compare_all(joined, metric, unit=unit, seed=seed, resamples=resamples)  # says why it cannot
    return SideBySide(
        names=names,
        queries=joined["query_id"].nunique(),
        rows=mean_rows(joined, shown, unit=unit, seed=seed, resamples=resamples),
        pairs=pairs[asked],
        groups=pd.concat([groups(own, joined, name, unit=unit) for name, own in pairs.items()], ignore_index=True),
        origins=origins,
    )


def _holds(frame: pd.DataFrame, measure: Measure) -> bool:
    wanted = [measure, *measure.needs()]
    return all(own.name in frame for own in wanted if own.per_query)


def _joined(results: Sequence[Result]) -> tuple[pd.DataFrame, dict[str, tuple[int, str]]]:
    """The values of all runs over the queries that they share, in the first run's order, each name once."""
    frames = [result.evaluation.per_query for result in results]
    order = list(dict.fromkeys(frames[0]["query_id"]))
    shared = set(order).intersection(*(frame["query_id"] for frame in frames[1:]))
    if not shared:
        raise FrescoError("the runs have no query in common: compare runs over the same benchmark")
    place = {query: number for number, query in enumerate(each for each in order if each in shared)}
    found: dict[str, pd.DataFrame] = {}
    origins: dict[str, tuple[int, str]] = {}
    for run, (result, frame) in enumerate(zip(results, frames, strict=True)):
        for name, rows in frame[frame["query_id"].isin(shared)].groupby("reranker", sort=False):
            own = rows.iloc[rows["query_id"].map(place).argsort(kind="stable")].reset_index(drop=True)
            known = found.get(str(name))
            if known is not None and known.drop(columns="reranker").equals(own.drop(columns="reranker")):
                continue
            label = str(name) if known is None else f"{name} ({result.folder.name if result.folder else run + 1})"
            label = label if label not in found else f"{label} {run + 1}"
            found[label] = own.assign(reranker=label)
            origins[label] = (run, str(name))
    return pd.concat(found.values(), ignore_index=True), origins
