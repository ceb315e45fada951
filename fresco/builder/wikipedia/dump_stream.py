"""The bytes of a dump, whatever it is packed with, in chunks that fit in memory.

The packing is told from the first bytes, not from the name: dumps are called ``...xml-p1p844.7z`` and are unpacked and
renamed by hand.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from fresco.builder.wikipedia.dump_command import Command
from fresco.errors import FrescoError
from fresco.io.packed import Expansion

if TYPE_CHECKING:
    from typing_extensions import Buffer

CHUNK = 1 << 18
#: First bytes of what other programs unpack, which open the file themselves.
_OTHER_PROGRAMS = {b"7z\xbc\xaf": "7z", b"\x28\xb5\x2f\xfd": "zstd"}

#: Called with (bytes of the packed file read, its size).
Progress = Callable[[int, int], None]


class DamagedDumpError(FrescoError):
    """A dump that cannot be read on, with file and position."""


def chunks(path: Path | Command, progress: Progress | None = None) -> Generator[bytes]:
    """Unpack a file, a chunk at a time.

    Args:
        path: Plain, gzip, bzip2, xz, zstd or 7z; or a pipe of the first four (``/dev/stdin``), which is read once, or
            a command that writes them.
        progress: Told after each chunk, but not of zstd and 7z, which other programs read; of a pipe nobody knows the
            size, which is then what was read.

    Raises:
        DamagedDumpError: the packed data is broken or ends too early; chunks before that were given out.
        FrescoError: the file cannot be opened, or what unpacks it is not installed.
    """
    try:
        size = 0 if isinstance(path, Command) else path.stat().st_size
        raw = _opened(path)
    except OSError as error:
        raise FrescoError(f"{path}: cannot be read ({error.strerror}); give a dump file") from error
    with raw:
        head = raw.peek(6)[:6]  # a pipe cannot be read again
        packing = _OTHER_PROGRAMS.get(head[:4])
        if packing:
            if isinstance(path, Command) or not path.is_file():
                raise FrescoError(f"{path}: {packing} cannot be read from a pipe; unpack it on the way")
            if packing == "7z":
                yield from _through(("7z", "7zz", "7za", "7zr"), ("x", "-so", "-bd"), "7zip", path)
            else:
                yield from _through(("zstd",), ("-dcq",), "zstd", path)
            return
        try:
            expansion = Expansion(path, raw)
            with closing(_unpacked(raw, head)) as stream:
                # read1 gives out what one step unpacked: nothing is lost when the next step meets the damage.
                while chunk := stream.read1(CHUNK):
                    expansion.add(len(chunk))
                    yield chunk
                    if progress is not None:
                        progress(raw.tell(), size or raw.tell())
        except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
            raise DamagedDumpError(
                f"{path}: packed data is broken or cut off near byte {raw.tell()} of {size} ({error}); fetch it again"
            ) from error


class _Pipe(io.RawIOBase):
    """A pipe that knows how much was read of it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int | None:
        count = self._file.readinto(buffer)
        self._count += count or 0
        return count

    def tell(self) -> int:
        return self._count

    def close(self) -> None:
        self._file.close()
        super().close()


def _opened(path: Path | Command) -> io.BufferedReader:
    if isinstance(path, Command):
        return io.BufferedReader(path.output(), CHUNK)
    return path.open("rb") if path.is_file() else io.BufferedReader(_Pipe(path), CHUNK)


def _unpacked(raw: BinaryIO, head: bytes) -> io.BufferedReader:
    if head.startswith(b"\x1f\x8b"):
        return cast(io.BufferedReader, gzip.GzipFile(fileobj=raw))
    if head.startswith(b"BZh"):
        return cast(io.BufferedReader, bz2.BZ2File(raw))
    if head.startswith(b"\xfd7zXZ\0"):
        return cast(io.BufferedReader, lzma.LZMAFile(raw))
    return io.BufferedReader(cast(io.RawIOBase, raw))


def _through(programs: Sequence[str], options: Sequence[str], package: str, path: Path) -> Iterator[bytes]:
    """Unpack with a program, the first of those that is installed.

    How much of the file the program has read is its own affair, so growth is measured against the whole of it.
    """
    command = next(filter(None, map(shutil.which, programs)), None)
    if command is None:
        raise FrescoError(f"{path}: needs {programs[0]} to be unpacked; apt-get install {package}, or unpack it first")
    with (
        tempfile.TemporaryFile() as errors,
        path.open("rb") as packed,
        subprocess.Popen(  # noqa: S603 - a fixed program, no shell, the path behind "--"
            [command, *options, "--", str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        ) as process,
    ):
        assert process.stdout is not None
        packed.seek(0, os.SEEK_END)
        expansion = Expansion(path, packed)
        try:
            while chunk := cast(io.BufferedReader, process.stdout).read1(CHUNK):
                expansion.add(len(chunk))
                yield chunk
            process.wait()
        finally:
            process.kill()  # nobody reads on: a full pipe would make it wait for ever
        errors.seek(0)
        message = " ".join(errors.read().decode(errors="replace").split())
    if process.returncode != 0:
        raise DamagedDumpError(f"{path}: cannot be unpacked ({message[-160:]}); fetch it again")
