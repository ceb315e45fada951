"""``python -m fresco.io.worker FD``: a worker's process; see :mod:`fresco.io.workers`.

It speaks over a connection that it inherits, and is no one's command.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from multiprocessing.connection import Connection

from fresco.errors import FrescoError
from fresco.io.workers import DONE, RAISED


def serve(connection: Connection) -> None:
    """Make the function that the first message tells of, then answer item by item."""
    make = connection.recv()
    try:
        function = make()
    except Exception as error:
        connection.recv()
        connection.send((RAISED, _portable(error)))
        return
    while True:
        item = connection.recv()
        try:
            answer = DONE, function(item)
        except Exception as error:
            answer = RAISED, _portable(error)
        connection.send(answer)


def _portable(error: Exception) -> Exception:
    """The error as it may be pickled, with the trace that would be lost."""
    if not isinstance(error, FrescoError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def main() -> None:
    """Serve until the other end closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    try:
        serve(Connection(int(sys.argv[1])))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        os._exit(0)  # nobody waits; libraries' threads need no farewell


if __name__ == "__main__":
    main()
