"""Means over queries, with intervals, for every scope of the report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fresco.metrics.catalog import ALL, SCOPES
from fresco.metrics.measures import Measure
from fresco.metrics.measures.base import running
from fresco.stats.arrays import FloatArray
from fresco.stats.intervals import Estimate, SubjectBootstrap

# Digits kept in reported numbers: far below any error of measurement, and above what the order of addition changes.
_DIGITS = 12


def select(per_query: pd.DataFrame, task: str, kind: str) -> pd.DataFrame:
    """The rows of one scope; kind ``all`` takes every query of the task."""
    chosen = per_query[per_query["task"] == task]
    return chosen if kind == ALL else chosen[chosen["kind"] == kind]


def mean_of(frame: pd.DataFrame, measure: Measure) -> float:
    """The measure over the queries of a frame; NaN where undefined."""
    numerator, denominator = (part.sum() for part in measure.parts(frame))
    return float(numerator / denominator) if denominator else float("nan")


def mean_rows(
    per_query: pd.DataFrame,
    measures: Sequence[Measure],
    *,
    unit: str = "subject",
    seed: int = 0,
    resamples: int = 1000,
) -> list[dict[str, Any]]:
    """Every measure of every re-ranker in every scope that has queries.

    Args:
        per_query: ``Evaluation.per_query``; every re-ranker holds the same queries in the same order.
        measures: Those of its columns, and ratios of their means, in the order wanted.
        unit: Column of what is drawn as one: ``subject``, or the coarser ``relation``.
        seed: Of the bootstrap. The draws of a scope are shared by its re-rankers and measures.
        resamples: Of the bootstrap.

    Returns:
        Mappings with ``reranker``, ``task``, ``kind``, ``metric``, ``value``, ``ci_low``, ``ci_high``, ``n``; where the
        measure is confined to a kind of conflict also ``conflict``.
    """
    rows: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    names = list(dict.fromkeys(per_query["reranker"]))
    for task, kind in SCOPES:
        scope = select(per_query, task, kind)
        if scope.empty:
            continue
        own = {name: scope[scope["reranker"] == name] for name in names}
        keys = [(name, measure) for name in names for measure in measures if task in measure.tasks]
        parts, counts = [], []
        for name, measure in keys:
            with running(measure, f"the mean over {task}/{kind}"):
                parts.append(measure.parts(own[name]))
                counts.append(int(measure.defined(own[name]).sum()))
        bootstrap = SubjectBootstrap(own[names[0]][unit].astype(str).tolist(), resamples=resamples, seed=seed)
        estimate = _estimate(bootstrap, [measure for _, measure in keys], *zip(*parts, strict=True))
        for column, (name, measure) in enumerate(keys):
            numbers = (estimate.value[column], estimate.low[column], estimate.high[column])
            value, low, high = (rounded(number) for number in numbers)
            labels = {"reranker": name, "task": task, "kind": kind, "metric": measure.name}
            if measure.conflict:
                labels["conflict"] = str(measure.conflict)
            rows[name, task, kind, measure.name] = {
                **labels,
                "value": value,
                "ci_low": low,
                "ci_high": high,
                "n": counts[column],
            }
    order = [(name, task, kind, measure.name) for name in names for task, kind in SCOPES for measure in measures]
    return [rows[key] for key in order if key in rows]


def _estimate(
    bootstrap: SubjectBootstrap,
    measures: Sequence[Measure],
    numerators: Sequence[FloatArray],
    denominators: Sequence[FloatArray],
) -> Estimate:
    """One column a measure: means between 0 and 1 are shares, skewed ones by layers, and the rest is resampled."""
    numerator, denominator = np.stack(numerators, axis=1), np.stack(denominators, axis=1)
    inside = ((numerator >= 0) & (numerator <= denominator)).all(axis=0)
    share = inside & np.array([measure.bounds == (0.0, 1.0) for measure in measures])
    skewed = share & np.array([measure.skewed for measure in measures])
    merged = np.empty((3, len(share)))
    for method, chosen in (
        (bootstrap.ratio, ~share),
        (bootstrap.share, share & ~skewed),
        (bootstrap.layered, skewed),
    ):
        found = method(numerator[:, chosen], denominator[:, chosen])
        merged[:, chosen] = found.value, found.low, found.high
    return Estimate(*merged)


def rounded(value: float) -> float | None:
    """A number at the precision that is reported; None for NaN and infinity."""
    return round(float(value), _DIGITS) if np.isfinite(value) else None


def rounded_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame with its numbers at the precision that is reported."""
    return frame.round(_DIGITS)
