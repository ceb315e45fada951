"""Tables from outside, TSV and Parquet, row by row in a stream, each with its place for errors."""

from __future__ import annotations

import csv
import gzip
import lzma
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from fresco.errors import FrescoError

_LONGEST_CELL = 16 << 20  # characters; the csv module's own limit is 128 KiB
_PACKED = (".gz", ".xz")


def kind_of(path: Path) -> str:
    """The ending of a file's name, without that of its packing: ``.tsv`` for ``psgs_w100.tsv.gz``."""
    return (path.with_suffix("") if path.suffix in _PACKED else path).suffix.lower()


def read_tsv(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The rows of a file whose cells stand between tabs, plain or packed (``.gz``, ``.xz``), each with ``FILE:LINE``.

    Cells may stand in quotes, inside which a quote is written twice, as Python's ``csv`` writes them and DPR's files
    have them. Empty lines are passed over.

    Raises:
        FrescoError: the file cannot be read, or is no UTF-8.
    """
    line = 0
    try:
        with _opened(path) as stream:
            csv.field_size_limit(_LONGEST_CELL)
            rows = csv.reader(stream, delimiter="\t")
            for row in rows:
                start, line = line + 1, rows.line_num
                if row:
                    yield f"{path}:{start}", row
    except (OSError, EOFError, lzma.LZMAError, UnicodeDecodeError, csv.Error) as error:
        raise FrescoError(f"{path}: cannot be read after line {line}: {error}") from error


def named_rows(rows: Iterator[tuple[str, list[str]]], header: Sequence[str]) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Rows as mappings from the names in a header.

    Raises:
        FrescoError: a row with another number of cells.
    """
    for where, row in rows:
        if len(row) != len(header):
            raise FrescoError(
                f"{where}: {len(row)} cells, and the header has {len(header)} ({', '.join(header)}); a quotation mark "
                "that opens a cell must be closed, and be doubled inside it"
            )
        yield where, dict(zip(header, row, strict=True))


def read_parquet(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows of a Parquet file, each with ``FILE, row N``.

    Raises:
        FrescoError: it cannot be read.
    """
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(1024):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path}, row {number}", row
    except (OSError, pyarrow.ArrowException) as error:
        said = " ".join(str(error).split())[:200]
        raise FrescoError(f"{path}: cannot be read as Parquet after row {number}: {said}") from error


def _opened(path: Path) -> IO[str]:
    # utf-8-sig: spreadsheets put a byte order mark before the first cell.
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")
