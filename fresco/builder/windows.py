"""Cut a section into windows that a re-ranker reads whole.

A window is a run of whole sentences, rows of a table or lines of an infobox. Its place is kept as characters of the
section's plain text, so a manifest can name it without its words.

Lengths are estimated without a tokenizer: a word counts one token for every six letters or two digits begun, each
other mark one. On real passages that is a little more than the word pieces of the BERT vocabulary (a test says so).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from fresco.builder.statements import in_place, sentences
from fresco.builder.wikitext.tables import SEPARATOR

#: No passage, title, heading and date included, is longer.
MOST_TOKENS = 400
#: What the text of a window may take at most: titles, headings and the date need the rest.
MOST_TEXT_TOKENS = 300
#: Sizes of windows, the largest first. A pool takes the largest at which no two labels share a text.
SIZES = (MOST_TEXT_TOKENS, 200, 130, 85, 60)
#: Shorter windows are captions and stubs.
FEWEST_WORDS = 8

_LETTERS, _DIGITS = 6, 2
_TOKEN = re.compile(r"\d+|[^\W\d_]+|[^\w\s]|_")


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a section: ``text[start:end]`` of its plain text."""

    start: int
    end: int


def token_estimate(text: str) -> int:
    """About how many word pieces a BERT tokenizer makes of a text, rather too many than too few."""
    total = 0
    for match in _TOKEN.finditer(text):
        length = match.end() - match.start()
        total += -(-length // (_DIGITS if match.group()[0].isdigit() else _LETTERS))
    return total


@lru_cache(maxsize=1024)
def units(text: str) -> tuple[tuple[int, int, int], ...]:
    """The parts that are never cut, as (start, end, tokens): sentences and rows; overlong ones cut between words."""
    found = []
    for start, end in sentences(in_place(text)):
        for first, last in _pieces(text, start, end):
            found.append((first, last, token_estimate(text[first:last])))
    return tuple(found)


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    if end - start <= 2 * MOST_TEXT_TOKENS or token_estimate(text[start:end]) <= MOST_TEXT_TOKENS:
        yield start, end
        return
    # A row of a wide table, or a sentence without end: between cells, or else between words.
    mark = re.escape(SEPARATOR) if SEPARATOR in text[start:end] else r"\s+"
    places = [start, *(match.end() for match in re.compile(mark).finditer(text, start, end)), end]
    first, used = start, 0
    for before, after in pairwise(places):
        tokens = token_estimate(text[before:after])
        if used and used + tokens > MOST_TEXT_TOKENS:
            yield first, before
            first, used = before, 0
        used += tokens
    # What has neither cells nor blanks to cut at is cut anywhere.
    while token_estimate(text[first:end]) > MOST_TEXT_TOKENS:
        middle = first + MOST_TEXT_TOKENS
        yield first, middle
        first = middle
    yield first, end


def windows(text: str, parts: Sequence[tuple[int, int, int]], size: int) -> list[Window]:
    """Windows of at most ``size`` tokens that lie side by side and leave nothing out.

    Args:
        text: Plain text of the section.
        parts: Its :func:`units`.
        size: In estimated tokens; a single unit may be longer.
    """
    total = sum(tokens for _, _, tokens in parts)
    # Even windows: no short rest at the end.
    aim = total / max(1, -(-total // size))
    found: list[Window] = []
    used = done = 0
    first = last = -1
    for start, end, tokens in parts:
        if used and (used + tokens > size or done >= aim * (len(found) + 1)):
            found.append(_stripped(text, first, last))
            used = 0
        if not used:
            first = start
        last, used, done = end, used + tokens, done + tokens
    if used:
        found.append(_stripped(text, first, last))
    return [window for window in found if window.end > window.start]


def _stripped(text: str, start: int, end: int) -> Window:
    piece = text[start:end]
    return Window(start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip()))
