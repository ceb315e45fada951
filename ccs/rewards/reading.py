"""Questions and pages as the rewards that need no model read them: words by their stems and weights, titles, names.

Names count three times, words of grammar not at all. A page's title is its quoted first line, as in Search-R1's layout.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from ccs.rewards.mask.embedded import common_words
from ccs.rewards.mask.text import FUNCTION_WORDS, WORD

_NAME, _NUMBER, _WORD = 3.0, 1.5, 1.0  # weights of a question's words
_LONGEST_TITLE = 20  # words; a first line in quotes may be anything
_GRAMMAR = FUNCTION_WORDS | {"how", "name", "named", "called", "does", "did"}
_NOTE = re.compile(r"\s*\([^()]*\)\s*$")
_INSIDE_WORD = re.compile(r"[-&.]")
_SUFFIXES = ("ing", "ed")
_POSSESSIVE = ("s", "S")


class Page(NamedTuple):
    """A text, read: a page, or the question."""

    title: tuple[str, ...]
    title_weights: tuple[float, ...]
    text: str  # stems between blanks, without the title
    words: frozenset[str]
    weights: Mapping[str, float]
    names: frozenset[tuple[str, ...]]


@lru_cache(maxsize=4096)
def read_question(text: str) -> Page:
    """A question, or another text without a title."""
    return _read("", text)


@lru_cache(maxsize=8192)
def read_page(contents: str) -> Page:
    """A passage; its title is the first line, where that stands in quotes."""
    first, line_break, rest = contents.partition("\n")
    if line_break and len(first) > 2 and first.startswith('"') and first.endswith('"'):
        return _read(_NOTE.sub("", first[1:-1]) or first[1:-1], rest)
    return _read("", contents)


def _read(title: str, text: str) -> Page:
    heading = [(_stem(word), _weight(word)) for word in _split(title)[:_LONGEST_TITLE]]
    body = [(_stem(word), _weight(word)) for word in _split(text)]
    return Page(
        title=tuple(word for word, _ in heading),
        title_weights=tuple(weight for _, weight in heading),
        text=f" {' '.join(word for word, _ in body)} ",
        words=frozenset(word for word, weight in (*heading, *body) if weight),
        weights={word: weight for word, weight in body if weight},
        names=frozenset(names(title)) | frozenset(names(text)),
    )


def stems(text: str) -> list[str]:
    """The stems of all words of a text, in order; what is left of a possessive is none."""
    return [_stem(word) for word in _split(text) if word not in _POSSESSIVE]


def _split(text: str) -> list[str]:
    return [part for word in WORD.findall(text) for part in _INSIDE_WORD.split(word) if part]


def _weight(word: str) -> float:
    folded = word.casefold()
    if folded in _GRAMMAR:
        return 0.0
    if any(character.isdigit() for character in word):
        return _NUMBER
    return _WORD if folded in common_words() else _NAME


def names(text: str) -> list[tuple[str, ...]]:
    """Runs of words with a capital: of two words or more, or of one that is uncommon."""
    found: list[tuple[str, ...]] = []
    run: list[str] = []
    end = -1
    for match in WORD.finditer(f"{text} ."):
        word = match.group()
        name = word[0].isupper() and word.casefold() not in _GRAMMAR
        if run and not (name and text[end : match.start()] == " "):
            found.append(tuple(run))
            run = []
        if name:
            run.append(word)
            end = match.end()
    found += [tuple(run)] if run else []
    return [tuple(map(_stem, each)) for each in found if len(each) > 1 or each[0].casefold() not in common_words()]


@lru_cache(maxsize=65536)
def _stem(word: str) -> str:
    """Case and the commonest endings off: enough to match "directed" with "directing", never a dictionary form."""
    word = word.casefold().removesuffix("'s").removesuffix("\u2019s")
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        word = word[:-1]
    for suffix in _SUFFIXES:
        if len(word) > len(suffix) + 3 and word.endswith(suffix):
            return word.removesuffix(suffix)
    return word
