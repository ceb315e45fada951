"""How tests wait: for what they can see. A deadline only ends what hangs; no machine is so busy as to reach it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from typing import Any

#: Seconds after which something hangs. Requests, joins and processes of tests are given as long.
PATIENCE = 300.0


def wait_until(met: Callable[[], object], process: subprocess.Popen[Any] | None = None) -> None:
    """Return as soon as something is so.

    Args:
        met: Looked at a hundred times a second.
        process: What is to bring it about.

    Raises:
        AssertionError: the process ended first, or nothing came within :data:`PATIENCE`.
    """
    deadline = time.monotonic() + PATIENCE
    while not met():
        if process is not None and process.poll() is not None:
            assert met(), f"the process ended with {process.returncode} before: {_said(process)}"
            return
        assert time.monotonic() < deadline, f"nothing came within {PATIENCE:.0f} s"
        time.sleep(0.01)


def _said(process: subprocess.Popen[Any]) -> str:
    return str(process.stderr.read())[-2000:] if process.stderr else "(its errors are not kept)"
