"""What a listwise re-ranker is told, and what is read from its answer.

The conversations are those of RankGPT (arXiv 2304.09542), RankVicuna (2309.15088) and RankZephyr (2312.02724), as in
their authors' code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

Message = dict[str, str]

_NUMBER = re.compile(r"\[(\d+)\]")
_BRACKETED = re.compile(r"\[\s*(?:(?:passage|document|doc)\s*)?(\d+)\s*\]", re.IGNORECASE)
_CHAIN = re.compile(r"\d+(?:\s*[>,]\s*\d+)+")
_THOUGHT = re.compile(r".*</think>|<think>.*", re.DOTALL)


def rankgpt(query: str, passages: Sequence[str]) -> list[Message]:
    """RankGPT: a turn for each passage."""
    count = len(passages)
    opening = (
        f"I will provide you with {count} passages, each indicated by number identifier []. \n"
        f"Rank the passages based on their relevance to query: {query}."
    )
    turns = [
        _said(
            "system",
            "You are RankGPT, an intelligent assistant that can rank passages based on their relevancy to the query.",
        ),
        _said("user", opening),
        _said("assistant", "Okay, please provide the passages."),
    ]
    for place, passage in enumerate(passages, 1):
        turns += [_said("user", f"[{place}] {passage}"), _said("assistant", f"Received passage [{place}].")]
    closing = (
        f"Search Query: {query}. \nRank the {count} passages above based on their relevance to the search query. The "
        "passages should be listed in descending order using identifiers. The most relevant passages should be listed "
        "first. The output format should be [] > [], e.g., [1] > [2]. Only response the ranking results, do not say "
        "any word or explain."
    )
    return [*turns, _said("user", closing)]


def rankzephyr(query: str, passages: Sequence[str]) -> list[Message]:
    """RankZephyr: one turn, after RankLLM's system message."""
    system = "You are RankLLM, an intelligent assistant that can rank passages based on their relevancy to the query"
    example = "[2] > [1], Answer concisely and directly and only respond with the ranking results, do not say any word"
    return [_said("system", system), _said("user", _one_turn(query, passages, f"{example} or explain."))]


def rankvicuna(query: str, passages: Sequence[str]) -> list[Message]:
    """RankVicuna: Vicuna's system message, one turn."""
    system = (
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the user's questions."
    )
    example = "[4] > [2]. Only respond with the ranking results, do not say any word or explain."
    return [_said("system", system), _said("user", _one_turn(query, passages, example))]


PROMPTS: dict[str, Callable[[str, Sequence[str]], list[Message]]] = {
    "rankgpt": rankgpt,
    "rankzephyr": rankzephyr,
    "rankvicuna": rankvicuna,
}


def _one_turn(query: str, passages: Sequence[str], example: str) -> str:
    count = len(passages)
    listed = "\n".join(f"[{place}] {passage}" for place, passage in enumerate(passages, 1))
    return (
        f"I will provide you with {count} passages, each indicated by a numerical identifier []. Rank the passages "
        f"based on their relevance to the search query: {query}.\n\n{listed}\n\nSearch Query: {query}.\n\nRank the "
        f"{count} passages above based on their relevance to the search query. All the passages should be included "
        "and listed using identifiers, in descending order of relevance. The output format should be [] > [], e.g., "
        f"{example}"
    )


def _said(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def without_numbers(text: str) -> str:
    """Text whose own ``[3]`` is no identifier, as in RankLLM."""
    return _NUMBER.sub(r"(\1)", text)


@dataclass(frozen=True)
class Reading:
    """What an answer says.

    Attributes:
        order: Every place of the window once, best first: those named, then those left out in their order before.
        malformed: Whether it names no passage at all.
        missing: Passages that it leaves out.
        repeated: Identifiers that it gives again.
        unknown: Identifiers that no passage has.
    """

    order: tuple[int, ...]
    malformed: bool
    missing: int
    repeated: int
    unknown: int


def read_ranking(answer: str, count: int) -> Reading:
    """Read ``[4] > [2]``, or ``4 > 2`` where there are no brackets, whatever stands around it.

    Args:
        answer: Of the model; a thought before it is left out, and so is one that was cut off before it answered.
        count: Passages of the window.
    """
    answer = _THOUGHT.sub("", answer)
    numbers = _BRACKETED.findall(answer)
    if not numbers:
        chain = max(_CHAIN.findall(answer), key=len, default=answer.strip())
        numbers = re.findall(r"\d+", chain) if re.fullmatch(r"[\d\s>,.]+", chain) else []
    given = [int(number[:9]) - 1 for number in numbers]
    known = [place for place in given if 0 <= place < count]
    named = list(dict.fromkeys(known))
    rest = [place for place in range(count) if place not in set(named)]
    return Reading(
        (*named, *rest), not named, len(rest) if named else 0, len(known) - len(named), len(given) - len(known)
    )
