"""The ``ccs`` command: its subcommands are the modules of :mod:`ccs.commands`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import fresco
from ccs.commands.audit import add_audit
from ccs.commands.evaluate import add_evaluate
from ccs.commands.index import add_index
from ccs.commands.reward import add_reward
from ccs.commands.rollout import add_rollout
from ccs.commands.serve import add_serve
from ccs.commands.train import add_train
from fresco.errors import FrescoError

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

# In the order of use. Each adds a subparser whose default `run` takes the options and gives the exit code; what is
# heavy it imports there, so that `ccs --help` and a typing mistake do not wait.
_COMMANDS = (add_index, add_serve, add_rollout, add_reward, add_evaluate, add_audit, add_train)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, where argparse would print the whole usage first."""
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="ccs", description="Cycle-Consistent Search: train search agents on questions alone.")
    parser.add_argument("--version", action="version", version=f"ccs {fresco.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in _COMMANDS:
        add(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0; 1 where a command says so (some rollouts failed); 2 for bad input; 130 when interrupted.
    """
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except FrescoError as error:
        if os.environ.get("FRESCO_DEBUG"):
            raise
        sys.stderr.write(f"ccs: {error}\n")
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("\nccs: interrupted; what was done is kept, and the same command goes on from there\n")
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
