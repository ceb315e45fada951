"""``fresco parity SPEC_A SPEC_B``: do two backends of one model give the same scores?"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from typing import Any

from fresco.terminal.arguments import address, number_in, positive
from fresco.terminal.options import add_benchmark, add_models, add_seed, add_store


def add_parity(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    parity = commands.add_parser(
        "parity",
        help="compare the scores of two backends",
        description="Score the same pairs by two backends of one model and say whether they are the same. Exit code 1 "
        "where they are not.",
    )
    parity.add_argument("a", type=address, metavar="SPEC_A", help="such as causal-lm:./model")
    parity.add_argument("b", type=address, metavar="SPEC_B", help="such as http://127.0.0.1:8000/v1/rerank")
    add_benchmark(parity)
    parity.add_argument("--limit", type=positive, default=10, metavar="N", help="about N queries (default: 10)")
    parity.add_argument("--instruction", metavar="TEXT", help="for those that take one")
    parity.add_argument("--tolerance", type=number_in(0, 1e9), metavar="T", help="relative to the larger score and 1")
    parity.add_argument("--json", action="store_true", help="print one JSON object")
    add_models(parity)
    add_store(parity)
    add_seed(parity, "the queries that are drawn")
    parity.set_defaults(run=run_parity)


def run_parity(options: argparse.Namespace) -> int:
    """Run the command; see :func:`fresco.cli.main` for the exit codes."""
    from fresco import api
    from fresco.terminal.console import literal, make_console
    from fresco.terminal.options import model_settings

    found = api.parity(
        options.a,
        options.b,
        options.benchmark,
        nek=options.nek,
        strict=options.strict,
        limit=options.limit,
        instruction=options.instruction,
        tolerance=options.tolerance,
        store=options.store,
        settings=model_settings(options),
    )
    if options.json:
        plain = {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in dataclasses.asdict(found).items()
        }
        sys.stdout.write(json.dumps(plain, default=str) + "\n")
        return 0 if found.passed else 1
    console = make_console()
    one, other = found.names
    console.print(f"A: {literal(one)}")
    console.print(f"B: {literal(other)}")
    console.print(f"{found.pairs} pairs of {found.queries} queries")
    query, passage = found.where
    console.print(f"largest difference {found.largest:.3g} (query {literal(query)}, passage {literal(passage)})")
    console.print(
        f"{found.beyond} pairs differ by more than {found.tolerance:g}, relative to the larger score and 1; "
        f"{found.changed_top} of {found.queries} queries have another passage first"
    )
    console.print(f"rank correlation {found.correlation:.5f} over all pairs, {found.correlation_in_pools:.5f} in pools")
    console.print(f"verdict: {found.verdict}")
    for cause in found.causes:
        console.print(f"likely: {literal(cause)}")
    return 0 if found.passed else 1
