"""What a proposer is: something that reads the state of a search and writes new instructions.

A proposer needs a name and one method; the search scores what it proposes, so none of them touches the study or the
score store.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from fresco.records import Pool


@dataclass(frozen=True)
class ProposedInstruction:
    """A candidate instruction and where it comes from.

    Attributes:
        text: The instruction as the model reads it: one line, stripped, never empty.
        operator: ``base``, ``clauses``, ``file``, ``mutation`` or ``crossover``.
        parents: Trial numbers of the instructions that it was made from.
        params: Values of an Optuna search space (the clauses); empty where the text alone is the candidate.
        detail: What else the lineage should show (a critique), JSON values only.
    """

    text: str
    operator: str
    parents: tuple[int, ...] = ()
    params: Mapping[str, Any] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ScoredInstruction:
    """An instruction of the population with its values on the search's validation queries.

    Attributes:
        number: Its trial's.
        text: The instruction; None for the model's own default.
        ek: The metric on evolving knowledge, 0 to 1.
        nek: The metric on non-evolving knowledge, 0 to 1.
    """

    number: int
    text: str | None
    ek: float
    nek: float


#: Scores of one instruction on pools (of the training split), one float64 array a pool, through the score store.
ScoreTraining = Callable[[str | None, Sequence[Pool]], list[npt.NDArray[np.float64]]]


@dataclass(frozen=True)
class ByQuery:
    """What every instruction that was scored in full is worth on each query that the search selects by.

    Attributes:
        members: The instructions, the base first.
        values: Average precision, shape (members, queries); which queries these are no proposer learns.
        weights: Of the queries, shape (queries,): EK and NEK have one half each.
    """

    members: Sequence[ScoredInstruction]
    values: npt.NDArray[np.float64]
    weights: npt.NDArray[np.float64]

    @property
    def numbers(self) -> list[int]:
        """The trial numbers of the members."""
        return [member.number for member in self.members]


@dataclass(frozen=True)
class SearchState:
    """What a proposer may know at the start of a round.

    Attributes:
        round: From 1; round 0 is the base instruction alone.
        population: The non-dominated members kept, best spread first.
        seen: Every instruction tried or proposed so far, base included.
        training: Pools of the training split, EK and NEK; never those that the search selects by.
        score_training: Scores an instruction on some of them.
        trials: Every finished trial of earlier rounds, as Optuna's ``FrozenTrial``, in order of number.
        rng: Seeded by (study seed, round): the same state proposes the same.
        by_query: Everything scored in full, query by query; None where nothing is, or nobody looked.
        reader: What kind of re-ranker reads the instructions, in words.
    """

    round: int
    population: Sequence[ScoredInstruction]
    seen: frozenset[str]
    training: Sequence[Pool]
    score_training: ScoreTraining
    trials: Sequence[Any]
    rng: random.Random
    by_query: ByQuery | None = None
    reader: str = ""


class Proposer(Protocol):
    """Writes candidates for one round.

    One that has a fixed list, and so runs out rightly, says ``finite = True``: where others have nothing to try in a
    round, the clauses take their place. One that takes long says ``slow = True``: it is asked on a thread of its own
    while the re-ranker scores the round before. One that changes instructions of ``state.population`` says
    ``breeds = True``: its children can climb (:mod:`fresco.optimizer.proposers.climb`).
    """

    name: str

    def propose(self, state: SearchState, count: int) -> list[ProposedInstruction]:
        """At most ``count`` new instructions, none of them in ``state.seen`` and none twice.

        Fewer, or none, is allowed: a file runs out, an LLM writes garbage. Deterministic for the same state (an LLM's
        answers come from a cache keyed by the request).
        """
        ...


def is_slow(proposer: Proposer) -> bool:
    """Whether a proposer says that it takes long."""
    return bool(getattr(proposer, "slow", False))


def known_values(trial: Any) -> tuple[float, float] | None:
    """EK and NEK of a finished trial: measured, or estimated from the queries that it saw before a race dropped it."""
    values = trial.values or trial.user_attrs.get("estimate")
    return (float(values[0]), float(values[1])) if values else None
