"""Running code that a user brings along: what it raises becomes one line, what it prints goes to standard error."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from pathlib import Path
from types import ModuleType

from fresco.errors import FrescoError


@contextmanager
def foreign_code(failed: str, *, hint: str | Callable[[str], str] = "") -> Iterator[None]:
    """Run a plug-in's code.

    Whatever it raises becomes a :class:`FrescoError`, ``sys.exit(0)`` included, which would otherwise end the program
    as if all were well. Only Ctrl-C passes. What it prints, itself or through a process that it starts, goes to
    standard error: standard output holds our results alone.

    Args:
        failed: What failed, for the message: ``--reranker my:Own: making it failed``.
        hint: Appended to the message; or makes what is appended from the message.

    Raises:
        FrescoError: one line.
    """
    with _STDOUT_TO_STDERR:
        try:
            yield
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except FrescoError as error:
            text = " ".join(str(error).split())
            if text == str(error):
                raise
            raise FrescoError(text) from error
        except BaseException as error:
            said = one_line(error)
            raise FrescoError(f"{failed}: {said}{hint(said) if callable(hint) else hint}") from error


def one_line(error: BaseException) -> str:
    """The kind of an error and what it says, whatever it says, in one line."""
    try:
        said = " ".join(str(error).split())
    except Exception:  # a `__str__` of the plug-in's own
        said = "(its message cannot be read)"
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def import_file(path: Path) -> ModuleType:
    """Import a Python file once in a process, as a module of its own that may import its neighbours.

    Raises:
        Exception: whatever the file raises.
    """
    path = path.resolve()
    name = f"fresco_file_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # before it runs: dataclasses and pickle look a class's module up by name
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


class _Redirection:
    """Standard output sent to standard error while any thread runs foreign code.

    Both belong to the process. Were each thread to keep and restore them, of two that overlap the later one would
    restore what the earlier one had put there, and the program's results would go to standard error from then on.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._kept = -1
        self._open = ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._begin()

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._end()

    def _begin(self) -> None:
        with suppress(OSError, ValueError, AttributeError):  # a closed or missing stream has nothing to flush
            sys.stdout.flush()
        try:
            self._kept = os.dup(1)
        except OSError:  # there is no standard output
            self._kept = -1
        if self._kept >= 0:
            with suppress(OSError):
                os.dup2(2, 1)
        self._open.enter_context(redirect_stdout(sys.stderr))

    def _end(self) -> None:
        self._open.close()
        if self._kept >= 0:
            os.dup2(self._kept, 1)
            os.close(self._kept)


#: Python's standard output and, for processes and C code, the file descriptor too.
_STDOUT_TO_STDERR = _Redirection()
