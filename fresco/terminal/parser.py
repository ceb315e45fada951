"""What both command lines do alike: one line for an error, and an exit code that tells its kind."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from fresco.errors import FrescoError

EXIT_FAILED_CONDITION = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130

#: Adds one subcommand to a parser; its default ``run`` takes the options and gives the exit code.
AddCommand = Callable[["argparse._SubParsersAction[Parser]"], None]


class Parser(argparse.ArgumentParser):
    """argparse's parser, whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """One line, where argparse would print the whole usage first."""
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")


def make_parser(program: str, description: str, version: str, commands: Sequence[AddCommand]) -> Parser:
    """The parser of a command with its subcommands, in the order given."""
    parser = Parser(prog=program, description=description)
    parser.add_argument("--version", action="version", version=f"{program} {version}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in commands:
        add(subparsers)
    return parser


def run_command(parser: Parser, arguments: Sequence[str] | None, kept: str) -> int:
    """Parse, run the subcommand named, and turn what it raises into an exit code.

    Args:
        parser: Of :func:`make_parser`.
        arguments: Of the command line; None for the process's own.
        kept: What an interrupted command keeps, for the line that says so.

    Returns:
        What the subcommand returns; 2 for bad input, 130 when interrupted.
    """
    options = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except FrescoError as error:
        if os.environ.get("FRESCO_DEBUG"):
            raise
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{parser.prog}: interrupted; {kept} is kept, and the same command goes on from there\n")
        return EXIT_INTERRUPTED
