"""What a reward is: a number for each trajectory of a batch.

A batch holds whole groups (all trajectories of each question in it), because some rewards compare a group's members.
Rewards block while they compute or ask a server; a trainer with an event loop awaits :func:`score_async`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError

_T = TypeVar("_T")
_R = TypeVar("_R")


@runtime_checkable
class Reward(Protocol):
    """Rewards trajectories."""

    @property
    def name(self) -> str:
        """How it is called in tables; says so where it is a stand-in."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identity of everything that can change a number: models, prompts, options."""
        ...

    @property
    def needs_gold(self) -> bool:
        """Whether it reads :attr:`ccs.agent.question.Question.answers`."""
        ...

    @property
    def signed(self) -> bool:
        """Whether it may fall below 0; else 0 is what a trajectory that did nothing earns."""
        ...

    def score(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[float | None]:
        """Reward a batch.

        Args:
            batch: Whole groups.
            questions: By id; only rewards that need gold look at it.

        Returns:
            A number for each, higher is better; None where it could not be had (the rollout ended with an error, a
            server failed on this one, a judge's grade could not be read). Never 0 in such a case.

        Raises:
            FrescoError: nothing of the batch could be rewarded, or gold is needed and missing.
        """
        ...


async def score_async(
    reward: Reward, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None
) -> list[float | None]:
    """:meth:`Reward.score` in a thread, for callers with an event loop."""
    return await asyncio.to_thread(reward.score, batch, questions)


def ask_each(client: ChatClient, work: Callable[[_T], _R], items: Sequence[_T]) -> list[_R | None]:
    """Do work that asks a server on each item, many at once; None for what fails.

    Raises:
        FrescoError: the first failure, where nothing succeeded: the server is wrong, not the items.
    """
    failures: list[FrescoError] = []

    def attempt(item: _T) -> _R | None:
        try:
            return work(item)
        except FrescoError as error:
            failures.append(error)
            return None

    results = client.each(attempt, items)
    if items and len(failures) == len(items):
        raise failures[0]
    return results
