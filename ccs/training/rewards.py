"""The reward of a training step: a weighted sum of rewards of :mod:`ccs.rewards`, computed while others still roll out.

One thread takes whatever groups are ready, as one batch; so a reward that asks a server works while the policy
generates. What cannot be had is None: such a rollout gets no advantage, is counted, and is never taken for a zero.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.rewards.base import Reward
from fresco.errors import FrescoError


@dataclass(frozen=True, slots=True)
class Rewarded:
    """What one trajectory earned.

    Attributes:
        total: The weighted sum; None where a part of it could not be had.
        parts: Of each reward, by its name.
    """

    total: float | None
    parts: Mapping[str, float | None]


class RewardMix:
    """Rewards groups in the background.

    Args:
        terms: Weight and reward.
        questions: By id, for rewards that need gold.
        timeout: Seconds that :meth:`collect` waits.

    Attributes:
        error: The last failure of a reward, for messages.
    """

    def __init__(
        self, terms: Sequence[tuple[float, Reward]], questions: Mapping[str, Question], timeout: float = 900.0
    ) -> None:
        self._terms = list(terms)
        self._questions = questions
        self._timeout = timeout
        self._executor = ThreadPoolExecutor(1, "reward")
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, list[Trajectory]]] = []
        self._results: dict[int, list[Rewarded]] = {}
        self._futures: list[Future[None]] = []
        self._count = 0
        self.error = ""
        self.seconds = 0.0

    @property
    def names(self) -> list[str]:
        """Of the rewards."""
        return [reward.name for _, reward in self._terms]

    def submit(self, group: Sequence[Trajectory]) -> int:
        """Begin to reward a whole group.

        Returns:
            Its number, for :meth:`collect`.
        """
        with self._lock:
            number = self._count
            self._count += 1
            self._waiting.append((number, list(group)))
        self._futures.append(self._executor.submit(self._work))
        return number

    def collect(self) -> dict[int, list[Rewarded]]:
        """Wait for the groups submitted since the last time; by their numbers.

        Groups that are not done in time are not in it.
        """
        started = time.perf_counter()
        _, late = wait(self._futures, self._timeout)
        for future in self._futures:
            if future not in late:
                future.result()
        if late:
            self.error = f"no answer within {self._timeout:.0f} s"
            # The thread that hangs keeps its work; the next step begins with a fresh one.
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = ThreadPoolExecutor(1, "reward")
        with self._lock:
            results, self._results, self._futures, self._waiting = self._results, {}, [], []
        self.seconds = time.perf_counter() - started
        return results

    def close(self) -> None:
        """End the thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _work(self) -> None:
        with self._lock:
            groups, self._waiting = self._waiting, []
        if not groups:
            return  # an earlier call took them along
        batch = [trajectory for _, group in groups for trajectory in group]
        scores = [self._score(reward, batch) for _, reward in self._terms]
        rows = [self._sum(values) for values in zip(*scores, strict=True)]
        with self._lock:
            for number, group in groups:
                self._results[number] = rows[: len(group)]
                rows = rows[len(group) :]

    def _score(self, reward: Reward, batch: Sequence[Trajectory]) -> list[float | None]:
        try:
            values = reward.score(batch, self._questions)
        except FrescoError as error:
            self.error = str(error)
            return [None] * len(batch)
        # Beyond the try: a reward that does not keep its promise is no failure of one step, and ends the run.
        return checked(reward.name, values, len(batch))

    def _sum(self, values: Sequence[float | None]) -> Rewarded:
        known = [value for value in values if value is not None]
        weights = [weight for weight, _ in self._terms]
        total = sum(weight * value for weight, value in zip(weights, known, strict=True)) if _all(values) else None
        return Rewarded(total, dict(zip(self.names, values, strict=True)))


def checked(name: str, values: Sequence[float | None], count: int) -> list[float | None]:
    """What a reward gave, if it is a finite number or None for each trajectory.

    Raises:
        FrescoError: it is not.
    """
    if len(values) != count:
        raise FrescoError(f"the reward {name} gave {len(values)} values for {count} rollouts; it owes one for each")
    for number, value in enumerate(values):
        if value is not None and not math.isfinite(value):
            raise FrescoError(
                f"the reward {name} gave {value} for rollout {number + 1} of {count}; a finite number is wanted, or "
                "None where there is none"
            )
    return list(values)


def _all(values: Sequence[float | None]) -> bool:
    return all(value is not None for value in values)
