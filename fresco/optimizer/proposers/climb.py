"""Children that climb first: a chain of changes, each tried on a few training queries, before the race.

On all validation queries an instruction costs as much as it does on hundreds of training queries: with 50,000 pairs a
search of 184 pools of 51 passages pays five such evaluations, so a proposer that changes a little at a time ends four
changes from the base, behind chance that changes everything at once. In a climb a change is kept where it ranks a dozen
training queries better than what it was made from, and the next change is made from it; only the last one races. The
test is that of GEPA (Agrawal et al. 2025, https://arxiv.org/abs/2507.19457), which evaluates in full whatever passes.

The queries of a climb are drawn once, so all of its changes are compared on the same, and what it was made from is paid
for once. They are training queries: nothing is chosen by what the search selects by.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from fresco.optimizer.examples import minibatch
from fresco.optimizer.proposers.base import ProposedInstruction, Proposer, ScoredInstruction, SearchState
from fresco.optimizer.proposers.llm_answers import Rejection
from fresco.optimizer.search.objective import precisions
from fresco.optimizer.search.racing import ek_and_nek
from fresco.records import Pool
from fresco.stats.arrays import FloatArray

#: Training queries of a climb.
QUERIES = 12
_CLIMBS = 3  # for each child that is wanted: one may end where it began


class Climbing:
    """A proposer whose children climb.

    Args:
        inner: Changes instructions of ``state.population``.
        steps: Changes that a climb tries.
        queries: Training queries that they are tried on.

    Attributes:
        name: That of ``inner``; whatever else it has is there, too.
        last_rejected: What ``inner`` could not use in the last round, and climbs that came to nothing.
    """

    def __init__(self, inner: Proposer, steps: int, queries: int = QUERIES) -> None:
        self._inner, self._steps, self._queries = inner, steps, queries
        self.name = inner.name
        self.last_rejected: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # not yet set: asked for while a copy is made
            raise AttributeError(name)
        return getattr(self._inner, name)

    def propose(self, state: SearchState, count: int) -> list[ProposedInstruction]:
        """See :class:`fresco.optimizer.proposers.base.Proposer`."""
        self.last_rejected = []
        found: dict[str, ProposedInstruction] = {}
        for _ in range(_CLIMBS * count):
            child = self._climb(dataclasses.replace(state, seen=state.seen | found.keys()))
            if child is not None:
                found[child.text] = child
            if len(found) == count:
                break
        return list(found.values())

    def _climb(self, state: SearchState) -> ProposedInstruction | None:
        pools = minibatch(state.training, self._queries, state.rng)
        start: ScoredInstruction | None = None
        reached: ProposedInstruction | None = None
        height = np.empty(0)
        below, kept, tried = state, 0, 0
        for _ in range(self._steps):
            proposal = next(iter(self._inner.propose(below, 1)), None)
            self.last_rejected += getattr(self._inner, "last_rejected", ())
            if proposal is None or proposal.text in below.seen:
                continue
            tried += 1
            if start is None:
                start, height = self._best_parent(state, proposal, pools)
            values = self._values(state, proposal.text, pools)
            below = dataclasses.replace(below, seen=below.seen | {proposal.text})
            if values.mean() <= height.mean():
                continue
            kept, height = kept + 1, values
            reached = dataclasses.replace(proposal, parents=reached.parents) if reached else proposal
            below = dataclasses.replace(
                below, population=[self._at(state, start, proposal, values, pools)], by_query=None
            )
        if reached is None:
            parents = (start.number,) if start else ()
            if tried:
                reason = f"no better than its parent on {len(pools)} training queries"
                self.last_rejected.append(Rejection("climb", parents, reason))
            return None
        return dataclasses.replace(reached, detail={**reached.detail, "climb": {"tried": tried, "kept": kept}})

    def _best_parent(
        self, state: SearchState, proposal: ProposedInstruction, pools: Sequence[Pool]
    ) -> tuple[ScoredInstruction, FloatArray]:
        members = {member.number: member for member in (state.by_query.members if state.by_query else ())}
        members |= {member.number: member for member in state.population}
        parents = [members[number] for number in proposal.parents]
        values = [self._values(state, parent.text, pools) for parent in parents]
        best = max(range(len(parents)), key=lambda place: float(values[place].mean()))
        return parents[best], values[best]

    def _at(
        self,
        state: SearchState,
        start: ScoredInstruction,
        proposal: ProposedInstruction,
        values: FloatArray,
        pools: Sequence[Pool],
    ) -> ScoredInstruction:
        """Where the climb has come to, with the parent's means and what was gained over it on these queries."""
        gained = ek_and_nek(values - self._values(state, start.text, pools), pools)
        ek, nek = (
            float(np.clip(of + np.nan_to_num(by), 0, 1)) for of, by in zip((start.ek, start.nek), gained, strict=True)
        )
        return ScoredInstruction(start.number, proposal.text, ek, nek)

    def _values(self, state: SearchState, text: str | None, pools: Sequence[Pool]) -> FloatArray:
        return precisions(pools, state.score_training(text, pools))
