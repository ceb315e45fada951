"""Tables from outside whose cells stand between tabs, row by row in a stream, each with its place for errors."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fresco.errors import FrescoError
from fresco.io.packed import numbered_lines

LONGEST_CELL = 16 << 20  # characters; the csv module's own limit is 128 KiB
_PACKED = (".gz", ".xz")


def kind_of(path: Path) -> str:
    """The ending of a file's name, without that of its packing: ``.tsv`` for ``psgs_w100.tsv.gz``."""
    return (path.with_suffix("") if path.suffix in _PACKED else path).suffix.lower()


def read_tsv(path: Path) -> Iterator[tuple[str, list[str]]]:
    """The rows of a file whose cells stand between tabs, plain or packed, each with ``FILE:LINE``.

    Cells may stand in quotes, inside which a quote is written twice, as Python's ``csv`` writes them and DPR's files
    have them. Empty lines are passed over.

    Raises:
        FrescoError: the file cannot be read, is no UTF-8, or passes a limit of :mod:`fresco.io.packed`.
    """
    line = 0
    csv.field_size_limit(LONGEST_CELL)
    rows = csv.reader((content.decode("utf-8") for _, content in numbered_lines(path)), delimiter="\t")
    try:
        for row in rows:
            start, line = line + 1, rows.line_num
            if row:
                yield f"{path}:{start}", row
    except (UnicodeDecodeError, csv.Error) as error:
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
