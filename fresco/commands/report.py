"""``fresco report PATH...``: results of all kinds as one page to look at."""

from __future__ import annotations

import argparse
from typing import Any

from fresco.terminal.arguments import count


def add_report(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    report = commands.add_parser("report", help="results of any command as one HTML page, with a browser of failures")
    report.add_argument(
        "runs",
        metavar="PATH",
        nargs="+",
        help="folders of `fresco score`, `optimize`, `tune` and `answer`, JSON files of `fresco audit --out`",
    )
    report.add_argument("--out", metavar="FILE", default="report.html", help="default: report.html")
    report.add_argument("--worst", metavar="N", type=count, default=50, help="queries per re-ranker (default: 50)")
    report.set_defaults(run=run_report)


def run_report(options: argparse.Namespace) -> int:
    """Write the page and say where."""
    from fresco.api import report
    from fresco.terminal.console import literal, make_console

    out = report(*options.runs, out=options.out, worst=options.worst)
    make_console().print(f"wrote {literal(str(out))}")
    return 0
