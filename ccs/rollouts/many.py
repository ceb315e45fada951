"""Many rollouts at once into one file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.rollouts.file import RolloutFile
from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError

_T = TypeVar("_T")
#: Failures in a row after which a server is taken to be gone, where no more rollouts than half of it run at once.
PATIENCE = 50


def roll_out_many(
    questions: Sequence[Question],
    samples: int,
    roll: Callable[[Question, int], Awaitable[Trajectory]],
    client: ChatClient,
    file: RolloutFile,
    on_done: Callable[[Trajectory], None] | None = None,
) -> int:
    """Roll out every sample that the file does not hold yet, ``client.concurrency`` at a time, in one thread.

    Each rollout is a coroutine and begins when another has ended, whatever turn the rest are in. Samples of a question
    run side by side, so that their common prompt is in the server's prefix cache.

    Args:
        questions: To work on.
        samples: Of each.
        roll: One rollout; never raises for a failure of a server, but ends it with ``error``.
        client: Whose concurrency bounds the work.
        file: Gets each trajectory as it ends.
        on_done: Told of each, one at a time.

    Returns:
        How many were rolled out now.

    Raises:
        FrescoError: :data:`PATIENCE` rollouts in a row (or twice as many as run at once, where that is more), or all
            of them, failed; what was done is in the file.
    """
    todo = [(question, sample) for question in questions for sample in range(samples)]
    todo = [(question, sample) for question, sample in todo if (question.id, sample) not in file.done]
    patience = max(PATIENCE, 2 * client.concurrency)  # one burst of failures must not end a run
    failed_in_a_row = finished = 0
    error = ""

    async def work(left: Iterator[tuple[Question, int]]) -> None:
        nonlocal failed_in_a_row, finished, error
        for question, sample in left:  # what is left is shared by all who work
            trajectory = await roll(question, sample)
            file.append(trajectory)
            if on_done:
                on_done(trajectory)
            if trajectory.stop != "error":
                failed_in_a_row, finished = 0, finished + 1
                continue
            failed_in_a_row, error = failed_in_a_row + 1, trajectory.error
            if failed_in_a_row >= patience:
                raise FrescoError(
                    f"{failed_in_a_row} rollouts in a row failed, the last with: {error}; mend it, and the same "
                    "command goes on from here"
                )

    async def all_at_once() -> None:
        left = iter(todo)
        async with client.connected():
            await together(work(left) for _ in range(min(client.concurrency, len(todo))))

    run(all_at_once())
    if todo and not finished:
        raise FrescoError(f"{len(todo)} rollouts were begun and all failed, the last with: {error}")
    return len(todo)


async def together(work: Iterator[Coroutine[None, None, None]]) -> None:
    """Await all of it; the first failure ends the rest and is raised as it is, not in a group of exceptions."""
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def run(work: Coroutine[None, None, _T]) -> _T:
    """Run a coroutine to its end, in a thread of its own where this one has an event loop (a notebook's)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
