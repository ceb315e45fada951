"""Rounds that are written while others are scored."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fresco.optimizer.proposers.base import ProposedInstruction, ScoreTraining
from fresco.optimizer.search.budget import charged
from fresco.records import Pool
from fresco.stats.arrays import FloatArray


@dataclass(frozen=True)
class Written:
    """A round's proposals, and what its plan says."""

    proposals: Sequence[ProposedInstruction]
    plan: Mapping[str, Any]


class TrainingMeter:
    """Scores training pools and counts the pairs that they are charged as."""

    def __init__(self, score: ScoreTraining) -> None:
        self._score, self.pairs = score, 0

    def __call__(self, instruction: str | None, pools: Sequence[Pool]) -> list[FloatArray]:
        """See :data:`fresco.optimizer.proposers.base.ScoreTraining`."""
        self.pairs += charged(instruction, pools)
        return self._score(instruction, pools)


class Writing:
    """A round that is written on a thread of its own; what has to be scored for it is scored by the search's own.

    A re-ranker and a score store belong to one thread.
    """

    def __init__(self, write: Callable[[ScoreTraining], Written]) -> None:
        self._asked: queue.SimpleQueue[tuple[str | None, Sequence[Pool], queue.SimpleQueue[Any]] | None]
        self._asked = queue.SimpleQueue()
        self._outcome: Written | BaseException | None = None
        # A daemon: a model may write for minutes after Ctrl-C.
        threading.Thread(target=self._run, args=(write,), daemon=True).start()

    def serve(self, score: ScoreTraining, *, wait: bool = False) -> bool:
        """Score what was asked for; False once the writing has ended.

        Args:
            score: Scores.
            wait: Until something is asked or the writing ends.
        """
        try:
            while (asked := self._asked.get(block=wait)) is not None:
                try:
                    asked[2].put(score(*asked[:2]))
                except BaseException as error:
                    asked[2].put(error)
                    raise
        except queue.Empty:
            return True
        self._asked.put(None)  # for whoever asks again
        return False

    def join(self, score: ScoreTraining) -> Written:
        """What was written.

        Raises:
            FrescoError: the proposer failed.
        """
        while self.serve(score, wait=True):
            pass
        if isinstance(self._outcome, Written):
            return self._outcome
        raise self._outcome or AssertionError

    def _run(self, write: Callable[[ScoreTraining], Written]) -> None:
        def score(instruction: str | None, pools: Sequence[Pool]) -> list[FloatArray]:
            answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
            self._asked.put((instruction, pools, answer))
            scores = answer.get()
            if isinstance(scores, BaseException):
                raise scores
            return list(scores)

        try:
            self._outcome = write(score)
        except BaseException as error:  # raised again where it is waited for
            self._outcome = error
        self._asked.put(None)
