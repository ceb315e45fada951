"""Invariants that every result must satisfy, checked every time.

A published table can be impossible: with one positive for each query, nDCG@10 below MRR@10, or Hit@1 under 3 % beside
Hit@5 of 99 % and a high MRR. Such a result is the fault of the program, never of the user's input, so a violation is
an :class:`InvariantError` and not a :class:`~fresco.errors.FrescoError`, unless the measure is a plug-in's. What must
hold stands with each measure: its bounds and :meth:`fresco.metrics.measures.Measure.invariants`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fresco.errors import FrescoError
from fresco.metrics.catalog import ALL
from fresco.metrics.measures import Measure, Values, measures_among
from fresco.metrics.measures.base import TOLERANCE, running
from fresco.records import Label, Task
from fresco.stats.arrays import BoolArray

#: The per-query column that counts what a first stage missed; absent where positives are candidates anyway.
MISSED = "n_missed"


class InvariantError(Exception):
    """A result that cannot be: a defect of this program. The message names the query (or the mean) and the metric."""


def check_per_query(per_query: pd.DataFrame, measures: Sequence[Measure] | None = None) -> None:
    """Check the values of each query.

    Args:
        per_query: ``Evaluation.per_query``.
        measures: What was computed; by default every measure whose notation is a column.

    Raises:
        InvariantError: naming the re-ranker, the query and the measure.
        FrescoError: likewise, where the measure is a plug-in's.
    """
    where = [
        f"re-ranker {name!r}, query {query!r}"
        for name, query in zip(per_query["reranker"], per_query["query_id"], strict=True)
    ]
    one = one_positive(per_query)
    own = measures_among(list(per_query.columns)) if measures is None else measures
    _check_values(Values(per_query, [each for each in own if each.per_query], one, per_query=True), where)
    labels = per_query[[count_column(label) for label in Label]].sum(axis=1)
    _refuse(labels != per_query["n_passages"], where, "n_passages", "the labels do not add up to the passages")


def check_rows(
    rows: Sequence[Mapping[str, Any]], *, one_positive: bool, measures: Sequence[Measure] | None = None
) -> None:
    """Check means over queries, such as the rows that ``--json`` prints or a published table.

    Args:
        rows: With ``reranker``, ``task``, ``kind``, ``metric``, ``value``, ``n``.
        one_positive: Whether every pool behind them has exactly one positive.
        measures: What was computed; by default every measure whose notation is a row's ``metric``.

    Raises:
        InvariantError: naming the re-ranker, the task, the kind and the measure.
        FrescoError: likewise, where the measure is a plug-in's.
    """
    table: dict[tuple[str, str, str], dict[str, float]] = {}
    counts: dict[tuple[str, str, str, str], int] = {}
    for row in rows:
        scope = (row["reranker"], row["task"], row["kind"])
        table.setdefault(scope, {})[row["metric"]] = np.nan if row["value"] is None else row["value"]
        counts[(*scope, row["metric"])] = row["n"]
    if not table:
        return
    frame = pd.DataFrame(list(table.values()))
    where = [f"re-ranker {name!r}, {task}/{kind}" for name, task, kind in table]
    own = measures_among(list(frame.columns)) if measures is None else measures
    _check_values(Values(frame, own, np.full(len(frame), one_positive), per_query=False), where)
    totals: dict[tuple[str, str, str], int] = {}
    for (name, task, kind, metric), n in counts.items():
        if kind != ALL:
            totals[name, task, metric] = totals.get((name, task, metric), 0) + n
    for (name, task, metric), n in totals.items():
        total = counts.get((name, task, ALL, metric))
        if total is not None and total != n:
            raise InvariantError(
                f"re-ranker {name!r}, {task}: {metric} counts {n} queries by kind, {total} in all; please report this"
            )


def one_positive(per_query: pd.DataFrame) -> BoolArray:
    """Which queries have exactly one relevant passage, and have it among their candidates; shape (rows,)."""
    return ((per_query["n_positive"] == 1) & (per_query.get(MISSED, 0) == 0)).to_numpy(np.bool_)


def count_column(label: Label) -> str:
    """Name of the per-query column that counts the passages with a label."""
    return f"n_{label.value.replace('-', '_')}"


def _check_values(values: Values, where: Sequence[str]) -> None:
    for measure in values.measures:
        own = values.of(measure)
        low, high = measure.bounds
        outside = (own < low) | (own > high + TOLERANCE)
        _refuse(outside, where, measure, f"lies outside [{low:g}, {high:g}]")
        # A table of means may lack some measures altogether.
        if measure.defined_everywhere and measure.tasks == frozenset(Task) and not np.isnan(own).all():
            _refuse(np.isnan(own), where, measure, "is undefined")
    for measure in values.measures:
        with running(measure, "its invariants"):
            violations = list(measure.invariants(values))
        for violated, what in violations:
            _refuse(violated, where, measure, what)


def _refuse(violated: pd.Series[bool] | BoolArray, where: Sequence[str], metric: Measure | str, what: str) -> None:
    positions = np.flatnonzero(np.asarray(violated, np.bool_))
    if not len(positions):
        return
    said = f"{where[positions[0]]}: {metric} {what}"
    if isinstance(metric, Measure) and not type(metric).__module__.startswith("fresco."):
        raise FrescoError(f"{said}; mend the measure")
    raise InvariantError(f"{said}; please report this")
