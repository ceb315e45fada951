"""The card of a tuning: every cure on data that chose nothing, beside what dates alone are worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fresco.metrics.aggregate import rounded
from fresco.metrics.measures.stale import Stale
from fresco.metrics.ties import Tiers
from fresco.optimizer.report.proof import Split, gains_without_loss
from fresco.optimizer.search.objective import precisions
from fresco.records import Pool, Task
from fresco.stats.arrays import FloatArray
from fresco.stats.intervals import SubjectBootstrap
from fresco.terminal.figures import interval

BASE = "base"
#: Columns of the table: title, key of a row.
COLUMNS = (
    ("EK MAP", "EK"),
    ("EK gain", "EK gain"),
    ("NEK MAP", "NEK"),
    ("NEK gain", "NEK gain"),
    ("stale@1", "stale@1"),
    ("newer on top, EK", "newer EK"),
    ("newer on top, NEK", "newer NEK"),
)


def rows_of(
    pools: Sequence[Pool], scores: Mapping[str, Sequence[FloatArray]], *, seed: int, resamples: int
) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """The figures of each row on one split, and the rows on the front.

    Args:
        pools: Of the split.
        scores: Name of the row to an array for each pool; :data:`BASE` is among them.
        seed: Of the resampling.
        resamples: How many.
    """
    split = Split(pools, {name: precisions(pools, own) for name, own in scores.items()}, BASE, seed, resamples)
    rows: dict[str, dict[str, Any]] = split.rows()
    for name, own in scores.items():
        rows[name]["stale@1"] = _mean(pools, _stale(pools, own), Task.EK, seed, resamples)
        newer = np.array([_newer_on_top(pool, each) for pool, each in zip(pools, own, strict=True)])
        for task in Task:
            rows[name][f"newer {task}"] = _mean(pools, newer, task, seed, resamples)
    return rows, split.front(list(scores))


def verdict(rows: Mapping[str, Mapping[str, Any]], cures: Sequence[str]) -> str:
    """Whether a cure beats the base, in one sentence."""
    good = gains_without_loss(rows, cures)
    if not good:
        return (
            "No cure beats the base on test: none gains EK MAP (95 % interval above zero) without a loss of NEK MAP "
            "that the interval can see."
        )
    return (
        f"On test {', '.join(good)} gain{'s' if len(good) == 1 else ''} EK MAP over the base (95 % interval above "
        "zero) without a loss of NEK MAP that the interval can see."
    )


def card(content: Mapping[str, Any], milliseconds: Mapping[str, float]) -> str:
    """The card as Markdown."""
    rows = content["test"]
    lines = [f"# Cures of {content['reranker']} on {content['benchmark']}", "", content["verdict"], ""]
    lines += [
        f"Test split, {content['queries']['test']} queries; value [95 % interval over subjects]; gains are paired with "
        "the base's, query by query. Parameters were chosen on validation.",
        "`newer on top`: how often the newer of two passages of a pool scores higher; `newest`, which only sorts by "
        "date, has 1. ms: what a query costs the base and each model, and what a prior adds to it.",
        "",
        "| row | " + " | ".join(title for title, _ in COLUMNS) + " | ms a query | on the front |",
        "|---" * (len(COLUMNS) + 3) + "|",
    ]
    for name, row in rows.items():
        cells = [interval(row.get(key)) for _, key in COLUMNS]
        cost = f"{milliseconds[name]:.2f}" if name in milliseconds else "-"
        front = "yes" if name in content["front"] else ""
        lines.append(f"| `{name}` | " + " | ".join(cells) + f" | {cost} | {front} |")
    lines += ["", "| prior | chosen on validation | 95 % interval of the choice |", "|---|---|---|"]
    for each in content["cures"]:
        chosen = "none: the base's own order is best" if each["neutral"] else f"{each['parameter']} {each['value']}"
        lines.append(f"| `{each['name']}` | {chosen} | {each['ci_low']} to {each['ci_high']} |")
    lines += _models(content["models"])
    lines += [f"- `{name}`: {text}" for name, text in content["instructions"].items()]
    if content["gate"]:
        lines += ["", "The gate tells questions for the present from others right in:", ""]
        for part, own in content["gate"].items():
            shares = ", ".join(f"{task} {_share(row)}" for task, row in own.items())
            lines.append(f"- {part}: {shares}")
    lines += [
        "",
        f"`recency.json` holds `{content['exported']}`.",
        *(f"Warning: {each}." for each in content["warnings"]),
    ]
    return "\n".join(lines) + "\n"


def _models(models: Sequence[Mapping[str, Any]]) -> list[str]:
    if not models:
        return []
    one = models[0]
    dates = ", ".join(one["plan"]["dates"])
    lines = [
        "",
        f"Models in `models/`, each a folder for `CrossEncoder`: trained on {one['queries']} queries of the train "
        f"split, {one['pairs an epoch']} pairs an epoch with dates {dates}; the chosen step is the one of the largest "
        "area under EK and NEK on validation.",
        "",
        "| model | loss | seed | steps | chosen step |",
        "|---|---|---|---|---|",
    ]
    return lines + [
        f"| `{each['name']}` | {each['loss']} | {each['seed']} | {each['steps']} | {each['best step']} |"
        for each in models
    ]


def _share(row: Mapping[str, Any]) -> str:
    return "-" if row["value"] is None else f"{row['value']:.3f} of {row['n']}"


def _stale(pools: Sequence[Pool], scores: Sequence[FloatArray]) -> FloatArray:
    measure = Stale()
    return np.array([float(measure.expectation(Tiers.of(pool, own))) for pool, own in zip(pools, scores, strict=True)])


def _newer_on_top(pool: Pool, scores: FloatArray) -> float:
    """Of the pairs of passages with different dates the share whose newer one scores higher; half where equal."""
    when = np.array([passage.timestamp.timestamp() for passage in pool.passages])
    newer = when[:, None] > when[None, :]
    return float(((np.sign(scores[:, None] - scores[None, :]) + 1) / 2)[newer].mean()) if newer.any() else 0.5


def _mean(pools: Sequence[Pool], values: FloatArray, task: Task, seed: int, resamples: int) -> dict[str, Any]:
    own = np.array([pool.query.task is task for pool in pools])
    subjects = [pool.query.subject for pool, keep in zip(pools, own, strict=True) if keep]
    column = values[own][:, None]
    estimate = SubjectBootstrap(subjects, resamples=resamples, seed=seed).share(column, np.ones_like(column))
    ends = {"value": estimate.value[0], "ci_low": estimate.low[0], "ci_high": estimate.high[0]}
    return {**{key: rounded(number) for key, number in ends.items()}, "n": len(subjects)}
