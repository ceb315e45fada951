"""The consoles of both commands."""

from __future__ import annotations

from typing import NoReturn

from rich.console import Console
from rich.markup import escape

from fresco.io.names import printable

#: From this many characters on a console has room for intervals.
WIDE = 150


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Rich would exit with 1, which says that a condition of the user's holds."""
        raise BrokenPipeError


def make_console(*, stderr: bool = False) -> Console:
    """A console that is wide enough for the table where it is no terminal (a file, a pipe, CI)."""
    # No emoji: `:warning:` in the name of a model is its name.
    console = _Console(stderr=stderr, highlight=False, emoji=False)
    if not console.is_terminal:
        console = _Console(stderr=stderr, highlight=False, emoji=False, width=max(console.width, WIDE))
    return console


def literal(text: str, most: int = 1500) -> str:
    """Foreign text for a console: shown as it is, not read as markup, without escape sequences, of bounded length."""
    return escape(printable(text, most))
