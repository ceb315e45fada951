"""``python -m fresco.io.worker FD``: a worker's process; see :mod:`fresco.io.workers`.

It speaks over a connection that it inherits, and is no one's command.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

from fresco.io.workers import Function


def serve(connection: Connection) -> None:
    """Make the function that the first message tells of, then answer item by item."""
    function = Function(connection.recv())
    while True:
        connection.send(function.answer(connection.recv()))


def until_closed(answer: Callable[[Connection], None]) -> None:
    """Serve the connection that the command line names until its other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    try:
        answer(Connection(int(sys.argv[1])))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # nobody waits; libraries' threads need no farewell


if __name__ == "__main__":
    until_closed(serve)
