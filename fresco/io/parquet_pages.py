"""What the pages of a Parquet file say that they unpack to, whatever its footer says.

The sizes in a footer are only stated: a page is unpacked to the size in its own header, into memory of that size, and
no decompressor goes beyond it. So the headers are walked through, a few bytes each, before a page is read. They are
Thrift structs in the compact protocol (``PageHeader`` of ``parquet.thrift``): type, unpacked size, packed size, and
fields that are passed over here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from fresco.errors import FrescoError

_HEADERS = (1 << 14, 1 << 24)  # bytes in which a header is looked for; statistics of long texts make the longest
_PAGES = 1_000_000  # of a file
_DEPTH = 16  # of structs in structs
_UNPACKED, _PACKED = 2, 3  # fields of PageHeader
_STOP, _TRUE, _FALSE, _BINARY, _LIST, _SET, _STRUCT = 0, 1, 2, 8, 9, 10, 12
_WIDTHS = {3: 1, 7: 8}  # bytes of a byte, of a double
_WHOLE = (4, 5, 6)  # i16, i32, i64: zigzag varints


class _Bytes:
    """A cursor over the bytes of a header."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        number, shift = 0, 0
        while True:
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7
            if shift > 63:
                raise ValueError("a number of more than 64 bits")

    def whole(self) -> int:
        number = self.varint()
        return (number >> 1) ^ -(number & 1)


def unpacked_sizes(path: Path, raw: BinaryIO, stated: Any) -> Iterator[int]:
    """The size to which each page says that it unpacks.

    Args:
        path: For errors.
        raw: The file.
        stated: Its ``pyarrow.parquet.FileMetaData``, which says where the pages of each column begin.

    Raises:
        FrescoError: a header is none, or the pages are more than files have.

    Yields:
        Bytes, with the file at its end.
    """
    count = 0
    for group in range(stated.num_row_groups):
        for number in range(stated.num_columns):
            column = stated.row_group(group).column(number)
            starts = [column.data_page_offset, column.dictionary_page_offset if column.has_dictionary_page else None]
            at = min((start for start in starts if start), default=0)
            end = at + column.total_compressed_size
            while at < end:
                count += 1
                length, unpacked, packed = _read(path, raw, at)
                raw.seek(0, os.SEEK_END)
                if count > _PAGES:
                    raise FrescoError(f"{path}: has more than {_PAGES} pages; write it with larger ones")
                yield unpacked
                at += length + packed


def _read(path: Path, raw: BinaryIO, at: int) -> tuple[int, int, int]:
    said: Exception | None = None
    for most in _HEADERS:
        try:
            raw.seek(at)
            return _header(raw.read(most))
        except (ValueError, IndexError, OverflowError) as error:
            said = error
    raise FrescoError(f"{path}: cannot be read as Parquet after row 0: no page at byte {at} ({said}); is it whole?")


def _header(data: bytes) -> tuple[int, int, int]:
    """Length of the header, unpacked and packed size of its page."""
    cursor = _Bytes(data)
    sizes: dict[int, int] = {}
    field = 0
    while (head := cursor.byte()) != _STOP:
        field = field + (head >> 4) if head >> 4 else cursor.whole()
        kind = head & 0x0F
        if field in (_UNPACKED, _PACKED) and kind in _WHOLE:
            sizes[field] = cursor.whole()
        else:
            _skip(cursor, kind, 0)
    unpacked, packed = sizes.get(_UNPACKED, -1), sizes.get(_PACKED, -1)
    if unpacked < 0 or packed < 0:
        raise ValueError("without its sizes")
    return cursor.at, unpacked, packed


def _skip(cursor: _Bytes, kind: int, depth: int, *, inside: bool = False) -> None:
    """Pass over a value; a truth value is in its field's head, but has a byte of its own inside a list."""
    if depth > _DEPTH:
        raise ValueError("structs nested too deep")
    if kind in (_TRUE, _FALSE):
        cursor.at += inside
    elif kind in _WIDTHS:
        cursor.at += _WIDTHS[kind]
    elif kind in _WHOLE:
        cursor.varint()
    elif kind == _BINARY:
        length = cursor.varint()
        cursor.at += length
    elif kind in (_LIST, _SET):
        head = cursor.byte()
        for _ in range(head >> 4 if head >> 4 < 15 else cursor.varint()):
            _skip(cursor, head & 0x0F, depth + 1, inside=True)
    elif kind == _STRUCT:
        while (head := cursor.byte()) != _STOP:
            if not head >> 4:
                cursor.whole()
            _skip(cursor, head & 0x0F, depth + 1)
    else:
        raise ValueError(f"a field of kind {kind}")
    if cursor.at > len(cursor.data):
        raise ValueError("cut off")
