"""A real re-ranker as a table: every instruction of a small bank is scored once, and searches are served from it.

So its best front is known, as that of ``clause_reranker.py`` is, and any number of searches and seeds cost no more
scoring. Scores are kept in a store: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from clause_reranker import Instructions

from fresco.optimizer.proposers.clauses import Bank
from fresco.optimizer.search.objective import Objective, precisions
from fresco.records import Benchmark, Pool
from fresco.rerank.base import Reranker
from fresco.scoring.store import ScoreStore
from fresco.stats.arrays import FloatArray


def part_of(bank: Bank, categories: Sequence[str], wordings: int) -> Bank:
    """Some categories of a bank, each with its first wordings, in the order of the bank.

    Raises:
        SystemExit: the bank has no such category.
    """
    if unknown := [name for name in categories if name not in bank.categories]:
        sys.exit(f"--categories: the bank has no {unknown[0]!r}; it has {', '.join(bank.categories)}")
    return Bank({name: dict(list(bank.categories[name].items())[:wordings]) for name in categories}, {})


class ScoredReranker(Instructions):
    """Has what :class:`clause_reranker.ClauseReranker` has.

    Args:
        reranker: Takes an instruction.
        bank: A small one: all of its instructions are scored on whatever is asked for.
        benchmark: For re-rankers that want corpus statistics.
        store: File of the scores.
    """

    def __init__(self, reranker: Reranker, bank: Bank, benchmark: Benchmark, store: Path) -> None:
        super().__init__(bank)
        self.objective = Objective(reranker, benchmark, ScoreStore(store))

    def precisions(self, pools: Sequence[Pool]) -> FloatArray:
        """Average precision of every instruction on each pool, shape (instructions, pools)."""
        rows = []
        for number, text in enumerate(self.texts, 1):
            print(f"instruction {number} of {len(self.texts)} on {len(pools)} queries", file=sys.stderr)
            rows.append(precisions(pools, self.objective.scores(text, pools)))
        return np.stack(rows)

    def scores(self, numbers: Sequence[int], pools: Sequence[Pool]) -> FloatArray:
        """Scores by some instructions, shape (instructions, pools, passages of the longest); -inf where a pool ends."""
        found = np.full((len(numbers), len(pools), max(map(len, pools))), -np.inf)
        for place, number in enumerate(numbers):
            for row, own in enumerate(self.objective.scores(self.texts[number], pools)):
                found[place, row, : len(own)] = own
        return found
