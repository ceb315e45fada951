"""``ccs report``: rollouts, rewards, audits and training runs as one page to look at."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_report(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    report = commands.add_parser("report", help="trajectories, rewards, audits and training runs as one HTML page")
    report.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        type=Path,
        help="files of `ccs rollout` and `ccs reward`, folders of `ccs audit` and `ccs train`",
    )
    report.add_argument(
        "--config", metavar="FILE", help="YAML of the reward whose masks are shown (default: its defaults)"
    )
    report.add_argument("--out", metavar="FILE", type=Path, default=Path("report.html"), help="default: report.html")
    report.set_defaults(run=run_report)


def run_report(options: argparse.Namespace) -> int:
    """Write the page and say where."""
    from rich.markup import escape

    import ccs
    from fresco.terminal.console import make_console

    out = ccs.report(*options.paths, config=options.config, out=options.out)
    make_console().print(f"wrote {escape(str(out))}")
    return 0
