"""``fresco audit BENCHMARK``: how much of a benchmark blind rules solve."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fresco.terminal.arguments import positive
from fresco.terminal.options import add_seed, add_sides

if TYPE_CHECKING:
    from fresco.auditing import Audit


def add_audit(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    audit = commands.add_parser(
        "audit",
        help="how much of a benchmark can be solved without reading",
        description="Score blind rules on a benchmark (dates, lengths, the latest revision of each page, a model "
        "fitted on the surface) and count what else bends it: twins with two labels, answers out of reach, kinds of "
        "conflict.",
    )
    audit.add_argument("benchmark", metavar="BENCHMARK", help="name, folder or dataset id")
    add_sides(audit)
    audit.add_argument("--split", default="all", choices=("all", "train", "validation", "test"))
    audit.add_argument("--limit", type=positive, metavar="N", help="only about N queries, whole subjects")
    audit.add_argument("--tokenizer", metavar="MODEL", help="count tokens with this model's (default: an estimate)")
    audit.add_argument("--resamples", type=positive, default=200, metavar="N", help="bootstrap samples (default: 200)")
    add_seed(audit, "random dates and resampling")
    audit.add_argument("--out", metavar="FILE", help="write the audit there: Markdown where it ends in .md, else JSON")
    audit.add_argument("--json", action="store_true", help="print it as one JSON object on standard output")
    audit.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="COND",
        help='exit with 1 when it holds, as in "probe>0.6" (EK MAP), "latest-bm25/current>obsolete>0.8" or '
        '"date-auroc>0.9"; repeatable',
    )
    audit.set_defaults(run=run_audit)


def run_audit(options: argparse.Namespace) -> int:
    """Run the command."""
    from fresco import api
    from fresco.auditing.conditions import parse_audit_condition
    from fresco.auditing.shown import markdown
    from fresco.io.files import write_atomically
    from fresco.io.secrets import command_line

    conditions = [parse_audit_condition(text) for text in options.fail_if]
    audit = api.audit(
        options.benchmark,
        nek=options.nek,
        strict=options.strict,
        split=options.split,
        limit=options.limit,
        tokenizer=options.tokenizer,
        resamples=options.resamples,
        seed=options.seed,
    )
    failed = [condition for condition in conditions if condition.holds(audit)]
    content = json.dumps({**audit.to_json_dict(), "command": command_line()}, indent=2, ensure_ascii=False) + "\n"
    if options.out:
        write_atomically(Path(options.out), markdown(audit) if options.out.endswith(".md") else content)
    if options.json:
        sys.stdout.write(content)
    else:
        _print(audit)
    for condition in failed:
        sys.stderr.write(f"fresco: --fail-if {condition.text}: it is {condition.value(audit):.4f}\n")
    return 1 if failed else 0


def _print(audit: Audit) -> None:
    from rich.table import Table

    from fresco.auditing.shown import figure_rows, rule_rows
    from fresco.terminal.console import literal, make_console

    console = make_console()
    header, rows = rule_rows(audit, intervals=console.width >= 160)
    title = f"{audit.benchmark['name']}: {audit.benchmark['queries']} queries, solved without reading"
    table = Table(title=literal(title), title_justify="left", title_style="bold", header_style="bold")
    for place, name in enumerate(header):
        table.add_column(name, justify="left" if place < 2 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(literal(cell) for cell in row))
    console.print(table)
    figures = Table("figure", "what it is", "value", header_style="bold")
    for row in figure_rows(audit):
        figures.add_row(*(literal(cell) for cell in row))
    console.print(figures)
    console.print(f"[dim]tokens counted by {literal(audit.lengths['counted_by'])}[/]")
    for line in audit.verdict:
        console.print(literal(line))
