"""Words of a text, as BM25 and the measures of overlap count them."""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

_ASCII_WORD = re.compile(r"\w+")
_JOINERS = "\u200c\u200d"  # inside a word they choose a letter's shape; at its end they say nothing
# Scripts that put no blank between words: Thai, Lao, Burmese, Khmer, kana, Han with its repetition marks.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\uff66-\uff9f\U00020000-\U0003ffff"
)
_UNSPACED_RUN = re.compile(rf"[{_UNSPACED}]+")


def words(text: str) -> list[str]:
    r"""Lower-cased runs of letters, digits and underscores, each with its marks, composed (NFC).

    ``\w`` alone ends at a mark: it would cut Hindi and Tamil at their vowel signs, Arabic and Hebrew at their points
    and a decomposed "é" behind the "e". Joiners inside a word belong to it, as in UAX #29.

    Where a script puts no blank between words, a run of it is cut into all pairs of neighbouring letters, so that a
    part of it is found: the bigrams of Lucene's analyzer for Chinese, Japanese and Korean. (Korean has blanks.)
    """
    text = text.lower()
    if text.isascii():
        return _ASCII_WORD.findall(text)
    found: list[str] = _word().findall(unicodedata.normalize("NFC", text))
    if not any(map(_UNSPACED_RUN.search, found)):
        return found
    return [part for word in found for part in _parts(word)]


def cut_whole(word: str) -> bool:
    """Whether a word is longer than :func:`words` leaves one: an earlier version did not cut it."""
    return not word.isascii() and len(list(_parts(word))) > 1


def _parts(word: str) -> Iterator[str]:
    at = 0
    for run in _UNSPACED_RUN.finditer(word):
        if before := word[at : run.start()]:
            yield before
        letters = _letter().findall(run.group())
        yield from map("".join, pairwise(letters)) if len(letters) > 1 else [run.group()]
        at = run.end()
    if after := word[at:]:
        yield after


@cache
def _letter() -> re.Pattern[str]:
    """A letter with the marks that stand on it, whatever stands there."""
    return re.compile(rf".[{_marks()}{_JOINERS}]*")


@cache
def _word() -> re.Pattern[str]:
    marks = _marks()
    return re.compile(rf"\w+(?:[{marks}{_JOINERS}]+\w+|[{marks}]+)*")


@cache
def _marks() -> str:
    return "".join(char for char in map(chr, range(0x300, sys.maxunicode + 1)) if unicodedata.category(char)[0] == "M")
