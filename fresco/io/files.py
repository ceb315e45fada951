"""Files written whole or not at all, folders and files held by one process at a time, JSON Lines of our own."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from fresco.errors import FrescoError
from fresco.io.secrets import redacted

_LEFT = re.compile(r"\.[0-9a-f]{16}\.tmp$")
_READY = re.compile(r"\.[0-9a-f]{16}\.ready$")

#: The file by which a process holds a folder; it stays, empty, and belongs to nobody's content.
LOCK = ".lock"


def write_atomically(path: Path, text: str | bytes) -> None:
    """Write a file so that it holds the old or the new content, whenever the process or the machine dies.

    Links are followed: what they point to is replaced, and they stay. A target that is no regular file (a device, a
    pipe) is written to as it is, never replaced. The temporary file beside the target has a random name and is made
    with ``O_EXCL | O_NOFOLLOW``, so that nothing planted there is followed; it is gone when writing fails.

    Raises:
        FrescoError: it cannot be written (disk full, no right).
    """
    data = text.encode() if isinstance(text, str) else text
    try:
        target = _resolved(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        before = _before(target)
        if before is None or stat.S_ISREG(before.st_mode):
            with _replaced(target, before) as descriptor:
                _write_all(descriptor, data)
        else:
            _write_straight(target, data)
    except OSError as error:
        raise FrescoError(f"{path}: cannot be written: {error.strerror or error}") from error


def write_record(path: Path, content: Mapping[str, Any]) -> None:
    """Write a record of how something was made as JSON, without the secrets of the addresses in it.

    Raises:
        FrescoError: as :func:`write_atomically`.
        ValueError: it holds NaN or an infinity, which are no JSON.
    """
    write_atomically(path, json.dumps(redacted(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def sync(*paths: Path) -> None:
    """Make files that were written piece by piece last, and their names.

    Raises:
        OSError: the disk says that they do not.
    """
    for path in paths:
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    for folder in {path.parent for path in paths}:
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last: a rename is on disk only when its folder is.

    Raises:
        OSError: the disk says that it is not.
    """
    if os.name == "nt":  # folders cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):  # file systems that do not do this
            raise
    finally:
        os.close(descriptor)


def _resolved(path: Path) -> Path:
    """Where the links of a path end; a loop of links is an OSError."""
    try:
        return path.resolve(strict=False) if path.is_symlink() else path.absolute()
    except RuntimeError as error:  # Python before 3.13 says so of a loop
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path)) from error


def _before(target: Path) -> os.stat_result | None:
    """What lies there."""
    try:
        found = target.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    return found


def _write_straight(target: Path, data: bytes) -> None:
    descriptor = os.open(target, os.O_WRONLY | getattr(os, "O_NOCTTY", 0))
    try:
        _write_all(descriptor, data)
    finally:
        os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A stream for what is too large to be held; when the block ends well its content takes the place of the file.

    Otherwise as :func:`write_atomically`; when the block raises nothing is left of it.

    Raises:
        OSError: it cannot be written, or the target is no regular file.
    """
    target = _resolved(path)
    before = _before(target)
    if before is not None and not stat.S_ISREG(before.st_mode):
        raise OSError(errno.EINVAL, "no regular file", str(target))
    with _replaced(target, before) as descriptor, open(descriptor, "wb", closefd=False) as stream:
        yield stream


def fresh_folder(target: Path) -> Path:
    """A new, empty folder beside a target, under a name that nobody can foresee; :func:`publish` puts it in place.

    What killed processes left of earlier ones is removed, or put in place by :func:`recover`, so the caller must hold
    the parent folder.

    Raises:
        OSError: it cannot be made.
    """
    prefix = _prefix(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    recover(target)
    for leftover in _leftovers(target.parent, prefix):
        _remove(leftover)
    fresh = _new_name(target.parent, prefix)
    fresh.mkdir()  # fails where anything has that name, a link too
    return fresh


def publish(fresh: Path, target: Path) -> None:
    """Put a folder of :func:`fresh_folder` in the place of its target, which is replaced.

    No file system exchanges two folders everywhere, so there is a moment in which the target has no folder. A process
    that dies in it leaves the new one beside it, whole, under a name that says so: :func:`recover` ends what it began.

    Raises:
        OSError: it cannot be.
    """
    ready = fresh.with_suffix(".ready")
    fresh.rename(ready)
    _put(ready, target)


def recover(target: Path) -> None:
    """End what a process that was killed in :func:`publish` began; for the start of whatever uses the target.

    Raises:
        OSError: it cannot be.
    """
    if not target.parent.is_dir():
        return
    for ready in _leftovers(target.parent, _prefix(target), _READY):
        if ready.is_dir() and not ready.is_symlink():
            _put(ready, target)


def _put(ready: Path, target: Path) -> None:
    if target.is_symlink() or target.exists():
        old = _new_name(target.parent, _prefix(target))
        target.rename(old)  # a moment, where removing a large folder takes seconds
        ready.rename(target)
        _remove(old)
    else:
        ready.rename(target)
    sync_folder(target.parent)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _prefix(target: Path) -> str:
    # Not the whole name: with the random part it could pass the 255 bytes that a name may have.
    return f".{target.name[:40]}."


def _new_name(folder: Path, prefix: str) -> Path:
    """One that nobody can foresee, and that :func:`_leftovers` knows again."""
    return folder / f"{prefix}{secrets.token_hex(8)}.tmp"


@contextmanager
def _replaced(target: Path, before: os.stat_result | None) -> Iterator[int]:
    prefix = _prefix(target)
    _clear(target.parent, prefix)
    descriptor, temporary = _open_new(target.parent, prefix)
    try:
        try:
            yield descriptor
            if before is not None and hasattr(os, "fchmod"):
                os.fchmod(descriptor, stat.S_IMODE(before.st_mode))
            os.fsync(descriptor)
            if os.name != "nt":  # there an open file cannot be renamed; here the lock holds until it is
                temporary.replace(target)
        finally:
            os.close(descriptor)
        if os.name == "nt":
            temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(target.parent)


def _open_new(folder: Path, prefix: str) -> tuple[int, Path]:
    """A new file of a name that nobody can foresee, locked for as long as it is open."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    while True:
        temporary = _new_name(folder, prefix)
        descriptor = os.open(temporary, flags, 0o666)
        # Between the two calls another process may have taken it for a leftover.
        if _lock(descriptor) and os.fstat(descriptor).st_nlink:
            return descriptor, temporary
        os.close(descriptor)
        temporary.unlink(missing_ok=True)


def _clear(folder: Path, prefix: str) -> None:
    """Remove what a killed process left beside the target: nobody holds its lock."""
    for leftover in _leftovers(folder, prefix):
        with suppress(OSError):  # somebody else's, or gone already
            descriptor = os.open(leftover, os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode) and _lock(descriptor):
                    leftover.unlink()
            finally:
                os.close(descriptor)


def _leftovers(folder: Path, prefix: str, kind: re.Pattern[str] = _LEFT) -> list[Path]:
    with os.scandir(folder) as entries:
        return [Path(each.path) for each in entries if each.name.startswith(prefix) and kind.search(each.name)]


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        written = os.write(descriptor, rest)
        rest = rest[written:]


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
    with _held(folder / LOCK, f"{folder}", "another process is at work in this folder"):
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
