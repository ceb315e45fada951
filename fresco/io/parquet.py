"""Parquet from outside: read in a stream, and never larger than such a file can honestly be.

A column can say one text of a megabyte two thousand times in a few kilobytes. So texts are read as the dictionaries
that the file holds, what their rows stand for is counted before it is made, and few rows at a time become Python's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError
from fresco.io.names import one_line
from fresco.io.packed import Expansion
from fresco.io.parquet_pages import unpacked_sizes

_ROWS = 8192  # of a batch
_FEW_ROWS = 16  # of a batch whose lists may hold long texts
_AT_ONCE = 16 << 20  # bytes of rows that are made at once


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows of a Parquet file, each with ``FILE, row N``.

    Args:
        path: The file.
        columns: Those to read; all of them without.

    Raises:
        FrescoError: it cannot be read, stands for over ``FRESCO_MAX_RATIO`` times its size, or a text is not UTF-8.
    """
    import pyarrow

    number = 0
    try:
        for batch, size in _batches(path, columns):
            step = max(1, len(batch) * _AT_ONCE // max(size, 1))
            for start in range(0, len(batch), step):
                part = batch.slice(start, step)
                try:
                    rows = part.to_pylist()
                except UnicodeDecodeError:
                    raise FrescoError(_no_text(path, part, number)) from None
                for row in rows:
                    number += 1
                    yield f"{path}, row {number}", row
    except (OSError, pyarrow.ArrowException) as error:
        raise FrescoError(
            f"{path}: cannot be read as Parquet after row {number}: {one_line(str(error), 200)}"
        ) from error


def _no_text(path: Path, part: Any, number: int) -> str:
    """Where the first text that is no UTF-8 stands, in rows that come after so many."""
    for offset in range(len(part)):
        for name in part.schema.names:
            try:
                part.column(name)[offset].as_py()
            except UnicodeDecodeError as error:
                return f"{path}, row {number + offset + 1}, field {name!r}: byte {error.start + 1} is not UTF-8"
    raise AssertionError("unreachable")


def read_parquet_table(path: Path) -> Any:
    """A Parquet file as one ``pyarrow.Table``; for files that are held in memory anyway.

    Raises:
        FrescoError: it stands for over ``FRESCO_MAX_RATIO`` times its size.
        OSError: it cannot be read.
        pyarrow.ArrowException: it is none.
    """
    import pyarrow
    import pyarrow.parquet

    batches = [batch for batch, _ in _batches(path, None)]
    schema = pyarrow.parquet.read_schema(path)
    return pyarrow.Table.from_batches(batches).cast(schema) if batches else schema.empty_table()


def _batches(path: Path, columns: Sequence[str] | None) -> Iterator[tuple[Any, int]]:
    """Batches of rows with their texts as dictionaries, and the bytes that each stands for."""
    import pyarrow.parquet

    with path.open("rb") as raw:
        raw.seek(0, os.SEEK_END)
        # The sizes that the file states come first: reading a page takes what it unpacks to.
        stated = pyarrow.parquet.read_metadata(path)
        Expansion(path, raw).add(
            sum(stated.row_group(number).total_byte_size for number in range(stated.num_row_groups))
        )
        pages = Expansion(path, raw)
        for size in unpacked_sizes(path, raw, stated):
            pages.add(size)
        expansion = Expansion(path, raw)
        flat, rows = _texts(stated)
        with pyarrow.parquet.ParquetFile(path, read_dictionary=flat) as file:
            for batch in file.iter_batches(rows, columns=columns):
                size = sum(map(_decoded, batch.columns))
                expansion.add(size)
                yield batch, size


def _texts(stated: Any) -> tuple[list[str], int]:
    """The columns of texts that can be read as dictionaries, and the rows that may be read at once for the others."""
    flat, largest = [], 0
    for number in range(stated.num_columns):
        leaf = stated.schema.column(number)
        if leaf.physical_type != "BYTE_ARRAY" or leaf.logical_type.type == "DECIMAL":
            continue
        if leaf.path == leaf.name:
            flat.append(leaf.path)
        else:  # pyarrow does not join dictionaries inside lists and structures
            sizes = [
                stated.row_group(group).column(number).total_uncompressed_size for group in range(stated.num_row_groups)
            ]
            largest = max(largest, *sizes, 0)
    return flat, max(_FEW_ROWS, min(_ROWS, _AT_ONCE // largest if largest else _ROWS))


def _decoded(array: Any) -> int:
    """Bytes of an array without its dictionaries."""
    import pyarrow
    import pyarrow.compute

    kind = array.type
    if pyarrow.types.is_dictionary(kind):
        lengths = pyarrow.compute.binary_length(array.dictionary)
        return int(pyarrow.compute.sum(lengths.take(array.indices)).as_py() or 0)
    if pyarrow.types.is_struct(kind) or pyarrow.types.is_list(kind) or pyarrow.types.is_large_list(kind):
        inner = array.flatten()
        return sum(map(_decoded, inner)) if isinstance(inner, list) else _decoded(inner)
    return int(array.nbytes)
