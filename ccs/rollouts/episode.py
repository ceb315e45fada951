"""One episode as a coroutine: the core that ``ccs rollout``, TRL's trainer and verl's agent loop share.

What differs between them is how a turn is generated and how the context is kept, as text or as tokens: their
:class:`Context`. An episode waits for nobody but its own turn and its own search.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from ccs.agent.environment import Environment, Generation, Step
from ccs.agent.trajectory import Hit

#: From a query and the number of passages wanted to the passages and the seconds that it took.
Search = Callable[[str, int], Awaitable[tuple[list[Hit], float]]]


class Context(Protocol):
    """What the policy has seen so far."""

    async def speak(self) -> tuple[str, Generation] | None:
        """Generate the next turn; None where the context has no room for one."""
        ...

    def hear(self, step: Step) -> bool:
        """Take up what the environment made of the turn; False where the context has no room for what it said."""
        ...


async def play(environment: Environment, context: Context, search: Search) -> None:
    """Play an episode that has begun to its end; the environment then has the record.

    Args:
        environment: Reset, and waiting for a turn.
        context: Of the policy.
        search: Of the retriever.

    Raises:
        FrescoError: the policy or the retriever failed; :meth:`Environment.fail` may record it.
    """
    while not environment.done:
        said = await context.speak()
        if said is None:
            environment.overflow()
            return
        step = environment.submit(*said)
        if step is None:
            step = environment.receive(*await search(environment.query or "", environment.wanted))
        if not context.hear(step):
            environment.overflow()
