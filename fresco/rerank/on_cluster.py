"""One re-ranker on a Ray cluster: ``--ray ADDRESS``; actors that hold a model each, and one store, here.

A worker first says which batches the run consists of, as a single device would compute them; then all of them are
handed stretches of those batches. So a batch holds the same pairs whoever computes it, and scores are those of one
device. What an actor had when it died is computed again. Which machine does what is up to Ray.

The model must be found under the same name on every machine: a hub's id, or a folder that all of them share.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

from fresco.io.workers import Held, Team, Workers, opened_for_models
from fresco.models.settings import Settings
from fresco.records import Pair
from fresco.rerank.base import Reranker, describe
from fresco.rerank.spread import Spread

#: Pairs of a stretch, about; what an actor tokenizes for it is thrown away afterwards, so not too few.
_STRETCH = 512
#: Stretches for each worker at least, so that none waits long for the last.
_STRETCHES = 4

Batch = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """Asks which batches there are; ``kept`` are the pairs that need no scores."""

    kept: frozenset[int]


class OnCluster(Spread):
    """A pointwise re-ranker with an actor for each GPU of a cluster, or for each core where there is none.

    Actors start at the first score; the settings name the cluster's address.
    """

    _plan: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, lead: Reranker, spec: str, settings: Settings) -> None:
        super().__init__(lead, spec, settings)
        self._open = ExitStack()
        self._team: tuple[Workers, Team] | None = None

    @property
    def truncated(self) -> int:
        """Inputs of which the passage's end was cut, counted by the one that has read all of them."""
        return int(self._plan.get("truncated") or 0)

    def describe(self) -> Mapping[str, Any]:
        """The re-ranker's own words, and how many actors did the work."""
        own = {} if self._described else self._plan  # where nothing was left to score
        return {**super().describe(), **own, "ray_workers": len(self._described), "truncated": self.truncated}

    def score_batches(
        self, pairs: Sequence[Pair], instruction: str | None, is_done: Callable[[Sequence[int]], bool]
    ) -> Iterator[tuple[Sequence[int], Sequence[float]]]:
        """Score a run; see :class:`fresco.rerank.base.BatchScorer`."""
        kept = frozenset(index for index in range(len(pairs)) if is_done([index]))
        if len(kept) == len(pairs):
            return
        whole = False
        try:
            workers, team = self._working()
            run = workers.hold((list(pairs), instruction))
            ((batches, self._plan),) = team.map([(run, Plan(kept))])
            for scored, who, said in team.map((run, own) for own in stretches(batches, workers.count)):
                self._described[who] = said
                yield from scored
            whole = True
        finally:
            if not whole:
                self.close()

    def close(self) -> None:
        """End the actors; the next score starts them again."""
        self._team = None
        self._open.close()

    def _working(self) -> tuple[Workers, Team]:
        """The actors, which hold the model for one instruction after the other."""
        if self._team is None:
            settings = replace(self._settings, ray=None)
            workers = self._open.enter_context(opened_for_models(self._settings.ray, self._settings.device))
            team = self._open.enter_context(workers.team(partial(Scorer, self._spec, settings)))
            self._team = workers, team
        return self._team


def stretches(batches: Sequence[Batch], workers: int) -> Iterator[frozenset[Batch]]:
    """Batches that lie side by side, so many together that every worker gets several stretches."""
    most = max(1, min(_STRETCH, sum(map(len, batches)) // (_STRETCHES * workers)))
    taken: list[Batch] = []
    for batch in batches:
        taken.append(batch)
        if sum(map(len, taken)) >= most:
            yield frozenset(taken)
            taken = []
    if taken:
        yield frozenset(taken)


class Scorer:
    """What an actor holds: the model, and the pairs and instruction of the run that it was last asked about.

    Asked with a run and a :class:`Plan` it gives the batches and what the re-ranker says of itself; with a run and some
    of its batches, the indices and scores of each, which process did it, and what it says.
    """

    def __init__(self, spec: str, settings: Settings) -> None:
        from fresco.rerank.registry import open_reranker

        self._reranker: Any = open_reranker(spec, settings)
        self._number: int | None = None
        self._run: tuple[Sequence[Pair], str | None] = [], None

    def __call__(self, asked: tuple[Held, Plan | frozenset[Batch]]) -> tuple[Any, ...]:
        """See the class."""
        held, what = asked
        if held.number != self._number:
            self._number, self._run = held.number, held.get()
        if isinstance(what, Plan):
            recorder = _Recorder(what.kept)
            for _ in self._reranker.score_batches(*self._run, recorder):
                raise AssertionError("a batch was scored that is_done had declined")
            return recorder.batches, dict(describe(self._reranker))
        found = [
            ([int(index) for index in indices], [float(score) for score in scores])
            for indices, scores in self._reranker.score_batches(*self._run, _Others(what))
        ]
        return found, f"{platform.node()}, {os.getpid()}", dict(describe(self._reranker))


class _Recorder:
    """``is_done`` that notes every batch which needs scores, and has none of them computed."""

    def __init__(self, kept: frozenset[int]) -> None:
        self._kept = kept
        self.batches: list[Batch] = []

    def __call__(self, indices: Sequence[int]) -> bool:
        own = tuple(int(index) for index in indices)
        if not self.stored(own):
            self.batches.append(own)
        return True

    def stored(self, indices: Sequence[int]) -> bool:
        """Whether all of them need no scores; a window of others is planned."""
        return self._kept.issuperset(indices)


class _Others:
    """``is_done`` of everything but the batches that are asked for."""

    def __init__(self, batches: frozenset[Batch]) -> None:
        self._batches = batches
        self._wanted = frozenset(index for batch in batches for index in batch)

    def __call__(self, indices: Sequence[int]) -> bool:
        return tuple(int(index) for index in indices) not in self._batches

    def stored(self, indices: Sequence[int]) -> bool:
        """Whether a window holds none of them."""
        return self._wanted.isdisjoint(indices)
