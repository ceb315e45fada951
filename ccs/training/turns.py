"""How the turns of many episodes are generated: each by itself by a server, or in batches by an engine in this process.

The episodes are the same coroutines (:func:`ccs.rollouts.episode.play`). Over a server an episode waits for its own
turn alone. An engine in the process generates one batch at a time, and where several processes share a model all of
them must call it together; so there a turn is generated when every episode that goes on wants one, in the episodes'
order, which also makes what is drawn the same in each run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from ccs.rollouts.many import together
from ccs.training.engines import Engine, SoloEngine
from ccs.training.generated import Generated


class Clock:
    """Wall time of the phases of rolling out; what overlaps counts as generation.

    Attributes:
        generation: Seconds in which a turn was generated.
        retrieval: Seconds in which none was, and a search ran.
    """

    def __init__(self) -> None:
        self.generation = self.retrieval = 0.0
        self._generating = self._searching = 0
        self._since = time.perf_counter()

    @contextmanager
    def generating(self) -> Iterator[None]:
        """Count what is within as generation."""
        self._note(1, 0)
        try:
            yield
        finally:
            self._note(-1, 0)

    @contextmanager
    def searching(self) -> Iterator[None]:
        """Count what is within as retrieval, where nothing is generated meanwhile."""
        self._note(0, 1)
        try:
            yield
        finally:
            self._note(0, -1)

    def _note(self, generating: int, searching: int) -> None:
        now = time.perf_counter()
        if self._generating:
            self.generation += now - self._since
        elif self._searching:
            self.retrieval += now - self._since
        self._since = now
        self._generating += generating
        self._searching += searching


class Turns(Protocol):
    """Generates turns for numbered episodes."""

    async def turn(self, number: int, context: list[int], budget: int) -> Generated:
        """The next turn of an episode, of at most so many tokens."""
        ...

    async def play(self, episodes: Sequence[Coroutine[None, None, None]]) -> None:
        """Run the episodes, numbered as they stand here, to their ends; the first failure ends all."""
        ...


class SoloTurns:
    """Each turn a request of its own; see :class:`Turns`."""

    def __init__(self, engine: SoloEngine, seeds: Sequence[int], clock: Clock, *, greedy: bool) -> None:
        self._engine, self._seeds, self._clock, self._greedy = engine, seeds, clock, greedy
        self._turn = [0] * len(seeds)

    async def turn(self, number: int, context: list[int], budget: int) -> Generated:
        """See :class:`Turns`."""
        seed = (self._seeds[number] + self._turn[number]) % 2**31
        self._turn[number] += 1
        with self._clock.generating():
            return await self._engine.turn(context, budget, seed, greedy=self._greedy)

    async def play(self, episodes: Sequence[Coroutine[None, None, None]]) -> None:
        """See :class:`Turns`."""
        async with self._engine.connected():
            await together(iter(episodes))


class BatchedTurns:
    """A batch for each turn, of all episodes that go on; see :class:`Turns`."""

    def __init__(self, engine: Engine, seeds: Sequence[int], clock: Clock, *, greedy: bool) -> None:
        self._engine, self._seeds, self._clock, self._greedy = engine, seeds, clock, greedy
        self._asked: dict[int, tuple[list[int], int, asyncio.Future[Generated]]] = {}
        self._going_on = 0
        self._all_asked = asyncio.Event()

    async def turn(self, number: int, context: list[int], budget: int) -> Generated:
        """See :class:`Turns`."""
        future: asyncio.Future[Generated] = asyncio.get_running_loop().create_future()
        self._asked[number] = context, budget, future
        self._look()
        return await future

    async def play(self, episodes: Sequence[Coroutine[None, None, None]]) -> None:
        """See :class:`Turns`."""
        self._going_on = len(episodes)
        self._look()
        await together(iter([self._generate(), *map(self._until_its_end, episodes)]))

    async def _until_its_end(self, episode: Coroutine[None, None, None]) -> None:
        await episode
        self._going_on -= 1
        self._look()

    def _look(self) -> None:
        if len(self._asked) == self._going_on:
            self._all_asked.set()

    async def _generate(self) -> None:
        number_of_turn = 0
        while True:
            await self._all_asked.wait()
            self._all_asked.clear()
            numbers = sorted(self._asked)
            wanted = [self._asked[number] for number in numbers]
            contexts, budgets = [each[0] for each in wanted], [each[1] for each in wanted]
            self._asked = {}
            with self._clock.generating():
                # Before anything else of a turn, and by every process: one that has ended goes on with the others.
                agreed = self._engine.agree(budgets)
                if not agreed.contexts:
                    return
                seeds = [(self._seeds[number] + number_of_turn) % 2**31 for number in numbers]
                turns = self._engine.generate(contexts, budgets, seeds, greedy=self._greedy, agreed=agreed)
            number_of_turn += 1
            for (*_, future), turn in zip(wanted, turns, strict=True):
                future.set_result(turn)
            self._look()  # where this process has none left, and others have
