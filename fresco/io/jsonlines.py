"""JSON Lines from outside, plain or packed (gzip, bzip2, xz), with the place of each line for errors."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError
from fresco.io.names import one_line, short
from fresco.io.packed import Limits, numbered_lines

_LONGEST_NUMBER = 300  # digits; floats reach to 309


def read_objects(path: Path, what: str, limits: Limits | None = None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of a file, each with ``FILE:LINE``; blank lines and a byte order mark are passed over.

    Args:
        path: Read in a stream; what it is packed with is told from its first bytes.
        what: What one line holds ("question"), for errors.
        limits: Of lines and of unpacking.

    Raises:
        FrescoError: the file cannot be read or passes a limit, or a line is no JSON object in UTF-8.
    """
    for number, line in numbered_lines(path, limits):
        if line.strip():
            where = f"{path}:{number}"
            try:
                row = parse_json(line)
            except ValueError as error:
                raise FrescoError(f"{where}: no valid JSON ({one_line(str(error), 160)}); one {what} a line") from None
            if not isinstance(row, Mapping):
                raise FrescoError(f"{where}: a JSON object is wanted, this is {type(row).__name__}")
            yield where, row


def parse_json(content: bytes | str) -> Any:
    """JSON from outside.

    Raises:
        ValueError: it is none (also NaN and Infinity, which JSON does not have), not UTF-8, nested beyond the
            interpreter's limit, or holds a number that no float can hold.
    """
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        return json.loads(text, parse_constant=_refuse, parse_int=_whole, parse_float=_finite)
    except RecursionError:
        raise ValueError("brackets nested by the hundreds") from None


def _whole(digits: str) -> int:
    if len(digits) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{short(digits)} is beyond every float")
    return number


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")
