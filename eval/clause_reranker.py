"""A re-ranker whose best front is known: every instruction of the clause bank is scored beforehand.

It stands in for a model that reads instructions. A passage's score is a weighted sum of what a re-ranker may see in it
(words of the query, whether it states a value, whether that value holds when the query is asked, its age) and of noise
that each wording brings along. A clause moves the weights, clauses strengthen and weaken one another, and their order
counts; average precision bends all of it once more, and a third of the queries hide what is current. So the two means
are no sum over the clauses. ``world`` draws another one of the kind: searches were tried out on other worlds than the
one that is reported.

The average precisions of all instructions are a table, from which a search is served at no cost; what it would have
paid is counted by :class:`Meter`.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from fresco.metrics.features import TextFeatures, content_words
from fresco.optimizer.proposers.clauses import NONE, Bank
from fresco.records import Kind, Label, Pool, Task
from fresco.stats.arrays import FloatArray

#: What the base instruction says: the model's own default.
DEFAULT = "Given a web search query, retrieve relevant passages that answer the query"

# Weights of: words of the query, a stated value, a value that holds, age; and how far age counts where a query does not
# ask for the present. The base's, and what each wording of the built-in bank adds.
_BASE = (1.0, 0.8, 0.1, 0.1, 1.0)
_EFFECTS: Mapping[tuple[str, str], tuple[float, float, float, float, float]] = {
    ("task", "answer"): (0.0, 0.4, 0.0, 0.0, 0.0),
    ("task", "search"): (0.2, 0.0, 0.0, 0.0, 0.0),
    ("task", "fact"): (-0.1, 0.6, 0.1, 0.0, 0.0),
    ("as_of", "asked"): (0.0, 0.0, 0.2, 0.3, 0.0),
    ("as_of", "valid"): (0.0, 0.0, 0.4, 0.5, 0.0),
    ("as_of", "state"): (0.0, 0.1, 0.5, 0.1, 0.0),
    ("recency", "newest"): (-0.2, -0.1, 0.0, 2.0, 0.0),
    ("recency", "current"): (0.0, 0.1, 0.8, 0.5, 0.0),
    ("recency", "outdated"): (0.0, -0.3, 1.0, 0.2, 0.0),
    ("recency", "dates"): (-0.1, 0.0, -0.1, 1.0, 0.0),
    ("evidence", "stated"): (0.0, 0.8, 0.0, 0.0, 0.0),
    ("evidence", "named"): (0.1, 0.5, 0.1, 0.0, 0.0),
    ("evidence", "section"): (0.2, 0.4, 0.0, 0.0, 0.0),
    ("static_guard", "ignore"): (0.0, 0.0, 0.0, -0.1, -0.8),
    ("static_guard", "relevance"): (0.4, 0.1, 0.0, -0.2, -0.6),
    ("static_guard", "random"): (0.0, 0.0, -0.1, 0.0, -0.7),
    ("brevity", "direct"): (0.0, 0.1, 0.0, 0.1, 0.0),
    ("brevity", "focused"): (0.3, 0.0, 0.0, 0.0, 0.0),
}
_INTERACTIONS = 24  # pairs of wordings that move a weight together
_ORDERS = {"as_written": {}, "recency_first": {"recency": 1.25, "evidence": 0.8}, "guard_first": {"static_guard": 1.3}}
_NOISE, _OF_WORDING = 0.9, 0.15  # deviation of the re-ranker's own error, and of what a wording adds to it
_HIDDEN, _MISREAD, _MISTAKEN = (
    0.4,
    0.15,
    0.12,
)  # queries that hide what is current or pass for the other kind; passages misread


class Instructions:
    """All instructions of a bank.

    Args:
        bank: Wordings.

    Attributes:
        params: The choices, one instruction each; of equal texts the first.
        texts: Their texts, the base's (None) last.
        number: The place of each text.
        by_text: The choice of each text.
    """

    def __init__(self, bank: Bank) -> None:
        distinct: dict[str, Mapping[str, str]] = {}
        for values in product(*bank.choices.values()):
            params = dict(zip(bank.choices, values, strict=True))
            if text := bank.assemble(params):
                distinct.setdefault(text, params)
        self.params: Sequence[Mapping[str, str]] = list(distinct.values())
        self.texts: Sequence[str | None] = [*distinct, None]
        self.number = {text: place for place, text in enumerate(self.texts)}
        self.by_text = distinct


class ClauseReranker(Instructions):
    """All instructions of a bank, and how one world's re-ranker ranks by each.

    Args:
        bank: The built-in one; others have no effects here.
        world: Draws interactions, noise, and which queries are misread.
    """

    def __init__(self, bank: Bank, world: int = 0) -> None:
        super().__init__(bank)
        self._world = world
        self._read: dict[str, tuple[float, FloatArray, FloatArray, FloatArray]] = {}

    @cached_property
    def _chosen(self) -> FloatArray:
        """Strength of each wording in each instruction, shape (instructions, wordings); 0 where it is left out."""
        rows = [
            [_ORDERS[params["order"]].get(name, 1.0) * (params[name] == wording) for name, wording in _EFFECTS]
            for params in self.params
        ]
        return np.array([*rows, [0.0] * len(_EFFECTS)])

    @cached_property
    def _weights(self) -> FloatArray:
        """Shape (instructions, 5)."""
        rng = np.random.default_rng([self._world, 1])
        weights = np.array(_BASE) + self._chosen @ np.array(list(_EFFECTS.values()))
        names = list(_EFFECTS)
        for _ in range(_INTERACTIONS):
            one, other = rng.choice(len(names), 2, replace=False)
            together = self._chosen[:, one] * self._chosen[:, other]
            weights[:, rng.integers(5)] += together * rng.normal(0, 0.35)
        weights[:, 4] = np.clip(weights[:, 4], 0.0, 1.2)
        return np.asarray(weights)

    def scores(self, numbers: Sequence[int], pools: Sequence[Pool]) -> FloatArray:
        """Scores by some instructions, shape (instructions, pools, passages of the longest); -inf where a pool ends."""
        return np.stack([self._scored(pool, np.array(numbers), max(map(len, pools))) for pool in pools], axis=1)

    def _scored(self, pool: Pool, numbers: Any, longest: int) -> FloatArray:
        if pool.query.id not in self._read:
            self._read[pool.query.id] = self._look_at(pool)
        asks, seen, own, of_wording = self._read[pool.query.id]
        weights = self._weights[numbers].copy()
        weights[:, 3] *= asks + (1 - asks) * weights[:, 4]
        scores = np.full((len(numbers), longest), -np.inf)
        scores[:, : len(pool)] = weights[:, :4] @ seen + own + self._chosen[numbers] @ of_wording
        return scores

    def _look_at(self, pool: Pool) -> tuple[float, FloatArray, FloatArray, FloatArray]:
        """How far the query seems to ask for the present, what is seen of each passage, and the noise."""
        rng = np.random.default_rng([self._world, int.from_bytes(pool.query.id.encode()) % 2**63])
        asks = {Kind.EXPLICIT: 1.0, Kind.IMPLICIT: 0.7}.get(pool.query.kind, 0.0)
        asks = 1 - asks if rng.random() < _MISREAD else asks
        shows = rng.random() >= _HIDDEN
        mistaken = rng.random((2, len(pool))) < _MISTAKEN
        asked = content_words(pool.query)
        ages = np.array([(pool.query.timestamp - passage.timestamp).days for passage in pool.passages], float)
        seen = np.array(
            [
                [2 * TextFeatures.of(passage).overlap(asked) for passage in pool.passages],
                mistaken[0] ^ np.array([label in (Label.POSITIVE, Label.OUTDATED) for label in pool.labels]),
                mistaken[1] ^ np.array([shows and label is Label.POSITIVE for label in pool.labels]),
                -3 * ages / max(ages.max(), 1.0),
            ]
        )
        own = rng.normal(0, _NOISE, len(pool))
        return asks, seen, own, rng.normal(0, _OF_WORDING, (len(_EFFECTS), len(pool)))

    def precisions(self, pools: Sequence[Pool]) -> FloatArray:
        """Average precision of every instruction on each pool, shape (instructions, pools)."""
        everything = np.arange(len(self.texts))
        columns = []
        for pool in pools:
            order = np.argsort(-self._scored(pool, everything, len(pool)), axis=1)
            right = np.array([label is Label.POSITIVE for label in pool.labels])[order]
            ranks = np.arange(1, len(pool) + 1)
            columns.append((right * right.cumsum(axis=1) / ranks).sum(axis=1) / right.sum(axis=1))
        return np.stack(columns, axis=1)


class Meter:
    """Serves a search from the table and counts the pairs that it would have had scored; a pair is paid for once.

    It has what :class:`fresco.optimizer.search.objective.Objective` has.

    Args:
        reranker: Whose instructions.
        pools: Those in the table.
        table: See :meth:`ClauseReranker.precisions`.
    """

    default_text = DEFAULT
    reused = 0

    def __init__(self, reranker: ClauseReranker, pools: Sequence[Pool], table: FloatArray) -> None:
        self.reranker, self._table = reranker, table
        self._place = {pool.query.id: place for place, pool in enumerate(pools)}
        self._paid: set[tuple[int, str]] = set()
        self.computed = 0

    def average_precisions(self, instruction: str | None, pools: Sequence[Pool], _progress: Any = None) -> FloatArray:
        """Average precision of each pool, shape (pools,)."""
        number = self.reranker.number[instruction]
        self._pay(number, pools)
        return np.asarray(self._table[number, [self._place[pool.query.id] for pool in pools]])

    def scores(self, instruction: str | None, pools: Sequence[Pool], _progress: Any = None) -> list[FloatArray]:
        """Scores of each pool's passages."""
        number = self.reranker.number[instruction]
        self._pay(number, pools)
        return [self.reranker.scores([number], [pool])[0, 0] for pool in pools]

    def _pay(self, number: int, pools: Sequence[Pool]) -> None:
        for pool in pools:
            if (number, pool.query.id) not in self._paid:
                self._paid.add((number, pool.query.id))
                self.computed += len(pool)


