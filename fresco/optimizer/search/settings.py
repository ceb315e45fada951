"""How a search runs, where it stands after a round, and who is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from fresco.optimizer.proposers.base import ScoredInstruction
from fresco.optimizer.search.budget import Budget
from fresco.optimizer.search.racing import LEVEL


@dataclass(frozen=True)
class SearchSettings:
    """How a search runs.

    Attributes:
        rounds: After round 0, which is the base instruction alone.
        population: Most members kept.
        children: New instructions a round; None for FRESCO's eight for each member there is.
        seed: Of the proposals, the stages and the resampling.
        racing: Whether dominated candidates are dropped early; else all are scored on all queries.
        level: See :data:`fresco.optimizer.search.racing.LEVEL`.
        ahead: Rounds that may be under way beside the first unfinished one; what they propose does not know it.
        budget: Ends the search before ``rounds`` do.
    """

    rounds: int = 80
    population: int = 4
    children: int | None = 4
    seed: int = 0
    racing: bool = True
    level: float = LEVEL
    ahead: int = 0
    budget: Budget | None = None


@dataclass(frozen=True)
class RoundReport:
    """Where the search stands after a round.

    Attributes:
        round: From 0.
        population: The members kept.
        tried: Instructions of this round.
        dropped: Those of them that did not survive the race.
        rejected: Proposals of this round that got no trial, by reason.
        refilled: Whether the proposers had nothing to try, so that another one was asked.
        pairs_scored: Of all rounds so far.
        pairs_spared: Of all rounds so far.
        hypervolume: Of all that was scored on every query of the search; it never falls.
        gain: What that is above the base instruction's: ``value``, ``ci_low`` and ``ci_high``, paired by query. It was
            chosen by these queries, so it flatters; what is left of it on others is proved at the end.
        spent: What all rounds so far have cost, see :func:`fresco.optimizer.search.budget.spent`.
        budget: What ends the search, if a budget does.
    """

    round: int
    population: Sequence[ScoredInstruction]
    tried: int
    dropped: int
    rejected: Mapping[str, int]
    refilled: bool
    pairs_scored: int
    pairs_spared: int
    hypervolume: float
    gain: Mapping[str, float | None]
    spent: Mapping[str, float] = field(compare=False)  # minutes among them: no two runs have the same
    budget: Budget | None = field(default=None, compare=False)


class Watcher(Protocol):
    """Is told how far a search has come."""

    def scored(self, what: str, done: int, total: int) -> None:
        """``done`` of ``total`` query-passage pairs."""

    def round_done(self, seed: int, report: RoundReport) -> None:
        """A round has ended."""
