"""JSON Lines from outside, plain or packed (``.gz``, ``.xz``), with the place of each line for errors."""

from __future__ import annotations

import codecs
import gzip
import json
import lzma
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError


def read_objects(path: Path, what: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of a file, each with ``FILE:LINE``; blank lines are passed over.

    Args:
        path: Read in a stream.
        what: What one line holds ("question"), for errors.

    Raises:
        FrescoError: the file cannot be read, or a line is no JSON object in UTF-8.
    """
    number = 0
    try:
        with _opened(path) as stream:
            for number, line in enumerate(stream, 1):
                if number == 1:
                    line = line.removeprefix(codecs.BOM_UTF8)  # noqa: PLW2901 - some editors begin a file with it
                if line.strip():
                    yield f"{path}:{number}", _object(line, f"{path}:{number}", what)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise FrescoError(f"{path}: cannot be read after line {number}: {error}") from error


def _opened(path: Path) -> Any:
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    return lzma.open(path, "rb") if path.suffix == ".xz" else path.open("rb")


def _object(line: bytes, where: str, what: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FrescoError(f"{where}: no valid JSON ({error}); one {what} a line") from None
    if not isinstance(row, Mapping):
        raise FrescoError(f"{where}: a JSON object is wanted, this is {type(row).__name__}")
    return row
