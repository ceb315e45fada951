"""Many rollouts at once into one file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.rollouts.file import RolloutFile
from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError

#: Failures in a row after which a server is taken to be gone, where no more rollouts than half of it run at once.
PATIENCE = 50


def roll_out_many(
    questions: Sequence[Question],
    samples: int,
    roll: Callable[[Question, int], Trajectory],
    client: ChatClient,
    file: RolloutFile,
    on_done: Callable[[Trajectory], None] | None = None,
) -> int:
    """Roll out every sample that the file does not hold yet, ``client.concurrency`` at a time.

    Samples of a question run side by side, so that their common prompt is in the server's prefix cache.

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
    writing = threading.Lock()
    failed_in_a_row = finished = 0
    error = ""

    def work(item: tuple[Question, int]) -> None:  # gives back nothing: `each` would keep every trajectory in memory
        nonlocal failed_in_a_row, finished, error
        trajectory = roll(*item)
        with writing:
            file.append(trajectory)
            if on_done:
                on_done(trajectory)
            if trajectory.stop != "error":
                failed_in_a_row, finished = 0, finished + 1
                return
            failed_in_a_row, error = failed_in_a_row + 1, trajectory.error
            if failed_in_a_row >= patience:
                raise FrescoError(
                    f"{failed_in_a_row} rollouts in a row failed, the last with: {error}; mend it, and the same "
                    "command goes on from here"
                )

    client.each(work, todo)
    if todo and not finished:
        raise FrescoError(f"{len(todo)} rollouts were begun and all failed, the last with: {error}")
    return len(todo)
