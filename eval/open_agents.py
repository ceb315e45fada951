"""Agents over real retrieval: what they ask, and the answer that a model reads for them out of what they found.

For `eval/gain_audit.py`, where each reads other ranks of a search, and `eval/real_training.py`.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from local_lm import LocalLM
from rank_bm25 import BM25Okapi

from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory, Turn
from ccs.auditing.topical import answers
from ccs.rewards.mask.text import FUNCTION_WORDS
from fresco.stats.words import words

_TOP_K, _MEMBERS = 3, 4
_ASKING = {"who", "what", "when", "where", "which", "how", "did", "does", "do", "many", "name", "is", "was", "are"}

_READ = """\
Answer the question from the passages, in a few words.

Doc 1: "The Quiet Harbour" The Quiet Harbour is a novel by Ada Merrin, published in 1931.
Question: who wrote the quiet harbour
Answer: Ada Merrin

Doc 1: "Tolvik" Tolvik is a town in the north; it was founded in 1874 by whalers.
Question: when was tolvik founded
Answer: 1874

{trace}
Question: {question}
Answer:"""

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
        """(question, query, passages of each member), one question after the other.

        Half of the questions, by their ids, are left out: what a reward is made of was tried on those.
        """
        for row in self._rows:
            if hashlib.sha256(f"open/{row['id']}".encode()).digest()[0] % 2 == 0:
                continue
            question = Question(f"open/{row['id']}", row["question"], tuple(row["answers"]), (), row["dataset"])
            query = " ".join(keywords(question.text))
            if not query:
                continue
            best = np.argsort(-self._index.get_scores(query.split()), kind="stable")[: _TOP_K * _MEMBERS]
            found = [[self._hits[n] for n in best[at : at + _TOP_K]] for at in range(0, len(best), _TOP_K)]
            if 0 < sum(holds(question, hits) for hits in found) < len(found):
                yield question, query, found


def keywords(question: str) -> list[str]:
    """The words of a question that are worth searching for, in its order."""
    return [word for word in words(question) if word not in _ASKING | FUNCTION_WORDS]


def read(model: LocalLM, question: str, hits: Sequence[Hit], *, chat: bool) -> str:
    """The answer that a model reads out of passages.

    Args:
        model: Which.
        question: Its text.
        hits: The passages.
        chat: Whether it has a chat template; others get examples.
    """
    pages = "\n".join(f"Doc {number}: {' '.join(hit.contents.split())}" for number, hit in enumerate(hits, 1))
    prompt = _READ.replace("{question}", question).replace("{trace}", pages)
    if chat:
        prompt = f"{pages}\n\nAnswer from the passages, in a few words and nothing else.\nQuestion: {question}"
    return model.line(prompt, chat=chat, tokens=16) or "unknown"


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


def _lines(path: Path) -> list[Mapping[str, Any]]:
    with lzma.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
