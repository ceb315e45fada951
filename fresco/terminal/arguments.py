"""Kinds of command line arguments that several commands take, for argparse's ``type=``."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """A whole number above zero."""
    number = int(text)
    if number <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above zero")
    return number
