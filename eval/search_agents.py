"""Scripted search agents of known quality on questions with gold passages, for `eval/reward_audit.py`."""

from __future__ import annotations

import json
import lzma
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rank_bm25 import BM25Okapi
from study import DATA

from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory, Turn
from ccs.evaluation.answers import squad_words

_TOP_K = 3  # of the agents that read more than one passage a search

Row = Mapping[str, Any]
Page = Mapping[str, Any]


@dataclass(frozen=True)
class Work:
    """What the agents of one question share."""

    question: str
    answer: str
    queries: list[str]  # a search each
    gold: list[Page]  # in the same order
    topical: list[Page]  # the question's other passages, in random order
    hard: list[Page]  # of these the best for each query by BM25
    whole: Page  # of all passages the best for the whole question
    partial: str  # the answer to the first half


#: Name of each agent, and what it does.
AGENTS = {
    "perfect": "finds the gold passage of every hop",
    "half": "finds the first half of the hops",
    "distractors": "finds as many of the question's other passages",
    "hard distractors": "finds those of them that fit its queries best",
    "off-topic": "works on another question",
    "question pasted": "asks the whole question each time, and finds its best passage",
    "pasted, distractors": "asks the whole question each time, and finds what `distractors` does",
    "one page repeated": "finds the first gold passage at every search",
    "fabricated": "finds nothing, and writes the gold passages itself",
    "perfect, top 3": "finds each gold passage among two distractors",
    "distractors, top 3": "finds three distractors a search",
}


def read_rows(name: str, data: Path = DATA) -> list[Row]:
    """Questions with gold passages and at least as many others."""
    with lzma.open(data / "qa" / f"{name}.jsonl.xz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [row for row in rows if 2 <= sum(page["gold"] for page in row["passages"]) <= len(row["passages"]) / 2]


def prepare(row: Row, rng: random.Random) -> Work:
    """Order the gold passages by hop and choose the distractors."""
    queries, answers = _queries(row)
    gold = _by_hop([page for page in row["passages"] if page["gold"]], queries, answers)
    if not queries:
        queries = [page["title"] for page in gold]
        answers = queries
    others = [page for page in row["passages"] if not page["gold"]]
    topical = rng.sample(others, len(others))
    hard: list[Page] = []
    for query in queries:
        hard.append(_best(query, [page for page in others if page not in hard]))
    return Work(
        question=row["question"],
        answer=row["answers"][0],
        queries=queries,
        gold=gold,
        topical=topical,
        hard=hard,
        whole=_best(row["question"], row["passages"]),
        partial=answers[max(1, len(gold) // 2) - 1],
    )


def _queries(row: Row) -> tuple[list[str], list[str]]:
    queries: list[str] = []
    answers: list[str] = []
    for hop in row.get("hops", ()):
        query = re.sub(r"#(\d+)", lambda match: answers[int(match.group(1)) - 1], hop["q"])
        queries.append(query.replace(" >> ", " "))
        answers.append(hop["a"])
    return queries, answers


def _by_hop(pages: list[Page], queries: list[str], answers: list[str]) -> list[Page]:
    """Each hop's passage: the one that has its answer, then most of its words."""
    ordered: list[Page] = []
    for query, answer in zip(queries, answers, strict=True):
        wanted, asked = set(squad_words(answer)), set(squad_words(query))
        left = [page for page in pages if not any(page is each for each in ordered)]
        words = {id(page): set(squad_words(_contents(page))) for page in left}

        def fit(page: Page, words: Any = words, wanted: set[str] = wanted, asked: set[str] = asked) -> float:
            has = words[id(page)]
            return 3 * len(wanted & has) / max(1, len(wanted)) + len(asked & has) / max(1, len(asked))

        ordered.append(max(left, key=fit))
    return ordered or pages


def _best(query: str, pages: Sequence[Page]) -> Page:
    scores = BM25Okapi([squad_words(_contents(page)) for page in pages]).get_scores(squad_words(query))
    return pages[int(np.argmax(scores))]


def _contents(page: Page) -> str:
    return f'"{page["title"]}"\n{page["text"]}'


def agents(question: Question, work: Work, other: Work) -> list[Trajectory]:
    """The trajectories of all agents on a question, one group."""
    n = len(work.gold)
    few = max(1, n // 2)
    topical = work.topical

    def several(firsts: Sequence[Page] | None) -> list[list[Page]]:
        groups = []
        for at in range(n):
            size = _TOP_K - 1 if firsts else _TOP_K
            rest = [topical[(at * size + k) % len(topical)] for k in range(size)]
            groups.append([firsts[at], *rest] if firsts else rest)
        return groups

    wrong = work.topical[0]["title"]
    found: dict[str, tuple[Sequence[str], Sequence[Sequence[Page]], str]] = {
        "perfect": (work.queries, [[page] for page in work.gold], work.answer),
        "half": (work.queries[:few], [[page] for page in work.gold[:few]], work.partial),
        "distractors": (work.queries, [[page] for page in topical[:n]], wrong),
        "hard distractors": (work.queries, [[page] for page in work.hard], work.hard[0]["title"]),
        "off-topic": (other.queries, [[page] for page in other.gold], other.answer),
        "question pasted": ([work.question] * n, [[work.whole]] * n, work.whole["title"]),
        "pasted, distractors": ([work.question] * n, [[page] for page in topical[:n]], wrong),
        "one page repeated": (work.queries, [[work.gold[0]]] * n, work.partial),
        "fabricated": (work.queries, [[]] * n, work.partial),
        "perfect, top 3": (work.queries, several(work.gold), work.answer),
        "distractors, top 3": (work.queries, several(None), wrong),
    }
    own = "".join(f"<information>{_contents(page)}</information>" for page in work.gold)
    return [
        _trajectory(question, number, name, *found[name], written=own if name == "fabricated" else "")
        for number, name in enumerate(AGENTS)
    ]


def _trajectory(
    question: Question,
    sample: int,
    agent: str,
    queries: Sequence[str],
    pages: Sequence[Sequence[Page]],
    answer: str,
    written: str,
) -> Trajectory:
    turns = [
        Turn(
            text=f"<search>{query}</search>{written}",
            query=query,
            hits=tuple(Hit(page["title"], _contents(page)) for page in found),
        )
        for query, found in zip(queries, pages, strict=True)
    ]
    turns.append(Turn(text=f"<answer>{answer}</answer>", answer=answer))
    return Trajectory(question.id, question.text, sample, tuple(turns), "answer", model=agent)


def roll_out(name: str, rows: Sequence[Row], seed: int) -> tuple[list[Question], list[Trajectory]]:
    """Questions and all agents' trajectories of a data set."""
    rng = random.Random(seed)
    works = [prepare(row, rng) for row in rows]
    questions = [
        Question(
            f"{name}/{row['id']}",
            row["question"],
            tuple(row["answers"]),
            tuple(page["title"] for page in row["passages"] if page["gold"]),
            name,
        )
        for row in rows
    ]
    trajectories = [
        each
        for place, (question, work) in enumerate(zip(questions, works, strict=True))
        for each in agents(question, work, works[(place + 1) % len(works)])
    ]
    return questions, trajectories