_CURES: Mapping[tuple[Task, Label], Sequence[str]] = {
    (Task.EK, Label.OUTDATED): ("recency", "as_of", "order"),
    (Task.EK, Label.INSUFFICIENT): ("evidence", "task"),
    (Task.EK, Label.NEAR_TOPIC): ("task", "brevity", "static_guard"),
    (Task.NEK, Label.OUTDATED): ("static_guard", "evidence"),
    (Task.NEK, Label.INSUFFICIENT): ("evidence", "static_guard"),
    (Task.NEK, Label.NEAR_TOPIC): ("static_guard", "brevity", "task"),
}


def edit(
    reranker: Instructions,
    params: Mapping[str, str],
    kinds: Sequence[tuple[Task, Label]],
    bank: Bank,
    draw: random.Random,
) -> Mapping[str, str]:
    """What a language model by rules makes of an instruction: for each kind of error a clause of a kind that mends it.

    Args:
        reranker: For what is distinct.
        params: Of the instruction.
        kinds: Of the errors that it is shown: where, and what was ranked too high; without any, a clause by chance.
        bank: The wordings.
        draw: Source of chance.
    """
    for _ in range(100):
        cures = [[name for name in _CURES[kind] if name in bank.choices] for kind in sorted(set(kinds))]
        names = [draw.choice(own) for own in cures if own] or [draw.choice(list(bank.choices))]
        changed = dict(params)
        for name in names:
            changed[name] = draw.choice([value for value in bank.choices[name] if value != params[name]])
        if bank.assemble(changed) in reranker.by_text:
            return changed
    return params


#: The choice that the base instruction is nearest to, for edits of it.
BASE_PARAMS = {"task": "search", "order": "as_written"}


def params_of(reranker: Instructions, bank: Bank, text: str | None) -> Mapping[str, str]:
    """The choice of an instruction."""
    if text is None or text == DEFAULT:
        return {name: BASE_PARAMS.get(name, NONE) for name in bank.choices}
    return reranker.by_text[text]
