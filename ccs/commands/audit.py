"""``ccs audit``: does a reward measure what it should, before any training?"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from ccs.commands.reward import add_choice
from fresco.terminal.arguments import positive
from fresco.terminal.options import add_resamples, add_seed

if TYPE_CHECKING:
    from ccs.auditing.audit import Audit
    from ccs.auditing.statistics import Figure
    from ccs.auditing.verdict import Check


def add_audit(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    audit = commands.add_parser(
        "audit",
        help="check on recorded trajectories whether a reward measures what it should",
        description="Check a reward on recorded trajectories: does it follow right answers and gold passages, what do "
        "the known ways to cheat gain, does it vary within a question?",
    )
    audit.set_defaults(run=run_audit)
    audit.add_argument("--trajectories", required=True, metavar="FILE", help="of `ccs rollout`, several a question")
    audit.add_argument(
        "--questions", required=True, action="append", metavar="Q", help="as they were rolled out; repeatable"
    )
    add_choice(audit)
    audit.add_argument("--out", metavar="DIR", help="folder of the results: audit.json, plots")
    audit.add_argument(
        "--cheats-on", type=positive, metavar="N", help="play the cheats on the first N questions only (default: all)"
    )
    audit.add_argument("--json", action="store_true", help="print audit.json on standard output, no table")
    add_seed(audit, "resampling")
    add_resamples(audit)


def run_audit(options: argparse.Namespace) -> int:
    """Run the command."""
    import ccs

    names = ("config", "out", "cache", "cheats_on", "seed", "resamples")
    chosen = {name: getattr(options, name) for name in names}
    report = ccs.audit(options.trajectories, options.questions, options.reward, **chosen)
    if options.json:
        sys.stdout.write(json.dumps(report.record(), indent=2) + "\n")
    else:
        _print_tables(report.audit, report.verdict, report.checks)
    if options.out:
        sys.stdout.write(f"audit.json and plots: {options.out}\n")
    return 0


def _print_tables(found: Audit, verdict: str, checks: list[Check]) -> None:
    from rich.table import Table

    from ccs.auditing.audit import FIGURES
    from fresco.terminal.console import literal, make_console

    console = make_console()
    figures = Table(title=literal(found.reward), title_justify="left", title_style="bold")
    for header in ("figure", "value [95 %]", "what it is"):
        figures.add_column(header)
    for name, figure in found.figures.items():
        figures.add_row(name, literal(_shown(figure)), FIGURES[name])
    console.print(figures)
    table = Table(title="checks", title_justify="left", title_style="bold")
    for header in ("check", "", "found"):
        table.add_column(header)
    for check in checks:
        table.add_row(check.name, check.grade, literal(check.words))
    console.print(table)
    console.print(literal(verdict), style="bold", soft_wrap=True)


def _shown(figure: Figure) -> str:
    if figure.value is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.3f}"
    return f"{figure.value:.3f} [{figure.low:.2f} {figure.high:.2f}]"
