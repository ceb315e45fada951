"""A run by kind of conflict: what keeping only the latest revisions would cure, and what it would not."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from fresco.metrics.catalog import ALL
from fresco.metrics.measures import Staleness
from fresco.metrics.measures.current_over_obsolete import CurrentOverObsolete
from fresco.metrics.measures.obsolete_ratio import ObsoleteLift
from fresco.metrics.measures.stale import Stale
from fresco.metrics.ties import SUPERSEDED
from fresco.records import Conflict, Task
from fresco.results.table import Rows, find

#: What the columns mean, under the table.
CONFLICT_LEGEND = (
    "version: an older revision of the page, which whoever keeps only the latest revisions is rid of; history: a "
    "former value in the latest one; cross-document: another page, newer date, older value; announced: not yet valid; "
    "n: questions with such a passage; superseded: anything from an older revision, whatever it states"
)


def conflict_table(rows: Rows, rerankers: Sequence[str]) -> Table | None:
    """One row a re-ranker, a column for each measure and kind of conflict; values over all EK queries.

    Args:
        rows: ``Evaluation.rows``.
        rerankers: In the order wanted.

    Returns:
        None where the benchmark says nothing of conflicts and superseded passages.
    """
    wanted: list[Staleness] = [
        dataclasses.replace(base, of=kind) for base in (Stale(), CurrentOverObsolete()) for kind in Conflict
    ]
    wanted.append(ObsoleteLift(of=SUPERSEDED))
    columns = []
    for measure in wanted:
        own = [row for row in rows if (row["task"], row["kind"], row["metric"]) == (Task.EK, ALL, measure.name)]
        if own:
            plain = dataclasses.replace(measure, of="")
            columns.append((f"{plain}\n{measure.of}\nn={max(row['n'] for row in own)}", measure.name))
    if not columns:
        return None
    table = Table(title="by kind of conflict", title_justify="left", title_style="bold", header_style="bold")
    table.add_column("re-ranker", overflow="fold", min_width=min(max(map(len, rerankers)), 30))
    for header, _ in columns:
        table.add_column(escape(header), justify="right")
    for name in rerankers:
        found = [find(rows, name, Task.EK, ALL, metric) for _, metric in columns]
        table.add_row(escape(name), *("-" if row is None else f"{row['value']:.3f}" for row in found))
    return table
