"""``fresco compare RUN...``: runs side by side, with what can be told apart."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fresco.commands.editions import add_editions, print_editions
from fresco.errors import FrescoError
from fresco.metrics.catalog import FEWEST_SUBJECTS, PRIMARY
from fresco.terminal.options import add_seed, add_unit

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


def add_compare(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    compare = commands.add_parser("compare", help="runs side by side with significance")
    compare.add_argument("runs", metavar="RUN", nargs="+", type=Path, help="folders of runs on the same benchmark")
    compare.add_argument("--metric", default=PRIMARY, help=f"of the pairs, as in nDCG@10 (default: {PRIMARY})")
    add_unit(compare)
    compare.add_argument("--json", action="store_true", help="print one JSON object a pair on standard output")
    compare.add_argument(
        "--front", metavar="FILE", help="draw quality against cost of all re-rankers of the runs: FILE.png, FILE.svg"
    )
    add_seed(compare, "the randomization test")
    add_editions(compare)
    compare.set_defaults(run=run_compare)


def run_compare(options: argparse.Namespace) -> int:
    """Print the table of all re-rankers with letters, and one row for each pair and each kind of query."""
    from fresco.commands.front import print_front
    from fresco.results.reader import read_run
    from fresco.results.side_by_side import side_by_side
    from fresco.results.table import results_table
    from fresco.terminal.console import literal, make_console

    runs = [read_run(path) for path in options.runs]
    if options.editions:
        print_editions(runs, options)
        return 0
    if options.newer_than or options.built:
        raise FrescoError("--newer-than and --built belong to --editions")
    if options.front:
        print_front(runs, options.metric, Path(options.front))
        return 0
    found = side_by_side(runs, options.metric, unit=options.unit, seed=options.seed)
    two = len(runs) == 2
    pairs = runs[0].compare(runs[1], options.metric, unit=options.unit, seed=options.seed) if two else found.pairs
    console = make_console(stderr=options.json)
    title = f"{len(runs)} runs, {found.queries} queries"
    console.print(results_table(found.rows, found.names, found.groups, title, console.width))
    console.print(_table(pairs, options.metric, [literal(str(run.folder)) for run in runs] if two else []))
    console.print(
        f"[dim]unit: the {options.unit}, whose queries are drawn and flipped together; paired randomization, Holm over "
        "the pairs of one kind of query that differ; re-rankers that share a letter cannot be told apart[/]"
    )
    if (pairs["units"] < FEWEST_SUBJECTS).any():
        console.print(f"[yellow]no verdict[/] (-) where there are fewer than {FEWEST_SUBJECTS} {options.unit}s")
    if options.json:
        told = pairs.copy()
        told.loc[told["units"] < FEWEST_SUBJECTS, ["p", "p_holm"]] = float("nan")  # null, as the table's dash
        sys.stdout.writelines(f"{line}\n" for line in told.to_json(orient="records", lines=True).splitlines())
    return 0


def _table(pairs: pd.DataFrame, metric: str, folders: list[str]) -> Table:
    from rich.table import Table

    from fresco.terminal.console import literal

    of = f": A = {folders[0]}, B = {folders[1]}" if folders else ""
    table = Table(
        *("A", "B", "queries", "A's value", "B's value", "B - A [95 %]", "p", "p (Holm)"),
        title=f"{literal(metric)}{of}",
        title_justify="left",
        header_style="bold",
    )
    for row in pairs.to_dict("records"):
        enough = row["units"] >= FEWEST_SUBJECTS
        table.add_row(
            literal(row["a"]),
            literal(row["b"]),
            f"{row['task']} {row['kind']} ({row['n']})",
            f"{row['value_a']:.3f}",
            f"{row['value_b']:.3f}",
            literal(_difference(row)),
            f"{row['p']:.4f}" if enough else "-",
            f"{row['p_holm']:.4f}" if enough else "-",
        )
    return table


def _difference(row: Mapping[Any, Any]) -> str:
    return f"{row['difference']:+.3f} [{row['ci_low']:+.3f} {row['ci_high']:+.3f}]"
