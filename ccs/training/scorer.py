"""Rewards of rollouts that are scored one at a time, as other trainers ask: one thread makes batches of what waits."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.rewards.base import Reward
from ccs.rewards.config import RewardConfig, open_reward
from ccs.training.config import TrainConfig
from fresco.errors import FrescoError
from fresco.io.config_file import read_yaml

_BATCH = 256
_OF_WHOLE_GROUPS = ("majority-vote",)


def read_alone(content: Any, where: str, trainer: str) -> list[tuple[float, RewardConfig]]:
    """Weight and configuration of each reward.

    Args:
        content: A list as in ``ccs train``, the path of a file as ``ccs reward --config`` takes, or None: the cycle
            reward.
        where: What holds it, for errors.
        trainer: Who scores each rollout alone, for errors.

    Raises:
        FrescoError: an unknown key, a file that cannot be read, or a reward that compares the rollouts of a group.
    """
    if isinstance(content, str):
        content = [read_yaml(Path(content))]
    if content is not None and (not isinstance(content, list) or not content):
        raise FrescoError(f"{where} is {content!r:.60}; a list of at least one reward, or the path of a file")
    terms = (TrainConfig() if content is None else TrainConfig(rewards=tuple(content))).reward_terms
    for _, config in terms:
        if config.reward in _OF_WHOLE_GROUPS:
            raise FrescoError(
                f"{where}: {config.reward} compares the rollouts of a question, and {trainer} has each scored alone; "
                "train with it by `ccs train`, or choose another reward"
            )
    return terms


class Scorer:
    """One thread that rewards whatever waits as one batch, for callers of any event loop.

    Trainers ask for one rollout at a time; encoders and language models want many, and tokenizers no two threads.

    Args:
        terms: Weight and reward.
    """

    def __init__(self, terms: Sequence[tuple[float, Reward]]) -> None:
        self._terms = list(terms)
        self._waiting: SimpleQueue[tuple[Trajectory, Question, Future[float | None]]] = SimpleQueue()
        threading.Thread(target=self._work, name="reward", daemon=True).start()

    def submit(self, trajectory: Trajectory, question: Question) -> Future[float | None]:
        """Begin to reward; the result is the weighted sum, None where a part of it could not be had."""
        future: Future[float | None] = Future()
        self._waiting.put((trajectory, question, future))
        return future

    def _work(self) -> None:
        while True:
            batch = [self._waiting.get()]
            while len(batch) < _BATCH:
                try:
                    batch.append(self._waiting.get_nowait())
                except Empty:
                    break
            try:
                found = totals(self._terms, [each for each, _, _ in batch], {each.id: each for _, each, _ in batch})
            # The thread must outlive whatever a model or a server's library raises: those who wait get it.
            except Exception as error:
                for _, _, future in batch:
                    future.set_exception(error)
            else:
                for (_, _, future), total in zip(batch, found, strict=True):
                    future.set_result(total)


_scorers: dict[str, Scorer] = {}  # of a process: thousands of rollouts share what is heavy
_lock = threading.Lock()


def shared_scorer(content: Any, where: str, trainer: str) -> Scorer:
    """The scorer of a configuration, one for all that ask in this process; see :func:`read_alone`."""
    key = json.dumps(content, sort_keys=True, default=str)
    with _lock:
        if key not in _scorers:
            terms = read_alone(content, where, trainer)
            _scorers[key] = Scorer([(weight, open_reward(config)) for weight, config in terms])
        return _scorers[key]


def plain(value: Any) -> Any:
    """Dicts and lists in the place of omegaconf's containers, interpolations resolved."""
    if value is None or isinstance(value, str | dict | list):
        return value
    from omegaconf import OmegaConf

    return OmegaConf.to_container(value, resolve=True)


def totals(
    terms: Sequence[tuple[float, Reward]], batch: Sequence[Trajectory], questions: Mapping[str, Question]
) -> list[float | None]:
    """The weighted sum of rewards for each trajectory; None where a part of it could not be had.

    Raises:
        FrescoError: as :meth:`ccs.rewards.base.Reward.score`.
    """
    weights = [weight for weight, _ in terms]
    return [_sum(weights, row) for row in zip(*(reward.score(batch, questions) for _, reward in terms), strict=True)]


def _sum(weights: Sequence[float], values: Sequence[float | None]) -> float | None:
    total = 0.0
    for weight, value in zip(weights, values, strict=True):
        if value is None or not math.isfinite(value):
            return None
        total += weight * value
    return total
