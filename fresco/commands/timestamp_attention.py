"""``fresco attention MODEL``: how much attention a language model pays to dates, by instruction."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from fresco.terminal.arguments import positive
from fresco.terminal.options import add_benchmark, add_models, add_seed


def add_attention(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    attention = commands.add_parser(
        "attention",
        help="how much attention a language model pays to dates",
        description="The share of the last token's attention on timestamps of query and passage, under the model's own "
        "instruction and under others, beside what even attention would give.",
    )
    attention.add_argument("model", metavar="MODEL", help="a folder or model id that causal-lm: opens")
    attention.add_argument(
        "--instruction",
        action="append",
        default=[],
        metavar="TEXT",
        help="to measure beside the model's own, such as an optimized one; repeatable",
    )
    add_benchmark(attention)
    attention.add_argument("--limit", type=positive, default=10, metavar="N", help="about N queries (default: 10)")
    attention.add_argument("--json", action="store_true", help="print one JSON object a row")
    add_models(attention)
    add_seed(attention, "the queries that are drawn and the intervals")
    attention.set_defaults(run=run_attention)


def run_attention(options: argparse.Namespace) -> int:
    """Run the command; see :func:`fresco.cli.main` for the exit codes."""
    from rich.table import Table

    from fresco.benchmarks.part import Part
    from fresco.rerank.timestamp_attention import SHARES, timestamp_attention
    from fresco.terminal.console import literal, make_console
    from fresco.terminal.options import model_settings
    from fresco.terminal.progress import shown_progress

    part = Part("all", options.limit, "text", options.seed, options.strict)
    pools = [(pool.query, pool.passages) for pool in part.open(options.benchmark, options.nek).pools]
    with shown_progress(True, "pairs") as tell:
        found = timestamp_attention(
            options.model, pools, options.instruction, settings=model_settings(options), progress=tell
        )
    rows = []
    for place, instruction in enumerate(found.instructions):
        rows.append((instruction, "attention", found.values[place]))
        rows.append((instruction, "even attention", found.evenly[place]))
        if place:
            rows.append((instruction, "less the first", found.gains[place - 1]))
    if options.json:
        for instruction, what, own in rows:
            shares = {name: [own.value[n], own.low[n], own.high[n]] for n, name in enumerate(SHARES)}
            sys.stdout.write(json.dumps({"instruction": instruction, "what": what, **shares}) + "\n")
        return 0
    table = Table("instruction", "on dates", *(f"{name}, %" for name in SHARES), header_style="bold")
    for instruction, what, own in rows:
        cells = [
            f"{100 * own.value[n]:.2f} [{100 * own.low[n]:.2f} {100 * own.high[n]:.2f}]" for n in range(len(SHARES))
        ]
        table.add_row(literal(instruction if what == "attention" else ""), what, *map(literal, cells))
    console = make_console()
    console.print(table)
    console.print(f"{found.pairs} pairs; value [95 % interval over subjects]; the last token, mean of layers and heads")
    if found.left_out:
        console.print(f"note: {found.left_out} pairs are longer than the model reads, or undated, and left out")
    return 0
