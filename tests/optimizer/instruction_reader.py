"""Pools of both kinds, and a re-ranker whose scores an instruction steers in a way that can be worked out by hand."""

from __future__ import annotations

import random
from datetime import timedelta

import numpy as np

from fresco.optimizer.proposers.base import ScoredInstruction, SearchState
from fresco.records import Kind, Label, Passage, Pool, Query, Task
from tests.factories import ASKED


def make_pools(queries: int = 12, seed: int = 0) -> list[Pool]:
    """EK and NEK pools in turn: recent positives and outdated negatives, or random dates and other topics."""
    rng = random.Random(seed)
    pools = []
    for number in range(queries):
        task = (Task.EK, Task.NEK)[number % 2]
        subject = f"Riverton {number}"
        kind = Kind.IMPLICIT if task is Task.EK else Kind.STATIC
        query = Query(f"q{number}", f"Who leads {subject}?", ASKED, task, kind, subject, "leader", f"Person {number}")
        labels = [Label.POSITIVE, *[Label.OUTDATED if task is Task.EK else Label.INSUFFICIENT] * 3, Label.NEAR_TOPIC]
        passages = []
        for place, label in enumerate(labels):
            days = 10 + place * 300 if task is Task.EK else rng.randrange(4000)
            body = (
                f"Person {number if label is Label.POSITIVE else 100 + place} leads it. " + "It was founded. " * place
            )
            title = subject if label is not Label.NEAR_TOPIC else "Elsewhere"
            passages.append(Passage(f"q{number}p{place}", title, "", body, ASKED - timedelta(days=days)))
        order = rng.sample(range(5), 5)
        pools.append(Pool(query, tuple(passages[i] for i in order), tuple(labels[i] for i in order)))
    return pools


class InstructionReader:
    """Closer dates where the instruction says "newest", the stated answer where it says "answer", else a hash."""

    name, takes_instruction, pointwise, fingerprint = "reader", True, True, "reader-1"

    def __init__(self) -> None:
        self.asked = 0

    def describe(self) -> dict[str, str]:
        return {"default_instruction": "Rank the passages."}

    def score(self, query: Query, passages: tuple[Passage, ...], instruction: str | None = None) -> list[float]:
        self.asked += len(passages)
        said = (instruction or "").casefold()
        return [
            ("newest" in said) * -(query.timestamp - passage.timestamp).days / 1000
            + ("answer" in said) * (query.answer in passage.body) * 0.5
            + random.Random(f"{query.id} {passage.id}").random()
            for passage in passages
        ]

    def score_training(self, instruction: str | None, pools: list[Pool]) -> list[np.ndarray]:
        return [np.array(self.score(pool.query, pool.passages, instruction)) for pool in pools]


BASE = ScoredInstruction(0, None, 0.4, 0.4)
NEWEST = ScoredInstruction(1, "Prefer the newest passage.", 0.8, 0.3)
ANSWER = ScoredInstruction(2, "Prefer the passage that states the answer.", 0.5, 0.6)


def make_state(*population: ScoredInstruction, turn: int = 1, seed: int = 0, seen: tuple[str, ...] = ()) -> SearchState:
    texts = {member.text for member in population if member.text}
    return SearchState(
        turn,
        population or (BASE,),
        frozenset({*texts, *seen}),
        make_pools(),
        InstructionReader().score_training,
        (),
        random.Random(f"{seed}:{turn}"),
    )
