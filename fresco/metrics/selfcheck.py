"""Invariants that every result must satisfy, checked every time.

A published table can be impossible: with one positive for each query, nDCG@10 below MRR@10, or Hit@1 under 3 % beside
Hit@5 of 99 % and a high MRR. Such a result is the fault of the program, never of the user's input, so a violation is
an :class:`InvariantError` and not a :class:`~fresco.errors.FrescoError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from fresco.metrics.catalog import ALL, PER_QUERY, RANKING
from fresco.records import Label
from fresco.stats.arrays import BoolArray

_TOLERANCE: Final = 1e-9
#: Pairs (smaller, larger) that hold for any pool, and for any mean over pools.
_ALWAYS: Final = (
    *(("Hit@1", "Hit@5"), ("Hit@5", "Hit@10"), ("MRR@5", "MRR@10")),
    *(("Hit@1", "MRR@5"), ("MRR@5", "Hit@5"), ("MRR@10", "Hit@10")),
)
#: Pairs that hold where a pool has one positive: with its rank r, 1 / r <= 1 / log2(1 + r) <= 1.
_ONE_POSITIVE: Final = (
    *(("MRR@5", "nDCG@5"), ("MRR@10", "nDCG@10"), ("nDCG@5", "nDCG@10")),
    *(("nDCG@5", "Hit@5"), ("nDCG@10", "Hit@10"), ("MRR@10", "MAP")),
)


class InvariantError(Exception):
    """A result that cannot be: a defect of this program. The message names the query (or the mean) and the metric."""


def check_per_query(per_query: pd.DataFrame) -> None:
    """Check the values of each query.

    Args:
        per_query: ``Evaluation.per_query``.

    Raises:
        InvariantError: naming the re-ranker, the query and the metric.
    """
    where = [
        f"re-ranker {name!r}, query {query!r}"
        for name, query in zip(per_query["reranker"], per_query["query_id"], strict=True)
    ]
    one = (per_query["n_positive"] == 1).to_numpy(np.bool_)
    _check_values(per_query, one, where)
    labels = per_query[[count_column(label) for label in Label]].sum(axis=1)
    _refuse(labels != per_query["n_passages"], where, "n_passages", "the labels do not add up to the passages")
    _refuse(per_query["stale@1"] + per_query["Hit@1"] > 1 + _TOLERANCE, where, "stale@1", "exceeds 1 - Hit@1")
    # With one positive and a certain order, average precision and reciprocal rank are the same number.
    certain = one & ~per_query["ties_matter"].to_numpy(np.bool_)
    _refuse(certain & ((per_query["MAP"] * per_query["rank"] - 1).abs() > _TOLERANCE), where, "MAP", "is not 1 / rank")
    ek = (per_query["task"] == "EK").to_numpy(np.bool_)
    undefined = per_query["ObsoleteRatio"].isna().to_numpy(np.bool_)
    on_top = (per_query["Hit@1"] == 1).to_numpy(np.bool_)
    _refuse(undefined != (on_top | ~ek), where, "ObsoleteRatio", "must be defined where a negative can be on top")


def check_rows(rows: Sequence[Mapping[str, Any]], *, one_positive: bool) -> None:
    """Check means over queries, such as the rows that ``--json`` prints or a published table.

    Args:
        rows: With ``reranker``, ``task``, ``kind``, ``metric``, ``value``, ``n``.
        one_positive: Whether every pool behind them has exactly one positive.

    Raises:
        InvariantError: naming the re-ranker, the task, the kind and the metric.
    """
    table: dict[tuple[str, str, str], dict[str, float]] = {}
    counts: dict[tuple[str, str, str, str], int] = {}
    for row in rows:
        scope = (row["reranker"], row["task"], row["kind"])
        table.setdefault(scope, {})[row["metric"]] = np.nan if row["value"] is None else row["value"]
        counts[(*scope, row["metric"])] = row["n"]
    if not table:
        return
    frame = pd.DataFrame(list(table.values())).reindex(columns=list(PER_QUERY))
    where = [f"re-ranker {name!r}, {task}/{kind}" for name, task, kind in table]
    _check_values(frame, np.full(len(frame), one_positive), where)
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


def count_column(label: Label) -> str:
    """Name of the per-query column that counts the passages with a label."""
    return f"n_{label.value.replace('-', '_')}"


def _check_values(frame: pd.DataFrame, one_positive: BoolArray, where: Sequence[str]) -> None:
    for metric in PER_QUERY:
        outside = (frame[metric] < 0) | (frame[metric] > 1 + _TOLERANCE)
        _refuse(outside, where, metric, "lies outside [0, 1]")
    for metric in RANKING:
        # Ranking metrics are defined for every pool; a table of means may lack some of them altogether.
        if frame[metric].notna().any():
            _refuse(frame[metric].isna(), where, metric, "is undefined")
    for smaller, larger in _ALWAYS:
        _refuse(frame[smaller] > frame[larger] + _TOLERANCE, where, larger, f"is below {smaller}")
    for smaller, larger in _ONE_POSITIVE:
        below = one_positive & (frame[smaller] > frame[larger] + _TOLERANCE)
        _refuse(below, where, larger, f"is below {smaller}, with one positive")
    # A single positive below rank 10 adds at most 1 / 11 to average precision.
    rest = frame["MAP"] - frame["MRR@10"] > (1 - frame["Hit@10"]) / 11 + _TOLERANCE
    _refuse(one_positive & rest, where, "MAP", "is not the mean reciprocal rank, with one positive")


def _refuse(violated: pd.Series[bool] | BoolArray, where: Sequence[str], metric: str, what: str) -> None:
    positions = np.flatnonzero(np.asarray(violated, np.bool_))
    if len(positions):
        raise InvariantError(f"{where[positions[0]]}: {metric} {what}; please report this")
