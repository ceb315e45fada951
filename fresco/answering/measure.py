"""What readers made of what re-rankers gave them: shares of current and of former answers, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fresco.answering.values import Named
from fresco.metrics.aggregate import rounded
from fresco.records import Pool, Task
from fresco.stats.arrays import FloatArray
from fresco.stats.intervals import SubjectBootstrap
from fresco.terminal.figures import interval

#: Column of the table, task, key of the row.
COLUMNS = (
    ("current answer, EK", "EK current"),
    ("stale answer, EK", "EK stale"),
    ("both", "EK both"),
    ("neither", "EK neither"),
    ("current likelier", "EK likelier"),
    ("right answer, NEK", "NEK current"),
    ("outdated on top (stale@1)", "stale@1"),
    ("outdated in the top k", "outdated shown"),
)


def shares(
    pools: Sequence[Pool],
    named: Sequence[Named],
    further: Mapping[str, Sequence[float | None]],
    *,
    seed: int,
    resamples: int,
) -> dict[str, dict[str, Any]]:
    """The figures of one row.

    Args:
        pools: That were answered.
        named: Which values each answer names.
        further: Values from 0 to 1 of the EK queries, None where there is none.
        seed: Of the resampling.
        resamples: How many.
    """
    columns: dict[str, list[float | None]] = {}
    for task, kinds in ((Task.EK, list(Named)), (Task.NEK, [Named.CURRENT])):
        for kind in kinds:
            columns[f"{task} {kind}"] = [
                float(each is kind) if pool.query.task is task else None
                for pool, each in zip(pools, named, strict=True)
            ]
    columns |= {
        name: [value if pool.query.task is Task.EK else None for pool, value in zip(pools, values, strict=True)]
        for name, values in further.items()
    }
    bootstrap = SubjectBootstrap([pool.query.subject for pool in pools], resamples=resamples, seed=seed)
    counted = _matrix(columns, lambda value: float(value is not None))
    estimate = bootstrap.share(_matrix(columns, lambda value: value or 0.0), counted)
    return {
        name: {
            "value": rounded(estimate.value[place]),
            "ci_low": rounded(estimate.low[place]),
            "ci_high": rounded(estimate.high[place]),
            "n": int(counted[:, place].sum()),
        }
        for place, name in enumerate(columns)
        if counted[:, place].any()
    }


def _matrix(columns: Mapping[str, Sequence[float | None]], read: Any) -> FloatArray:
    return np.array([[read(value) for value in column] for column in columns.values()]).T


def table(content: Mapping[str, Any]) -> str:
    """The rows as Markdown, with what they say."""
    shown = [(title, key) for title, key in COLUMNS if any(key in row for row in content["rows"].values())]
    lines = [
        f"# What {content['reader']} answers from the top {content['top_k']} on {content['benchmark']}",
        "",
        f"{content['queries']['EK']} EK and {content['queries']['NEK']} NEK queries; value [95 % interval over "
        "subjects]. An answer is stale where it names a former value and not the current one. Controls: "
        "`(no passages)` is what the reader says by itself, `(positives only)` what it says where nothing outdated is "
        "shown.",
        "",
        "| re-ranker | " + " | ".join(title for title, _ in shown) + " |",
        "|---" * (len(shown) + 1) + "|",
    ]
    lines += [
        f"| `{name}` | " + " | ".join(interval(row.get(key)) for _, key in shown) + " |"
        for name, row in content["rows"].items()
    ]
    return "\n".join(lines) + "\n"
