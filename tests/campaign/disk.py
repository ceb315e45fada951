"""A disk that fails, and a process that dies, at the n-th operation on files below a folder.

Python's own calls are wrapped, in a forked child: those that open, write, sync, rename and remove.
What a library's C code writes by itself (SQLite, Arrow, faiss) passes by; kills at random times meet that, too.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import pathlib
import signal
from collections.abc import Callable
from typing import Any

#: What can happen at an operation: SIGKILL, or what the system answers.
KILL, FULL, BROKEN, SHORT = "kill", "ENOSPC", "EIO", "short write"


class Disk:
    """Counts operations and lets one of them go wrong.

    Args:
        at: Which operation, from 1; 0 for none.
        what: What happens then.
    """

    def __init__(self, at: int, what: str) -> None:
        self.at, self.what, self.done = at, what, 0

    def install(self) -> None:
        """Wrap the calls of this process, for good: it is a child that ends with the command."""
        os.write = self._write(os.write)  # type: ignore[assignment]
        for name in ("fsync", "replace", "rename", "unlink", "mkdir", "rmdir", "ftruncate"):
            setattr(os, name, self._counted(getattr(os, name)))
        builtins.open = self._opened(builtins.open)  # type: ignore[assignment]
        io.open = builtins.open
        pathlib.io.open = builtins.open  # type: ignore[attr-defined]

    def _fails(self) -> bool:
        self.done += 1
        if self.done != self.at:
            return False
        if self.what == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        return True

    def _error(self) -> OSError:
        code = errno.ENOSPC if self.what == FULL else errno.EIO
        return OSError(code, os.strerror(code))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            if self._fails() and self.what != SHORT:
                raise self._error()
            return call(*args, **kwargs)

        return counted

    def _write(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def written(descriptor: int, data: Any) -> Any:
            if descriptor > 2 and self._fails():
                if self.what != SHORT:
                    raise self._error()
                return call(descriptor, memoryview(data)[: max(1, len(data) // 2)])
            return call(descriptor, data)

        return written

    def _opened(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            if set(mode) & set("wax+") and not str(file).startswith("/dev/") and self._fails() and self.what != SHORT:
                raise self._error()
            return call(file, mode, *args, **kwargs)

        return opened
