"""``fresco rerankers``: what can be scored, and what each needs."""

from __future__ import annotations

import argparse
from typing import Any


def add_rerankers(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    rerankers = commands.add_parser("rerankers", help="list the re-rankers and what each needs")
    rerankers.set_defaults(run=run_rerankers)


def run_rerankers(_options: argparse.Namespace) -> int:
    """Print the families and the plug-ins."""
    from rich.table import Table

    from fresco.rerank.registry import FAMILIES, plug_ins
    from fresco.terminal.console import make_console

    table = Table("spec", "what", "needs", "instruction", header_style="bold")
    for family in FAMILIES.values():
        table.add_row(*(_literal(cell) for cell in (family.spec, family.what, family.needs, family.instruction)))
    for name, target in plug_ins().items():
        table.add_row(*(_literal(cell) for cell in (name, f"plug-in {target}", "installed", "as it says")))
    table.add_row("module:Class", "your own: name, takes_instruction, score()", "importable from here", "as it says")
    console = make_console()
    console.print(table)
    console.print("Your own re-ranker: see fresco.rerank.base; prove it right with fresco.testing.check_reranker.")
    return 0


def _literal(text: str) -> str:
    from rich.markup import escape

    return escape(text)
