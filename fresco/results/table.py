"""A run as one table on the console, with a few lines that say what it means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.table import Table

from fresco.metrics.catalog import HEADLINES, PRIMARY
from fresco.metrics.measures import parse_measure
from fresco.terminal.console import WIDE, literal
from fresco.terminal.figures import interval

#: Header, task, kind, measure.
_COLUMNS = (
    (f"EK explicit\n{PRIMARY}", "EK", "explicit", PRIMARY),
    (f"EK implicit\n{PRIMARY}", "EK", "implicit", PRIMARY),
    (f"NEK\n{PRIMARY}", "NEK", "all", PRIMARY),
    *((parse_measure(name).headline or f"EK\n{name}", "EK", "all", name) for name in HEADLINES),
)


Rows = Sequence[Mapping[str, Any]]


def find(rows: Rows, reranker: str, task: str, kind: str, metric: str) -> Mapping[str, Any] | None:
    """The row of one figure, or None where it is undefined or absent."""
    wanted = (reranker, task, kind, metric)
    for row in rows:
        if (row["reranker"], row["task"], row["kind"], row["metric"]) == wanted:
            return row if row["value"] is not None else None
    return None


def results_table(rows: Rows, rerankers: Sequence[str], groups: pd.DataFrame, title: str, width: int) -> Table:
    """One row a re-ranker.

    Args:
        rows: ``Evaluation.rows``.
        rerankers: In the order wanted.
        groups: ``Evaluation.groups``; its letters stand behind the values of its metric.
        title: Above the table.
        width: Of the console, in characters; a narrow one gets the values without their intervals.
    """
    return draw_cells(table_cells(rows, rerankers, groups, intervals=width >= WIDE), rerankers, title)


def draw_cells(cells: Cells, rerankers: Sequence[str], title: str) -> Table:
    """Cells as a table for the console; the title is markup."""
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold")
    longest = max(len(name) for name in rerankers)
    table.add_column("re-ranker", overflow="fold", min_width=min(longest, 30))
    for header in cells.headers:
        table.add_column(header, justify="right", no_wrap=True)
    for name, row in zip(rerankers, cells.rows, strict=True):
        table.add_row(literal(name), *(literal(f"{figure} {letters}".rstrip()) for figure, letters in row))
    return table


@dataclass(frozen=True)
class Cells:
    """What stands in the table, whatever it is drawn with.

    Attributes:
        headers: Of the columns after the re-ranker's name, two lines or more each: what, and the measure.
        rows: For each re-ranker a figure with its interval (``0.621 [.58 .66]``, or a dash) and its letters, by column.
    """

    headers: list[str]
    rows: list[list[tuple[str, str]]]


def table_cells(rows: Rows, rerankers: Sequence[str], groups: pd.DataFrame, *, intervals: bool = True) -> Cells:
    """The columns that the benchmark has queries for, and a row for each re-ranker; see :func:`results_table`."""
    columns = [column for column in _COLUMNS if any(_matches(row, column) for row in rows)]
    letters = {
        (row["reranker"], row["task"], row["kind"], row["metric"]): row["letters"] for row in groups.to_dict("records")
    }
    found = []
    for name in rerankers:
        own = []
        for _, task, kind, metric in columns:
            row = find(rows, name, task, kind, metric)
            figure = interval(row if row is None or intervals else {**row, "ci_low": None})
            own.append((figure, letters.get((name, task, kind, metric), "")))
        found.append(own)
    return Cells([header for header, *_ in columns], found)


def _matches(row: Mapping[str, Any], column: tuple[str, str, str, str]) -> bool:
    return (row["task"], row["kind"], row["metric"]) == column[1:]


def verdict(rows: Rows, reranker: str, bias: Mapping[str, Any] | None) -> list[str]:
    """What the figures say of one re-ranker, in plain words.

    Args:
        rows: ``Evaluation.rows``.
        reranker: Its name.
        bias: ``Evaluation.bias`` of this re-ranker.
    """
    stale = find(rows, reranker, "EK", "all", "stale@1")
    hit = find(rows, reranker, "EK", "all", "Hit@1")
    lines = []
    if stale and hit:
        lines.append(
            f"{reranker} puts the current passage on top for {_percent(hit)} of the questions whose answer changed, "
            f"an outdated one for {_percent(stale)}."
        )
    if bias:
        lines += _preferences(bias)
    return lines


def _preferences(bias: Mapping[str, Any]) -> list[str]:
    lines = ["Outdated against current passages, other things equal, it:"]
    lines += [f"  - {predictor['sentence']}" for predictor in bias["regression"]["predictors"].values()]
    probe = bias["counterfactual"]
    if probe:
        date, text = (interval(probe[effect]) for effect in ("newer date wins", "current text wins"))
        lines.append(
            f"The same text under two dates: the newer date wins {date} of the time (0.5: dates are not read)."
        )
        lines.append(f"Two texts under the same date: the current one wins {text} of the time.")
    return lines


def _percent(row: Mapping[str, Any]) -> str:
    text = f"{100 * row['value']:.0f} %"
    if row["ci_low"] is not None:
        text += f" [{100 * row['ci_low']:.0f}, {100 * row['ci_high']:.0f}]"
    return text
