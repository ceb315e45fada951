"""How well an answer is read out of the passages without a model: where it stands, does the question stand around it?

An extractive reader chooses the sentence whose neighbourhood has most of the question and reads a name, a number or a
date in it. Turned to an answer that is given, it says two things, each from 0 to 1:

* **support**: the share of the question's words (weighted as in :mod:`ccs.rewards.reading`) that stand around the
  answer: in its sentence and in the page's title, and half as much in the sentences beside it;
* **agreement**: that share beside the best one that any other name, number or date of the passages has. An answer that
  stands in no passage, or that the question already has, has neither.

No gold is used. Limits: an answer must stand in a passage word for word, so a "yes" has no support, and a reading of
several hops has only what its last passage says of the question.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from ccs.rewards.reading import Page, names, read_page, read_question, stems

VERSION = 1
_BESIDE = 0.5  # weight of the sentences beside the one of the answer
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[^\W_a-z])|\n+")


class Reading(NamedTuple):
    """See the module."""

    support: float
    agreement: float


class _Sentence(NamedTuple):
    """A sentence: its words as one text of stems between blanks, what could be read in it, and the words around it."""

    text: str
    spans: tuple[tuple[str, ...], ...]
    here: frozenset[str]
    beside: frozenset[str]


def read_answer(question: str, answer: str, pages: Sequence[str]) -> Reading:
    """How firmly an answer stands in passages.

    Args:
        question: Its text.
        answer: The agent's own.
        pages: The passages, each with its title in quotes as its first line, or without one.
    """
    asked, said = read_question(question), stems(answer)
    if asked.words.issuperset(read_question(answer).words):
        return Reading(0.0, 0.0)
    support = max((_covered(asked, each) for each in _sentences(pages) if _stands(said, each.text)), default=0.0)
    if not support:
        return Reading(0.0, 0.0)
    best = max((_covered(asked, each) for each in _sentences(pages) if _says_more(asked, each)), default=0.0)
    return Reading(support, min(1.0, support / best) if best else 1.0)


def _sentences(pages: Sequence[str]) -> Iterator[_Sentence]:
    for page in pages:
        yield from _read(page)


def _stands(said: Sequence[str], text: str) -> bool:
    return f" {' '.join(said)} " in text


def _says_more(asked: Page, sentence: _Sentence) -> bool:
    """Whether a name or number stands there that the question does not have."""
    return any(not asked.words.issuperset(span) for span in sentence.spans)


def _covered(asked: Page, sentence: _Sentence) -> float:
    total = sum(asked.weights.values())
    found = sum(_share(word, sentence) * weight for word, weight in asked.weights.items())
    return found / total if total else 0.0


def _share(word: str, sentence: _Sentence) -> float:
    return 1.0 if word in sentence.here else _BESIDE if word in sentence.beside else 0.0


@lru_cache(maxsize=8192)
def _read(contents: str) -> tuple[_Sentence, ...]:
    page = read_page(contents)
    body = contents.partition("\n")[2] if page.title else contents
    texts = [text for text in _SENTENCE.split(body) if text.strip()]
    read = [stems(text) for text in texts]
    found = []
    for place, (text, own) in enumerate(zip(texts, read, strict=True)):
        beside = (word for near in read[max(0, place - 1) : place + 2] for word in near)
        numbers = tuple((number,) for number in own if any(map(str.isdigit, number)))
        found.append(
            _Sentence(f" {' '.join(own)} ", (*names(text), *numbers), frozenset((*own, *page.title)), frozenset(beside))
        )
    return tuple(found)
