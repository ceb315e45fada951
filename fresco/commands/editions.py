"""``fresco compare --editions``: the ranks of re-rankers over editions of one corpus."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from fresco.errors import FrescoError
from fresco.metrics.catalog import FEWEST_SUBJECTS

if TYPE_CHECKING:
    from rich.table import Table

    from fresco.results.drift import Drift
    from fresco.results.result import Result


def add_editions(compare: argparse.ArgumentParser) -> None:
    """Add the options to the parser of ``fresco compare``."""
    group = compare.add_argument_group("editions of a corpus")
    group.add_argument(
        "--editions",
        action="store_true",
        help="the runs are over editions of one corpus, the earliest first: do ranks drift?",
    )
    group.add_argument(
        "--newer-than",
        type=_time,
        metavar="DATE",
        help="besides, only questions whose answers hold since then: newer than a model's training (YYYY-MM-DD)",
    )
    group.add_argument(
        "--built",
        action="append",
        type=Path,
        default=[],
        metavar="DIR",
        help="for --newer-than: the benchmark's folder of each run, in their order; repeatable",
    )


def print_editions(runs: list[Result], options: argparse.Namespace) -> None:
    """Print a table over all questions and, where it is asked for, one over the newer ones.

    Raises:
        FrescoError: see :func:`fresco.results.drift.drift`; or folders of benchmarks are missing.
    """
    from fresco.results.drift import drift
    from fresco.terminal.console import make_console

    console = make_console(stderr=options.json)
    asked: list[tuple[str, list[Collection[str]] | None]] = [("all questions", None)]
    if options.newer_than is not None:
        day = options.newer_than.date()
        asked.append((f"answers that hold since {day} or later", _newer(options.built, options.newer_than, len(runs))))
    for title, only in asked:
        found = drift(runs, options.metric, only=only, unit=options.unit, seed=options.seed)
        console.print(_table(found, options.metric, title))
        if options.json:
            sys.stdout.writelines(f"{json.dumps({'questions': title, **row})}\n" for row in found.rows)
    console.print(
        "[dim]value, and rank (1 is the best) with its 95 % interval over resampled "
        f"{options.unit}s; ! where the interval lies apart from the first edition's[/]"
    )


def _newer(built: list[Path], since: datetime, count: int) -> list[Collection[str]]:
    from fresco.benchmarks.changes import changed_at

    if len(built) != count:
        raise FrescoError(
            f"--newer-than needs --built DIR for each of the {count} runs, in their order; {len(built)} are given"
        )
    return [{query for query, when in changed_at(folder).items() if when >= since} for folder in built]


def _time(text: str) -> datetime | None:
    from fresco.serving.fresh import as_time

    try:
        return as_time(text)
    except FrescoError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _table(found: Drift, metric: str, title: str) -> Table:
    from rich.table import Table

    from fresco.terminal.console import literal
    from fresco.terminal.figures import interval

    heads = [literal(f"{edition} ({queries})") for edition, queries in zip(found.editions, found.queries, strict=True)]
    table = Table(
        "re-ranker", *heads, title=f"{literal(metric)}, EK, {title}", title_justify="left", header_style="bold"
    )
    for name in dict.fromkeys(row["reranker"] for row in found.rows):
        cells = [
            f"{interval(row)}  {row['rank']:g} ({row['rank_low']:.0f} to {row['rank_high']:.0f})"
            + ("!" if row["drifted"] else "")
            for row in found.rows
            if row["reranker"] == name
        ]
        table.add_row(literal(name), *map(literal, cells))
    table.add_section()
    table.add_row("Kendall's tau with the one before", "", *(f"{tau:.2f}" for tau in found.tau))
    if min(found.units) < FEWEST_SUBJECTS:
        table.caption = f"no verdict on drift: fewer than {FEWEST_SUBJECTS} in an edition"
    return table
