"""The ``ccs`` command: its subcommands are the modules of :mod:`ccs.commands`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import fresco
from ccs.commands.audit import add_audit
from ccs.commands.evaluate import add_evaluate
from ccs.commands.index import add_index
from ccs.commands.parts import add_all_parts
from ccs.commands.report import add_report
from ccs.commands.reward import add_reward
from ccs.commands.rollout import add_rollout
from ccs.commands.serve import add_serve
from ccs.commands.train import add_train
from ccs.commands.warmup import add_warmup
from fresco.terminal.parser import make_parser, run_command

# In the order of use. Each adds a subparser whose default `run` takes the options and gives the exit code; what is
# heavy it imports there, so that `ccs --help` and a typing mistake do not wait.
_COMMANDS = (
    add_index,
    add_serve,
    add_rollout,
    add_reward,
    add_evaluate,
    add_audit,
    add_warmup,
    add_train,
    add_report,
    add_all_parts,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0; 1 where a command says so (some rollouts failed); 2 for bad input; 130 when interrupted.
    """
    description = "Cycle-Consistent Search: train search agents on questions alone."
    parser = make_parser("ccs", description, fresco.__version__, _COMMANDS)
    return run_command(parser, arguments, "what was done")


if __name__ == "__main__":
    sys.exit(main())
