"""What both command lines do alike: one line for an error, and an exit code that tells its kind.

====  ==========================================================================================
code  means
====  ==========================================================================================
0     done
1     a condition that the user set holds (``--fail-if``), or a command says that a part failed
2     bad input, a missing extra, a server or disk that is down: the line says how to mend it
70    a fault of this program (BSD's ``EX_SOFTWARE``): the line names the log with the traceback
130   Ctrl-C
141   the reader of standard output went away (``| head``), as of a program that SIGPIPE ends
====  ==========================================================================================
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NoReturn

from fresco.errors import FrescoError
from fresco.io.names import one_line
from fresco.io.secrets import hide, remember
from fresco.terminal.arguments import address, plain
from fresco.terminal.crash import write_crash_log
from fresco.terminal.streams import discard, mend_streams, reader_is_gone

EXIT_FAILED_CONDITION = 1
EXIT_BAD_INPUT = 2
EXIT_CRASHED = 70
EXIT_INTERRUPTED = 130
EXIT_NO_READER = 141

_LONGEST_LINE = 1500  # characters of an error; a value inside it is cut earlier, where the error is made

#: Adds one subcommand to a parser; its default ``run`` takes the options and gives the exit code.
AddCommand = Callable[["argparse._SubParsersAction[Parser]"], None]


class Parser(argparse.ArgumentParser):
    """argparse's parser, whose errors are one line.

    Options take no address with a secret in it, but for those whose ``type`` is
    :func:`fresco.terminal.arguments.address`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.register("type", None, plain)

    def error(self, message: str) -> NoReturn:
        """One line, where argparse would print the whole usage first."""
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {_line(message)}; see {self.prog} --help\n")


def make_parser(program: str, description: str, version: str, commands: Sequence[AddCommand]) -> Parser:
    """The parser of a command with its subcommands, in the order given."""
    parser = Parser(prog=program, description=description)
    parser.add_argument("--version", action="version", version=f"{program} {version}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    subparsers.type = address  # all words behind the command; its own parser looks at each
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
        What the subcommand returns, or the code of the module's table.
    """
    mend_streams()
    sys.excepthook = _show  # of FRESCO_DEBUG
    # Secrets in addresses are learned before anything can print them, and taken out of whatever is printed below.
    remember(sys.argv[1:] if arguments is None else arguments)
    try:
        options = parser.parse_args(arguments)
        run: Callable[[argparse.Namespace], int] = options.run
        code = run(options)
        sys.stdout.flush()
    except FrescoError as error:
        if os.environ.get("FRESCO_DEBUG"):
            raise
        return _say(parser, str(error), EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        return _say(parser, f"interrupted; {kept} is kept, and the same command goes on from there", EXIT_INTERRUPTED)
    except SystemExit:  # --help, --version, an option that argparse refuses; or a library that met a closed pipe
        if reader_is_gone():
            return discard(EXIT_NO_READER)
        raise
    except Exception as error:
        if reader_is_gone():
            return discard(EXIT_NO_READER)
        if os.environ.get("FRESCO_DEBUG"):
            raise
        return _explain(parser, error)
    return code


def _show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(hide("".join(traceback.format_exception(kind, error, trace))))


def _explain(parser: Parser, error: Exception) -> int:
    """The line and the code of an exception that no part of the program turned into a FrescoError."""
    if isinstance(error, OSError) and error.strerror:
        there = f"{error.filename}: " if error.filename else ""
        return _say(parser, f"{there}{error.strerror}", EXIT_BAD_INPUT)
    if isinstance(error, OSError | UnicodeError):
        return _say(parser, f"{error} ({type(error).__name__}); FRESCO_DEBUG=1 shows where", EXIT_BAD_INPUT)
    if isinstance(error, MemoryError):
        return _say(parser, "out of memory; free some, or give less at once (--limit, a smaller file)", EXIT_BAD_INPUT)
    log = write_crash_log(parser.prog, error)
    where = f"the traceback is in {log}" if log else "FRESCO_DEBUG=1 shows the traceback"
    said = one_line(str(error), 200)
    message = f"a fault of {parser.prog} itself, please report it: {where} ({type(error).__name__}: {said})"
    return _say(parser, message, EXIT_CRASHED)


def _say(parser: Parser, message: str, code: int) -> int:
    before = "\n" if code == EXIT_INTERRUPTED else ""  # ^C stands on the line
    try:
        sys.stderr.write(f"{before}{parser.prog}: {_line(message)}\n")
        sys.stderr.flush()
    except OSError:  # nobody reads standard error either
        return discard(code)
    # What was printed before the error may wait for a reader that has gone.
    return discard(code) if reader_is_gone() else code


def _line(message: str) -> str:
    return one_line(hide(message), _LONGEST_LINE)
