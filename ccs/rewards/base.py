"""What a reward is: a number for each trajectory of a batch.

A batch holds whole groups (all trajectories of each question in it), because some rewards compare a group's members.
Rewards block while they compute or ask a server; a trainer with an event loop awaits :func:`score_async`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from fresco.clients.json_api import RefusedError
from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError

_T = TypeVar("_T")
_R = TypeVar("_R")
#: The cause where there is nothing to reward.
NO_ROLLOUT = "the rollout ended with an error"
_FINAL = (400, 413, 422)  # what is wrong is the request; 401, 403 and 404 are for the user to mend


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


@dataclass(frozen=True, slots=True)
class RewardRow:
    """What one trajectory earned, and of what.

    Attributes:
        value: See :meth:`Reward.score`.
        parts: What the value was made of, by name.
        cause: Why there is no value.
        final: Whether asking again would change nothing: a server that works has refused this one.
        seen: Texts that it was made of, for a reader: the ``trace`` behind the bottleneck, a ``reconstruction``.
    """

    value: float | None
    parts: Mapping[str, float] = field(default_factory=dict)
    cause: str = ""
    final: bool = False
    seen: Mapping[str, str] = field(default_factory=dict)


def score_rows(
    reward: Reward, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None
) -> list[RewardRow]:
    """:meth:`Reward.score` with its parts, for rewards that have a method ``rows`` of that signature."""
    rows = getattr(reward, "rows", None)
    if rows is not None:
        found: list[RewardRow] = rows(batch, questions)
        return found
    return [RewardRow(value) for value in reward.score(batch, questions)]


def ask_each(client: ChatClient, work: Callable[[_T], _R], items: Sequence[_T]) -> list[_R | None]:
    """Do work that asks a server on each item, many at once; None for what fails.

    Raises:
        FrescoError: the first failure, where nothing succeeded: the server is wrong, not the items.
    """
    return [None if isinstance(each, FrescoError) else each for each in ask_or_fail(client, work, items)]


def ask_or_fail(
    client: ChatClient, work: Callable[[_T], _R], items: Sequence[_T], *, proven: bool = False
) -> list[_R | FrescoError]:
    """:func:`ask_each` with what failed as its error.

    Args:
        client: Of the server.
        work: What to do.
        items: On what.
        proven: Whether the same kind of work has succeeded before, so that a refusal is the item's own fault.

    Raises:
        FrescoError: the first failure, where nothing succeeded and not each was refused for itself.
    """

    def attempt(item: _T) -> _R | FrescoError:
        try:
            return work(item)
        except FrescoError as error:
            return error

    results = client.each(attempt, items)
    failures = [each for each in results if isinstance(each, FrescoError)]
    if items and len(failures) == len(items) and not (proven and all(map(is_final, failures))):
        raise failures[0]
    return results


def is_final(error: FrescoError) -> bool:
    """Whether a server has refused what it was asked, and would again; a dead or busy one has not."""
    return isinstance(error, RefusedError) and error.status in _FINAL
