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

from collections.abc import Sequence

from ccs.rewards.bottleneck import Trace
from ccs.rewards.mask.embedded import common_words
from ccs.rewards.reading import Page, read_page, read_question

_VERSION = 1
_SHARED_NAME = 0.5
_SHORTEST_RUN = 0.5  # of a title's weight


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
            self._score(read_question(question), [read_page(page) for page in trace.pages]) for question, trace in pairs
        ]

    def _score(self, question: Page, pages: Sequence[Page]) -> float:
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


def _strengths(question: Page, pages: Sequence[Page]) -> list[float]:
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


def _link(question: Page, one: Page, other: Page) -> float:
    if one.title and one.title == other.title:
        return 0.0
    title = max(_title_share(one, other.text), _title_share(other, one.text))
    if title >= _SHORTEST_RUN:
        return title
    shared = any(not question.words.issuperset(name) for name in one.names & other.names)
    return _SHARED_NAME if shared else 0.0


def _title_share(page: Page, text: str) -> float:
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
