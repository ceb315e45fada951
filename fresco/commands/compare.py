"""``fresco compare A B``: two runs side by side, with what can be told apart."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fresco.metrics.catalog import PRIMARY
from fresco.terminal.options import add_seed


def add_compare(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    compare = commands.add_parser("compare", help="the table of two runs with significance")
    compare.add_argument("a", metavar="A", help="folder of a run")
    compare.add_argument("b", metavar="B", help="folder of another run on the same benchmark")
    compare.add_argument("--metric", default=PRIMARY, help=f"which to compare, as in nDCG@10 (default: {PRIMARY})")
    add_seed(compare, "the randomization test")
    compare.set_defaults(run=run_compare)


def run_compare(options: argparse.Namespace) -> int:
    """Print one row for each pair of re-rankers and each kind of query."""
    from rich.markup import escape
    from rich.table import Table

    from fresco.results.reader import read_run
    from fresco.terminal.console import make_console

    a, b = read_run(Path(options.a)), read_run(Path(options.b))
    frame = a.compare(b, options.metric, seed=options.seed)
    table = Table(
        "A",
        "B",
        "queries",
        "A's value",
        "B's value",
        "B - A [95 %]",
        "p",
        "p (Holm)",
        title=f"{options.metric}: A = {escape(str(a.folder))}, B = {escape(str(b.folder))}",
        title_justify="left",
        header_style="bold",
    )
    for row in frame.to_dict("records"):
        table.add_row(
            escape(row["a"]),
            escape(row["b"]),
            f"{row['task']} {row['kind']} ({row['n']})",
            f"{row['value_a']:.3f}",
            f"{row['value_b']:.3f}",
            escape(f"{row['difference']:+.3f} [{row['ci_low']:+.3f} {row['ci_high']:+.3f}]"),
            f"{row['p']:.4f}",
            f"{row['p_holm']:.4f}",
        )
    console = make_console()
    console.print(table)
    console.print("[dim]paired randomization over subjects; Holm over the pairs of one kind of query[/]")
    return 0
