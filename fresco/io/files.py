"""Files written whole or not at all, folders and files held by one process at a time, JSON Lines of our own."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError


def write_atomically(path: Path, text: str | bytes) -> None:
    """Write a file so that it holds the old or the new content, whenever the process dies.

    Raises:
        FrescoError: it cannot be written (disk full, no right).
    """
    data = text.encode() if isinstance(text, str) else text
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise FrescoError(f"{path}: cannot be written: {error.strerror or error}") from error


def lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as JSON Lines."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON Lines file of our own."""
    with path.open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for one build; the system gives it back when the process ends, however it ends.

    Raises:
        FrescoError: another process holds it, or it cannot be made.
    """
    with _held(folder / ".lock", f"{folder}", "another process is at work in this folder"):
        yield


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Hold a file that is written piece by piece; otherwise as :func:`locked`.

    Raises:
        FrescoError: another process writes it, or its folder cannot be made.
    """
    with _held(path.with_name(f".{path.name}.lock"), f"{path}", "another process writes this file"):
        yield


@contextmanager
def _held(lock: Path, what: str, busy: str) -> Iterator[None]:
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        stream = lock.open("a")
    except OSError as error:
        raise FrescoError(f"{what}: cannot be used: {error.strerror or error}") from error
    with stream:
        if not _lock(stream.fileno()):
            raise FrescoError(f"{what}: {busy}; wait for it or give another --out")
        yield


def _lock(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError:
            return False
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
