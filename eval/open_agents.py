"""Agents over real retrieval for `eval/gain_audit.py`: each reads other ranks of a search, and a model answers."""

from __future__ import annotations

import json
import lzma
import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rank_bm25 import BM25Okapi

from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory, Turn
from ccs.auditing.topical import answers
from ccs.rewards.mask.text import FUNCTION_WORDS
from fresco.stats.words import words

_TOP_K, _MEMBERS = 3, 4
_ASKING = {"who", "what", "when", "where", "which", "how", "did", "does", "do", "many", "name", "is", "was", "are"}

Read = Callable[[str, Sequence[Hit]], str]


class OpenQuestions:
    """Questions whose answer stands in some of the first dozen passages of a search, and not in all groups of three.

    Args:
        data: Folder of the data.
        seed: Of their order.
    """

    def __init__(self, data: Path, seed: int) -> None:
        pages = _lines(data / "qa" / "wiki18_passages.jsonl.xz")
        self._hits = [Hit(page["id"], f'"{page["title"]}"\n{page["text"]}') for page in pages]
        self._index = BM25Okapi([words(hit.contents) for hit in self._hits])
        rows = _lines(data / "qa" / "open_questions.jsonl.xz")
        random.Random(seed).shuffle(rows)
        self._rows = rows

    def groups(self) -> Any:
        """(question, query, passages of each member), one question after the other."""
        for row in self._rows:
            question = Question(f"open/{row['id']}", row["question"], tuple(row["answers"]), (), row["dataset"])
            query = " ".join(word for word in words(question.text) if word not in _ASKING | FUNCTION_WORDS)
            if not query:
                continue
            best = np.argsort(-self._index.get_scores(query.split()), kind="stable")[: _TOP_K * _MEMBERS]
            found = [[self._hits[n] for n in best[at : at + _TOP_K]] for at in range(0, len(best), _TOP_K)]
            if 0 < sum(holds(question, hits) for hits in found) < len(found):
                yield question, query, found


def holds(question: Question, hits: Sequence[Hit]) -> bool:
    """Whether a passage has an accepted answer."""
    return any(answers(hit, question) for hit in hits)


def roll_out(question: Question, query: str, found: Sequence[Sequence[Hit]], read: Read) -> list[Trajectory]:
    """A trajectory for each member: one search, and the answer that a model reads out of what it found."""
    made = []
    for number, hits in enumerate(found):
        answer = read(question.text, hits)
        turns = (
            Turn(text=f"<search>{query}</search>", query=query, hits=tuple(hits)),
            Turn(text=f"<answer>{answer}</answer>", answer=answer),
        )
        made.append(
            Trajectory(question.id, question.text, number, turns, "answer", model=f"ranks {number * _TOP_K + 1} on")
        )
    return made


def consensus(group: Sequence[Trajectory]) -> str:
    """The answer that most of a group gave; the first of several."""
    folded = [re.sub(r"\W+", " ", each.answer or "").strip().casefold() for each in group]
    most = max(folded, key=folded.count)
    return group[folded.index(most)].answer or ""


def _lines(path: Path) -> list[Mapping[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
