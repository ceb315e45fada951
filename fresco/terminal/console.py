"""The consoles of both commands."""

from __future__ import annotations

from rich.console import Console

#: From this many characters on a console has room for intervals.
WIDE = 150


def make_console(*, stderr: bool = False) -> Console:
    """A console that is wide enough for the table where it is no terminal (a file, a pipe, CI)."""
    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console = Console(stderr=stderr, highlight=False, width=max(console.width, WIDE))
    return console
