"""The arguments of a call as they are written on a command line: ``2,name=x``."""

from __future__ import annotations

import ast
from typing import Any

from fresco.errors import FrescoError

_OPENING = "'\"[({"


def read_arguments(where: str, text: str) -> tuple[list[Any], dict[str, Any]]:
    """Read what follows ``module:Class,``.

    Arguments are separated by commas; ``name=value`` is given by name. A value that is a Python literal is that
    (``2``, ``1e-3``, ``True``, ``None``, ``'a, b'``, ``[1, 2]``), any other is text as it stands. Text that holds a
    comma, or that would be read as something else, is put in quotes. Nothing is evaluated.

    Args:
        where: The flag and the spec, for messages.
        text: What is written; empty for no arguments.

    Raises:
        FrescoError: an empty argument, a quote or bracket that is not closed, a name twice, or a value without a name
            behind one with a name.
    """
    arguments: list[Any] = []
    keywords: dict[str, Any] = {}
    rest: str | None = text if text.strip() else None
    while rest is not None:
        name, rest = _name(rest)
        value, rest = _value(where, rest, named=bool(name))
        if not name and keywords:
            raise FrescoError(f"{where}: {value!r} stands behind an argument with a name; put it in front")
        if name in keywords:
            raise FrescoError(f"{where}: {name} is given twice")
        if name:
            keywords[name] = value
        else:
            arguments.append(value)
    return arguments, keywords


def _name(text: str) -> tuple[str, str]:
    name, mark, rest = text.partition("=")
    return (name.strip(), rest) if mark and name.strip().isidentifier() else ("", text)


def _value(where: str, text: str, *, named: bool) -> tuple[Any, str | None]:
    """The value at the beginning, and what follows its comma; None where no comma follows."""
    text = text.lstrip()
    ends = [place for place, letter in enumerate(text) if letter == ","] + [len(text)]
    quoted = text[:1] and text[0] in _OPENING
    for end in ends if quoted else ends[:1]:
        written = text[:end].strip()
        rest = text[end + 1 :] if end < len(text) else None
        if not written and not named:
            raise FrescoError(f"{where}: an argument is empty; write '' for an empty text")
        try:
            return ast.literal_eval(written), rest
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            if not quoted:
                return written, rest
    raise FrescoError(f"{where}: {text[0]} in {text!r} is not closed, or what it holds is no plain value")
