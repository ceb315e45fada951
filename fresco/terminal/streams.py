"""Standard output and standard error of a command: closed ones, full ones, ones that cannot say every character."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress
from pathlib import Path


def mend_streams() -> None:
    """Make both streams usable, however the command was started.

    One that was closed (``>&-``) becomes the null device; a character that the locale cannot say is spelt, not raised.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - until the process ends
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def reader_is_gone() -> bool:
    """Whether nobody reads standard output or standard error any more (``| head``, a closed pager)."""
    return any(_is_broken(stream) for stream in (sys.stdout, sys.stderr))


def discard(code: int) -> int:
    """Send what is left in the streams' buffers nowhere, so that the interpreter's last flush fails at nothing.

    Returns:
        ``code``.
    """
    for stream in (sys.stdout, sys.stderr):
        if _is_broken(stream):
            with suppress(OSError, ValueError):
                null = os.open(os.devnull, os.O_WRONLY)
                os.dup2(null, stream.fileno())
                os.close(null)
    return code


def _is_broken(stream: object) -> bool:
    try:
        descriptor = stream.fileno()  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError):  # a notebook's, a test's
        return False
    if not hasattr(select, "poll"):  # Windows says so when it is written to
        try:
            stream.flush()  # type: ignore[attr-defined]
        except OSError:
            return True
        return False
    asked = select.poll()
    asked.register(descriptor, 0)
    try:
        return any(event & select.POLLERR for _, event in asked.poll(0))
    except OSError:
        return False
