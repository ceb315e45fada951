"""Means over queries, with intervals, for every scope of the report."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fresco.metrics.catalog import ALL, METRICS, SCOPES, metrics_of
from fresco.stats.arrays import BoolArray, FloatArray
from fresco.stats.intervals import SubjectBootstrap

# Digits kept in reported numbers: far below any error of measurement, and above what the order of addition changes.
_DIGITS = 12


def select(per_query: pd.DataFrame, task: str, kind: str) -> pd.DataFrame:
    """The rows of one scope; kind ``all`` takes every query of the task."""
    chosen = per_query[per_query["task"] == task]
    return chosen if kind == ALL else chosen[chosen["kind"] == kind]


def mean_of(frame: pd.DataFrame, metric: str) -> float:
    """The metric over the queries of a frame; NaN where undefined."""
    numerator, denominator = (part.sum() for part in _parts(frame, metric))
    return float(numerator / denominator) if denominator else float("nan")


def mean_rows(per_query: pd.DataFrame, *, seed: int = 0, resamples: int = 1000) -> list[dict[str, Any]]:
    """Every metric of every re-ranker in every scope that has queries.

    Args:
        per_query: ``Evaluation.per_query``; every re-ranker holds the same queries in the same order.
        seed: Of the bootstrap over subjects. The draws of a scope are shared by its re-rankers and metrics.
        resamples: Of the bootstrap.

    Returns:
        Mappings with ``reranker``, ``task``, ``kind``, ``metric``, ``value``, ``ci_low``, ``ci_high``, ``n``.
    """
    rows: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    names = list(dict.fromkeys(per_query["reranker"]))
    for task, kind in SCOPES:
        scope = select(per_query, task, kind)
        if scope.empty:
            continue
        own = {name: scope[scope["reranker"] == name] for name in names}
        keys = [(name, task, kind, metric) for name in names for metric in metrics_of(task)]
        parts = [_parts(own[name], metric) for name, *_, metric in keys]
        bootstrap = SubjectBootstrap(own[names[0]]["subject"].tolist(), resamples=resamples, seed=seed)
        estimate = bootstrap.ratio(*(np.stack(part, axis=1) for part in zip(*parts, strict=True)))
        for column, key in enumerate(keys):
            numbers = (estimate.value[column], estimate.low[column], estimate.high[column])
            value, low, high = (rounded(number) for number in numbers)
            labels = dict(zip(("reranker", "task", "kind", "metric"), key, strict=True))
            n = int(_defined(own[key[0]], key[3]).sum())
            rows[key] = {**labels, "value": value, "ci_low": low, "ci_high": high, "n": n}
    order = [(name, task, kind, metric) for name in names for task, kind in SCOPES for metric in METRICS]
    return [rows[key] for key in order if key in rows]


def rounded(value: float) -> float | None:
    """A number at the precision that is reported; None for NaN and infinity."""
    return round(float(value), _DIGITS) if np.isfinite(value) else None


def rounded_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame with its numbers at the precision that is reported."""
    return frame.round(_DIGITS)


def _parts(frame: pd.DataFrame, metric: str) -> tuple[FloatArray, FloatArray]:
    """Numerator and denominator, query by query, of which the metric is the ratio of sums."""
    defined = _defined(frame, metric)
    if metric in ("ObsoleteRatio", "ObsoleteBase", "ObsoleteLift"):
        # Under ties these are given that a negative is on top: the probability of that is how much a query counts.
        weight = np.where(defined, 1 - frame["Hit@1"].to_numpy(np.float64), 0.0)
        ratio, base = (
            weight * frame[name].fillna(0).to_numpy(np.float64) for name in ("ObsoleteRatio", "ObsoleteBase")
        )
        if metric == "ObsoleteLift":
            return ratio, base
        return (ratio if metric == "ObsoleteRatio" else base), weight
    return frame[metric].fillna(0).to_numpy(np.float64), defined.astype(np.float64)


def _defined(frame: pd.DataFrame, metric: str) -> BoolArray:
    return frame["ObsoleteRatio" if metric == "ObsoleteLift" else metric].notna().to_numpy(np.bool_)
