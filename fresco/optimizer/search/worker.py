"""Who works on a study: leases, which keep two workers from the same thing at the same time."""

from __future__ import annotations

import os
import socket
import time
from typing import Any

LEASE_SECONDS = 120.0


class Worker:
    """Who this process is, for leases.

    Args:
        seconds: How long a lease holds; whoever works on renews it long before.
    """

    def __init__(self, seconds: float = LEASE_SECONDS) -> None:
        self.seconds = seconds
        self._host, self._pid = socket.gethostname(), os.getpid()
        self.id = f"{self._host}:{self._pid}:{time.time_ns()}"

    def lease(self) -> list[Any]:
        """What stands in the attribute while this worker holds it."""
        return [self.id, time.time() + self.seconds]

    def may_take(self, lease: Any) -> bool:
        """Whether nobody else holds it: none, our own, run out, or of a process of this host that has ended.

        What is no lease is none: leases are hints, and nothing but time is lost without one.
        """
        try:
            holder, until = lease
            host, pid, _ = holder.rsplit(":", 2)
            return bool(holder == self.id or until < time.time() or (host == self._host and not lives(int(pid))))
        except (AttributeError, OverflowError, TypeError, ValueError):
            return True


def lives(pid: int) -> bool:
    """Whether this host runs a process of this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
