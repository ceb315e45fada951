"""The ``fresco`` command: its subcommands are the modules of :mod:`fresco.commands`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import fresco
from fresco.commands.answer import add_answer
from fresco.commands.audit import add_audit
from fresco.commands.build import add_build
from fresco.commands.compare import add_compare
from fresco.commands.optimize import add_optimize
from fresco.commands.parity import add_parity
from fresco.commands.parts import add_all_parts, add_rerankers
from fresco.commands.report import add_report
from fresco.commands.score import add_score
from fresco.commands.serve import add_serve
from fresco.commands.timestamp_attention import add_attention
from fresco.commands.tune import add_tune
from fresco.terminal.parser import make_parser, run_command

# In the order of use. Each adds a subparser whose default `run` takes the options and gives the exit code; what is
# heavy it imports there, so that `fresco --help` and a typing mistake do not wait.
_COMMANDS = (
    add_score,
    add_optimize,
    add_tune,
    add_answer,
    add_serve,
    add_build,
    add_audit,
    add_compare,
    add_report,
    add_parity,
    add_attention,
    add_all_parts,
    add_rerankers,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, 1 when a ``--fail-if`` condition holds or two backends differ, 2 for bad input, 130 when
        interrupted.
    """
    description = "Is your re-ranker stale? Score it on knowledge that changes."
    parser = make_parser("fresco", description, fresco.__version__, _COMMANDS)
    return run_command(parser, arguments, "what was scored")


if __name__ == "__main__":
    sys.exit(main())
