"""Files from outside, packed or not, read in a stream and within limits.

A few hundred bytes can unpack to gigabytes, and a line that never ends fills the memory before anybody looks at it. So
lengths and the ratio of unpacking are checked while reading. The limits are far above what real data has (Wikipedia's
whole histories unpack to some hundred times their size); a file that needs more raises them by an environment variable,
which the error names.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from fresco.errors import FrescoError

#: What readers of packed files raise when the data is broken.
BROKEN = (OSError, EOFError, lzma.LZMAError, zlib.error)

_MIB = 1 << 20
_FREE = 64 * _MIB  # unpacked bytes from which on the ratio is looked at: small files are harmless, and pack best
_LINE_COSTS = 64  # bytes that a line counts on top: a million of empty ones are as much work as 64 MiB
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a file may ask of us.

    Attributes:
        line: Bytes of one line, unpacked.
        ratio: Times that a packed file may grow when it is unpacked.
        file: Bytes of a file that is read as a whole (a configuration, a list).
        tag: Bytes of one tag of XML with its attributes.
    """

    line: int = 64 * _MIB
    ratio: int = 2000
    file: int = 64 * _MIB
    tag: int = _MIB

    @classmethod
    def chosen(cls) -> Limits:
        """The defaults, or what ``FRESCO_MAX_LINE_MB``, ``_RATIO``, ``_FILE_MB`` and ``_TAG_MB`` say."""
        return cls(
            line=_number("FRESCO_MAX_LINE_MB", cls().line // _MIB) * _MIB,
            ratio=_number("FRESCO_MAX_RATIO", cls().ratio),
            file=_number("FRESCO_MAX_FILE_MB", cls().file // _MIB) * _MIB,
            tag=_number("FRESCO_MAX_TAG_MB", cls().tag // _MIB) * _MIB,
        )


def _number(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 8 and int(text)):
        raise FrescoError(f"{variable} is {text[:40]!r}; a whole number above zero is wanted")
    return int(text)


class Expansion:
    """Watches how far a packed file has grown.

    Args:
        path: For the error.
        packed: The file as it lies on disk; how much of it was read is asked of it.
        ratio: Allowed.
    """

    def __init__(self, path: object, packed: BinaryIO, ratio: int | None = None) -> None:
        self._path, self._packed = path, packed
        self._ratio = Limits.chosen().ratio if ratio is None else ratio
        self._unpacked = 0

    def add(self, count: int) -> None:
        """Say that so many bytes more were unpacked.

        Raises:
            FrescoError: the file grows beyond what data does.
        """
        self._unpacked += count
        if self._unpacked > _FREE and self._unpacked > self._ratio * max(self._packed.tell(), 1):
            raise FrescoError(
                f"{self._path}: unpacks to over {self._ratio} times its size ({self._unpacked // _MIB:,} MiB so far), "
                "as files made to fill memories do; if it is yours, set FRESCO_MAX_RATIO higher or unpack it first"
            )


def unpacked(raw: BinaryIO, path: Path) -> BinaryIO:
    """A reader of what a file holds, packed with gzip, bzip2 or xz, or not at all.

    What it is packed with is told from its first bytes: a browser may have unpacked ``x.gz`` while it kept the name.

    Raises:
        FrescoError: it is packed with something else.
    """
    head = raw.read(6)
    raw.seek(0)
    if head.startswith(b"\x1f\x8b"):
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    if head.startswith(b"BZh"):
        return cast(BinaryIO, bz2.BZ2File(raw))
    if head.startswith(b"\xfd7zXZ\0"):
        return cast(BinaryIO, lzma.LZMAFile(raw))
    for magic, kind in ((b"\x28\xb5\x2f\xfd", "zstd"), (b"7z\xbc\xaf\x27\x1c", "7z"), (b"PK\x03\x04", "zip")):
        if head.startswith(magic):
            raise FrescoError(f"{path}: is packed with {kind}; unpack it first, or pack it with gzip or xz")
    return raw


@contextmanager
def open_unpacked(path: Path) -> Iterator[tuple[BinaryIO, Expansion | None]]:
    """A file's content, with its watch where it is packed; see :func:`unpacked`.

    Raises:
        FrescoError: it is packed with what cannot be read here.
        OSError: it cannot be opened.
    """
    with path.open("rb") as raw:
        stream = unpacked(raw, path)
        if stream is raw:
            yield raw, None
            return
        # A decompressor may keep what it has read; only the raw file knows how much of it was taken.
        with io.BufferedReader(cast(io.RawIOBase, stream), _MIB // 4) as buffered:
            yield buffered, Expansion(path, raw)


def numbered_lines(path: Path, limits: Limits | None = None) -> Iterator[tuple[int, bytes]]:
    r"""The lines of a file in a stream, with their numbers from 1; packed or not, without a byte order mark.

    Lines end at ``\n`` alone, which stays on: U+2028 and its like may stand inside a JSON string.

    Raises:
        FrescoError: it cannot be read, is damaged, passes a limit, or is UTF-16.
    """
    limits = limits or Limits.chosen()
    number = 0
    try:
        with open_unpacked(path) as (stream, expansion):
            while line := stream.readline(limits.line + 1):
                number += 1
                if len(line) > limits.line:
                    raise FrescoError(_too_long(path, number, limits))
                if expansion is not None:
                    expansion.add(len(line) + _LINE_COSTS)
                if number == 1:
                    line = _without_mark(line, path)
                yield number, line
    except BROKEN as error:
        raise FrescoError(_unreadable(path, number, error)) from error


def blocks_of_lines(path: Path, limits: Limits | None = None) -> Iterator[tuple[int, bytes]]:
    r"""What :func:`numbered_lines` gives, as blocks of whole lines, each with the number of its first line.

    For readers that want few of many lines: looking through a block takes a fraction of the time of its lines one by
    one. A block is about 1 MiB and ends with ``\n``, but for the last.

    Raises:
        FrescoError: as there; of a damaged file, after the blocks before it.
    """
    limits = limits or Limits.chosen()
    number, rest = 1, b""
    try:
        with open_unpacked(path) as (stream, expansion):
            while block := stream.read(_MIB):
                if expansion is not None:
                    expansion.add(len(block) + _LINE_COSTS * block.count(b"\n"))
                if number == 1 and not rest:
                    block = _without_mark(block, path)
                whole, end, last = block.rpartition(b"\n")
                if not end:
                    rest += last
                elif whole := rest + whole + end:
                    yield number, whole
                    number, rest = number + whole.count(b"\n"), last
                if len(rest) > limits.line:
                    raise FrescoError(_too_long(path, number, limits))
            if rest:
                yield number, rest
    except BROKEN as error:
        raise FrescoError(_unreadable(path, number - 1, error)) from error


def read_text(path: Path, what: str = "", limits: Limits | None = None) -> str:
    """A whole text file in UTF-8, without a byte order mark.

    Args:
        path: A configuration, an instruction, a list: something that a person writes.
        what: What comes before the path in errors ("--titles ").
        limits: Its ``file`` is how long it may be.

    Raises:
        FrescoError: it cannot be read, is too long or is not UTF-8.
    """
    limits = limits or Limits.chosen()
    try:
        with path.open("rb") as stream:
            content = stream.read(limits.file + 1)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise FrescoError(f"{what}{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    if len(content) > limits.file:
        raise FrescoError(
            f"{what}{path}: longer than {limits.file // _MIB} MiB; is it the right file? FRESCO_MAX_FILE_MB allows more"
        )
    content = _without_mark(content, path)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise FrescoError(
            f"{what}{path}:{line}: byte 0x{content[error.start]:02x} is not UTF-8; cannot be read, save it as UTF-8"
        ) from None


def _without_mark(content: bytes, path: Path) -> bytes:
    if content.startswith(_UTF16):
        raise FrescoError(f"{path}: is UTF-16; save it as UTF-8")
    return content.removeprefix(codecs.BOM_UTF8)


def _too_long(path: Path, number: int, limits: Limits) -> str:
    return (
        f"{path}:{number}: a line longer than {limits.line // _MIB} MiB; is this a file of lines? "
        "If it is, set FRESCO_MAX_LINE_MB higher"
    )


def _unreadable(path: Path, number: int, error: BaseException) -> str:
    said = " ".join(str(getattr(error, "strerror", None) or error).split())
    after = f" after line {number}" if number or not getattr(error, "errno", None) else ""
    return f"{path}: cannot be read{after}: {said}"
