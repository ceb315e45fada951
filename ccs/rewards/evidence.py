"""``evidence``: how much of a question a set of pages holds, and whether those pages hang together. Needs no model.

A stand-in for reconstruction that runs anywhere. A question can be rebuilt from pages only where they hold what it
says, so the first factor is **coverage**: the share of the question's words that the pages have, names counting three
times, words of grammar not at all. Coverage alone is topicality: ten pages on the question's topic cover it without
any of them holding the answer (way to cheat 2 of the paper's reading). Pages that answer a question of several hops
do one thing more: one is what the question names, and the next is what that page names. So the second factor is
**linkage**: how firmly the best ``pages`` of them are tied to the question, by their title standing in it, or by a
link to another page that is. The reward is ``coverage * (floor + (1 - floor) * linkage)``.

Two pages are linked where one's text holds the other's title (at least half of it, in one run of words), and half as
firmly where both hold a name that the question does not (the bridge of a question of two hops). A link counts as much
as the page at its other end belongs to the question, so that two pages that link to each other and to nothing else
earn nothing. Parts of one page (the same title) count as one page and are not linked, and what is returned twice adds
nothing. Queries are not read at all: what is pasted there gains nothing.

No gold is used. ``floor``, ``pages`` and the weights are round numbers, chosen on the even rows of MuSiQue and HotpotQA
in :mod:`eval.reward_audit`; its table gives the odd rows and the untouched 2WikiMultihopQA beside them.

Limits: titles are read from the quoted first line of a passage (Search-R1's layout), and without them linkage rests on
shared names alone; questions of one hop want ``pages: 1``; words are compared by their stems, so a paraphrase ("born
in" for "birthplace") covers nothing; capitals mark names, so it reads English and its like.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from ccs.rewards.bottleneck import Trace
from ccs.rewards.mask.embedded import common_words
from ccs.rewards.mask.text import FUNCTION_WORDS, WORD

_VERSION = 1
_NAME, _NUMBER, _WORD = 3.0, 1.5, 1.0  # weights of a question's words
_SHARED_NAME = 0.5
_SHORTEST_RUN = 0.5  # of a title's weight
_LONGEST_TITLE = 20  # words; a first line in quotes may be anything
_GRAMMAR = FUNCTION_WORDS | {"how", "name", "named", "called", "does", "did"}
_NOTE = re.compile(r"\s*\([^()]*\)\s*$")
_INSIDE_WORD = re.compile(r"[-&.]")
_SUFFIXES = ("ing", "ed")


class Evidence:
    """Compares a question with the pages of a trace.

    Args:
        pages: How many linked pages a question wants: 2 for sets of several hops, 1 for those of one.
        floor: What coverage earns without any linkage, from 0 to 1.
    """

    name = "evidence"

    def __init__(self, pages: int = 2, floor: float = 0.3) -> None:
        self._pages = pages
        self._floor = floor
        self.fingerprint = f"evidence-{_VERSION}|{pages}|{floor}|{common_words().fingerprint}"

    def score_traces(self, pairs: Sequence[tuple[str, Trace]]) -> list[float]:
        """A number from 0 to 1 for each (question, trace); 0 where nothing was found."""
        return [
            self._score(_read_question(question), [_read_page(page) for page in trace.pages])
            for question, trace in pairs
        ]

    def _score(self, question: _Page, pages: Sequence[_Page]) -> float:
        total = sum(question.weights.values())
        if not pages or not total:
            return 0.0
        found = frozenset[str]().union(*(page.words for page in pages))
        coverage = sum(weight for word, weight in question.weights.items() if word in found) / total
        best: dict[tuple[str, ...], float] = {}  # of each title: parts of one page are one page
        for page, strength in zip(pages, _strengths(question, pages), strict=True):
            whole = page.title or (page.text,)
            best[whole] = max(best.get(whole, 0.0), strength)
        strengths = sorted(best.values(), reverse=True)[: self._pages]
        return coverage * (self._floor + (1 - self._floor) * sum(strengths) / self._pages)


class _Page(NamedTuple):
    """A text, read: a page, or the question."""

    title: tuple[str, ...]
    title_weights: tuple[float, ...]
    text: str  # stems between blanks, without the title
    words: frozenset[str]
    weights: Mapping[str, float]
    names: frozenset[tuple[str, ...]]


def _strengths(question: _Page, pages: Sequence[_Page]) -> list[float]:
    """How firmly each page is tied to the question, from 0 to 1."""
    total = sum(question.weights.values())
    named = [_title_share(page, question.text) for page in pages]
    covers = [sum(weight for word, weight in question.weights.items() if word in page.words) / total for page in pages]
    rooted = [max(pair) for pair in zip(named, covers, strict=True)]
    strengths = list(named)
    for here, page in enumerate(pages):
        for there in range(here):
            link = _link(question, page, pages[there])
            if link:
                strengths[here] = max(strengths[here], link * rooted[there])
                strengths[there] = max(strengths[there], link * rooted[here])
    return strengths


def _link(question: _Page, one: _Page, other: _Page) -> float:
    if one.title and one.title == other.title:
        return 0.0
    title = max(_title_share(one, other.text), _title_share(other, one.text))
    if title >= _SHORTEST_RUN:
        return title
    shared = any(not question.words.issuperset(name) for name in one.names & other.names)
    return _SHARED_NAME if shared else 0.0


def _title_share(page: _Page, text: str) -> float:
    """Weight of the longest run of the title's words that stands in the text, as a share of the whole title's."""
    total, best = sum(page.title_weights), 0.0
    if not total:
        return 0.0
    for start in range(len(page.title)):
        for end in range(len(page.title), start, -1):
            if sum(page.title_weights[start:end]) <= best:
                break
            if f" {' '.join(page.title[start:end])} " in text:
                best = sum(page.title_weights[start:end])
    return best / total


@lru_cache(maxsize=4096)
def _read_question(text: str) -> _Page:
    return _read("", text)


@lru_cache(maxsize=8192)
def _read_page(contents: str) -> _Page:
    first, line_break, rest = contents.partition("\n")
    if line_break and len(first) > 2 and first.startswith('"') and first.endswith('"'):
        return _read(_NOTE.sub("", first[1:-1]) or first[1:-1], rest)
    return _read("", contents)


def _read(title: str, text: str) -> _Page:
    heading = [(_stem(word), _weight(word)) for word in _split(title)[:_LONGEST_TITLE]]
    body = [(_stem(word), _weight(word)) for word in _split(text)]
    return _Page(
        title=tuple(word for word, _ in heading),
        title_weights=tuple(weight for _, weight in heading),
        text=f" {' '.join(word for word, _ in body)} ",
        words=frozenset(word for word, weight in (*heading, *body) if weight),
        weights={word: weight for word, weight in body if weight},
        names=frozenset(_names(title)) | frozenset(_names(text)),
    )


def _split(text: str) -> list[str]:
    return [part for word in WORD.findall(text) for part in _INSIDE_WORD.split(word) if part]


def _weight(word: str) -> float:
    folded = word.casefold()
    if folded in _GRAMMAR:
        return 0.0
    if any(character.isdigit() for character in word):
        return _NUMBER
    return _WORD if folded in common_words() else _NAME


def _names(text: str) -> list[tuple[str, ...]]:
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
