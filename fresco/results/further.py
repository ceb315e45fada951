"""The tables beside that of the results: by kind of conflict, and of the measures that somebody asked for."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fresco.metrics.catalog import ALL
from fresco.metrics.measures import Staleness
from fresco.metrics.measures.current_over_obsolete import CurrentOverObsolete
from fresco.metrics.measures.obsolete_ratio import ObsoleteLift
from fresco.metrics.measures.stale import Stale
from fresco.metrics.ties import SUPERSEDED
from fresco.metrics.values import asked_for
from fresco.records import Conflict, Task
from fresco.results.table import Cells, Rows, find
from fresco.terminal.console import WIDE
from fresco.terminal.figures import interval

# Characters of the first column and of one with an interval.
_NAME, _INTERVAL = 34, 20
_CONFLICT_LEGEND = (
    "version: an older revision of the page, which whoever keeps only the latest revisions is rid of; history: a "
    "former value in the latest one; cross-document: another page, newer date, older value; announced: not yet valid; "
    "n: questions with such a passage; superseded: anything from an older revision, whatever it states"
)


@dataclass(frozen=True)
class Further:
    """One table: its title, its cells, and the line that stands under it."""

    title: str
    cells: Cells
    legend: str


def further_tables(rows: Rows, rerankers: Sequence[str], width: int = WIDE) -> list[Further]:
    """The tables that the run has something for.

    Args:
        rows: ``Evaluation.rows``.
        rerankers: In the order wanted.
        width: In characters; where it is too narrow for all columns, values stand without their intervals.
    """
    by_conflict = Further("by kind of conflict", _by_conflict(rows, rerankers), _CONFLICT_LEGEND)
    asked = Further(
        "measures asked for", _asked(rows, rerankers, width), "values as above, over all queries of the task"
    )
    return [table for table in (by_conflict, asked) if table.cells.headers]


def _by_conflict(rows: Rows, rerankers: Sequence[str]) -> Cells:
    """A column for each measure and kind of conflict, over all EK queries, without intervals: there may be nine."""
    wanted: list[Staleness] = [
        dataclasses.replace(base, of=kind) for base in (Stale(), CurrentOverObsolete()) for kind in Conflict
    ]
    wanted.append(ObsoleteLift(of=SUPERSEDED))
    columns = []
    for measure in wanted:
        own = [row for row in rows if (row["task"], row["kind"], row["metric"]) == (Task.EK, ALL, measure.name)]
        if own:
            lines = [dataclasses.replace(measure, of="").name, measure.of, f"n={max(row['n'] for row in own)}"]
            columns.append(("\n".join(map(_narrow, lines)), str(Task.EK), measure.name))
    return _cells(rows, rerankers, columns, intervals=False)


def _narrow(word: str) -> str:
    """A long word of a header on two lines: nine columns have to fit."""
    return re.sub(r"(?<=[a-z])(?=>)|(?<=-)|(?<=[a-z])(?=[A-Z])", "\n", word) if len(word) > 10 else word


def _asked(rows: Rows, rerankers: Sequence[str], width: int) -> Cells:
    """A column for each measure that somebody asked for and each task."""
    columns = [
        (f"{task}\n{metric}", str(task), metric)
        for metric in asked_for(row["metric"] for row in rows)
        for task in Task
        if any((row["task"], row["kind"], row["metric"]) == (task, ALL, metric) for row in rows)
    ]
    return _cells(rows, rerankers, columns, intervals=width >= _NAME + _INTERVAL * len(columns))


def _cells(rows: Rows, rerankers: Sequence[str], columns: Sequence[tuple[str, str, str]], *, intervals: bool) -> Cells:
    found = []
    for name in rerankers:
        own = [find(rows, name, task, ALL, metric) for _, task, metric in columns]
        shown = [row if row is None or intervals else {**row, "ci_low": None} for row in own]
        found.append([(interval(row), "") for row in shown])
    return Cells([header for header, *_ in columns], found)
