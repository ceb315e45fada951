"""State files of our own, JSON each: written with a checksum, read as what they must hold or refused in one line.

A disk, an editor or a copy that broke off may leave anything under the name of such a file. So nothing of it is used
before the checksum and the kinds of its fields are right; the line of the error says which file it is and how to go on.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from fresco.errors import FrescoError
from fresco.io.files import write_record
from fresco.io.jsonlines import parse_json
from fresco.io.names import one_line, short
from fresco.io.packed import Limits
from fresco.io.secrets import redacted

if TYPE_CHECKING:
    import numpy.typing as npt

_SUM = "checksum"

#: Kinds of fields by name: a type, several (``int | None`` is written ``(int, type(None))``), or a check that is True.
Shape = Mapping[str, "type | tuple[type, ...] | Callable[[Any], bool]"]


def write_state(path: Path, content: Mapping[str, Any]) -> None:
    """Write a state file, whole or not at all, without secrets, its checksum first.

    Raises:
        FrescoError: it cannot be written.
    """
    plain = json.loads(json.dumps(redacted(content), allow_nan=False))
    write_record(path, {_SUM: _checksum(plain), **plain})


def read_state(path: Path, shape: Shape, mend: str) -> dict[str, Any]:
    """The content of a state file, without its checksum.

    Files that an earlier version wrote have no checksum; their fields are checked alone.

    Args:
        path: The file.
        shape: What it must hold; further fields are let through.
        mend: How to go on without it ("run `ccs index` again").

    Raises:
        FileNotFoundError: there is none.
        FrescoError: it cannot be read, or is damaged.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(Limits.chosen().file + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise FrescoError(f"{path}: cannot be read ({error.strerror or error}); {mend}") from error
    if len(raw) > Limits.chosen().file:
        raise FrescoError(f"{path}: is far longer than such a file can be; {mend}")
    try:
        content = parse_json(raw)
    except ValueError as error:
        raise FrescoError(f"{path}: is damaged ({one_line(str(error), 120)}); {mend}") from None
    if not isinstance(content, dict):
        raise FrescoError(f"{path}: is damaged (holds {short(content)}, no object); {mend}")
    said = content.pop(_SUM, None)
    if said is not None and said != _checksum(content):
        raise FrescoError(f"{path}: is damaged, or was changed by hand (its checksum is another's); {mend}")
    check_shape(path, content, shape, mend)
    return content


def check_shape(path: Path, content: Mapping[str, Any], shape: Shape, mend: str) -> None:
    """Refuse content that lacks a field, or has one of another kind; arguments as of :func:`read_state`.

    Raises:
        FrescoError: it does.
    """
    for name, kind in shape.items():
        if name not in content:
            raise FrescoError(f"{path}: is damaged (has no {name}); {mend}")
        if not _is(content[name], kind):
            raise FrescoError(f"{path}: is damaged ({name} is {short(content[name])}); {mend}")


@contextmanager
def reading(path: Path, mend: str) -> Iterator[None]:
    """Make one line of whatever content that is not what it should be runs into, deep inside of what is read from it.

    Args:
        path: The file or folder that it came from.
        mend: How to go on without it.

    Raises:
        FrescoError: instead of the error of a key, a type or a value.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        said = one_line(f"{type(error).__name__}: {error}", 120)
        raise FrescoError(f"{path}: is damaged ({said}); {mend}") from error


def read_array(path: Path, mend: str, *, mapped: bool = False) -> npt.NDArray[Any]:
    """An array that numpy saved, never one of Python's own objects.

    Args:
        path: The file.
        mend: How to go on without it.
        mapped: Leave it on disk.

    Raises:
        FrescoError: it is missing or damaged.
    """
    import numpy as np

    try:
        found: npt.NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except Exception as error:  # its header is parsed as Python, which fails in a dozen ways
        raise FrescoError(f"{path}: cannot be read as an array ({one_line(str(error), 120)}); {mend}") from error
    if not isinstance(found, np.ndarray):
        raise FrescoError(f"{path}: is an archive, and an array is wanted; {mend}")
    return found


def is_finite(value: object) -> TypeGuard[float]:
    """Whether JSON's value is a number that a float can hold: none of 400 digits, no truth value."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond the largest float
        return False


def _is(value: Any, kind: Any) -> bool:
    if isinstance(kind, type | tuple):
        return isinstance(value, kind) and (not isinstance(value, bool) or kind is bool)
    return bool(kind(value))


def _checksum(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
