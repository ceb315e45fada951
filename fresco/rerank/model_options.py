"""Options after a model's name: ``cross-encoder:MODEL#label=1``, ``listwise:MODEL#window=20&passes=2``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fresco.errors import FrescoError

#: What an option wants, in words, and how it is read; raises ValueError or KeyError on anything else.
Readers = Mapping[str, tuple[str, Callable[[str], Any]]]


def split_options(family: str, arguments: str, readers: Readers) -> tuple[str, dict[str, Any]]:
    """The model and its options.

    Args:
        family: For error messages.
        arguments: ``MODEL`` or ``MODEL#name=value&name=value``, values percent-encoded. A folder whose name holds a
            ``#`` is that folder.
        readers: The options that there are.

    Raises:
        FrescoError: an option is unknown, given twice, or has no fitting value.
    """
    model, mark, written = arguments.partition("#")
    if not mark or Path(arguments).expanduser().is_dir():
        return arguments, {}
    options: dict[str, Any] = {}
    for part in filter(None, written.split("&")):
        name, _, value = part.partition("=")
        if name not in readers:
            known = ", ".join(f"{each}=" for each in readers)
            raise FrescoError(f"--reranker {family}:{arguments}: unknown option {unquote(name)!r}; known are {known}")
        if name in options:
            raise FrescoError(f"--reranker {family}:{arguments}: option {name}= is given twice")
        wanted, read = readers[name]
        try:
            options[name] = read(unquote(value))
        except (ValueError, KeyError):
            raise FrescoError(f"--reranker {family}:{arguments}: option {name}= wants {wanted}") from None
    return model, options


def whole(least: int) -> Callable[[str], int]:
    """A reader of whole numbers from ``least`` up."""

    def read(value: str) -> int:
        number = int(value)
        if number < least:
            raise ValueError(value)
        return number

    return read
