"""Words of a text, as BM25 and the measures of overlap count them."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

_ASCII_WORD = re.compile(r"\w+")
_JOINERS = "\u200c\u200d"  # inside a word they choose a letter's shape; at its end they say nothing


def words(text: str) -> list[str]:
    r"""Lower-cased runs of letters, digits and underscores, each with its marks, composed (NFC).

    ``\w`` alone ends at a mark: it would cut Hindi and Tamil at their vowel signs, Arabic and Hebrew at their points
    and a decomposed "é" behind the "e". Joiners inside a word belong to it, as in UAX #29.
    """
    text = text.lower()
    if text.isascii():
        return _ASCII_WORD.findall(text)
    return _word().findall(unicodedata.normalize("NFC", text))


@cache
def _word() -> re.Pattern[str]:
    marks = "".join(char for char in map(chr, range(0x300, sys.maxunicode + 1)) if unicodedata.category(char)[0] == "M")
    return re.compile(rf"\w+(?:[{marks}{_JOINERS}]+\w+|[{marks}]+)*")
