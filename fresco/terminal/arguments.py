"""Kinds of command line arguments that several commands take, for argparse's ``type=``."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable

from fresco.io.names import short
from fresco.io.secrets import redacted

#: Beyond this neither SQLite nor NumPy holds a whole number.
_MOST = 2**63 - 1


def address(text: str) -> str:
    """Any text, also an address with a password or a token: what options that name a server take."""
    return text


def plain(text: str) -> str:
    """Any text without secrets, which is what options take that name no server: such values stand in results."""
    if "://" in text and redacted(text) != text:
        raise argparse.ArgumentTypeError(
            f"{short(redacted(text))} holds a password or a query (?...), which may be a secret, and this value is "
            "written down; leave that away"
        )
    return text


def whole(text: str) -> int:
    """A whole number as people write it; ``int`` would also take ``1_0`` and the digits of forty scripts."""
    if not re.fullmatch(r"[+-]?[0-9]{1,19}", text) or abs(int(text)) > _MOST:
        raise argparse.ArgumentTypeError(f"{short(text)} is no whole number of at most 63 bits")
    return int(text)


def positive(text: str) -> int:
    """A whole number above zero."""
    number = whole(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return number


def count(text: str) -> int:
    """A whole number from zero up."""
    number = whole(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below zero")
    return number


def whole_in(low: int, high: int) -> Callable[[str], int]:
    """A kind: a whole number from ``low`` to ``high``, both included."""

    def number(text: str) -> int:
        value = whole(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not from {low} to {high}")
        return value

    return number


def number_in(low: float, high: float, *, above: bool = False) -> Callable[[str], float]:
    """A kind: a number from ``low`` to ``high``.

    Args:
        low: The least, or with ``above`` the number that it must exceed.
        high: The greatest; infinity itself is never allowed.
        above: Whether ``low`` is left out.
    """

    def number(text: str) -> float:
        if not re.fullmatch(r"[+-]?[0-9]{0,19}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,3})?", text) or not text[-1:].isdigit():
            raise argparse.ArgumentTypeError(f"{short(text)} is no number")
        value = float(text)
        if math.isinf(value) or not (low < value <= high or (value == low and not above)):
            reach = "" if math.isinf(high) else f" and at most {high:g}"
            raise argparse.ArgumentTypeError(f"{text} is not {'above' if above else 'at least'} {low:g}{reach}")
        return value

    return number


def seconds(text: str) -> float:
    """A time in seconds, above zero."""
    return number_in(0, math.inf, above=True)(text)


def listed(text: str) -> tuple[str, ...]:
    """Words between commas, blanks kept: a token may begin with one."""
    return tuple(plain(text).split(","))
