"""The progress of a long job, shown on standard error.

One shape of callback serves every long job of both packages: it is told what is worked on, how much of it is done and
how much there is. Libraries take such a callback and know nothing of consoles; commands and notebooks give it
:func:`progress_bars`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from io import StringIO
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from fresco.errors import FrescoError
from fresco.terminal.console import literal, make_console

_SECONDS_BETWEEN_DRAWINGS = 0.3  # in a notebook, where each one is a message to the browser


class Progress(Protocol):
    """Is told how far a job has come."""

    def __call__(self, what: str, done: int, total: int | None = None, /) -> None:
        """``done`` of ``total`` steps of ``what`` are done; without a total it stays as it was told before."""


def no_progress(_what: str, _done: int, _total: int | None = None, /) -> None:
    """Shows nothing: the default where progress is optional."""


@contextmanager
def progress_bars(
    *, unit: str = "", one_bar: bool = False, transient: bool = False, shown: bool = True
) -> Iterator[Progress]:
    """Bars for as long as the block runs, one for each ``what`` that is told of.

    Args:
        unit: Stands behind the count, as in ``12/40 pairs``.
        one_bar: A single bar, which changes its words with ``what``.
        transient: Take the bars away at the end.
        shown: False draws nothing and makes the callback harmless, for all but one of several processes.

    Yields:
        The callback. Several threads may call it.
    """
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
    columns += [TextColumn(unit)] if unit else []
    columns += [TimeElapsedColumn(), TimeRemainingColumn()]
    console = make_console(stderr=True)
    notebook = shown and console.is_jupyter
    bars = RichProgress(*columns, console=console, transient=transient, disable=not shown or notebook)
    tasks: dict[str, TaskID] = {}
    adding = threading.Lock()
    with _notebook_output(bars, transient=transient) if notebook else nullcontext(lambda: None) as redraw:

        def tell(what: str, done: int, total: int | None = None, /) -> None:
            key = "" if one_bar else what
            with adding:
                if key not in tasks:
                    bars.start()  # not before: a job that fails at once would leave an empty line above its error
                    tasks[key] = bars.add_task(literal(what, 80), total=total)
            bars.update(tasks[key], description=literal(what, 80), completed=done, total=total)
            redraw()

        try:
            yield tell
        finally:
            if tasks:
                bars.stop()


@contextmanager
def _notebook_output(bars: RichProgress, *, transient: bool) -> Iterator[Callable[[], None]]:
    """The bars as one output of a cell that is written over. Rich has its own way, which needs ipywidgets."""
    from IPython import display

    show: Any = display.display
    output = show({"text/plain": ""}, raw=True, display_id=True)
    last = -math.inf

    def draw(*, final: bool = False) -> None:
        nonlocal last
        if not final and time.monotonic() - last < _SECONDS_BETWEEN_DRAWINGS:
            return
        last = time.monotonic()
        text = StringIO()
        plain = Console(file=text, width=100, no_color=True, color_system=None, force_jupyter=False)
        plain.print(bars.get_renderable())
        output.update({"text/plain": "" if final and transient else text.getvalue().rstrip()}, raw=True)

    try:
        yield draw
    finally:
        draw(final=True)


def shown_progress(progress: bool | Progress, unit: str = "") -> AbstractContextManager[Progress]:
    """What a function's argument ``progress`` asks for: bars, none, or a callback of the caller's own.

    Raises:
        FrescoError: it is none of these.
    """
    if isinstance(progress, bool):
        return progress_bars(unit=unit) if progress else nullcontext(no_progress)
    if not callable(progress):
        raise FrescoError(f"progress={progress!r}: give True, False, or a function of what, done and total")
    return nullcontext(progress)
