"""Run a re-ranker over pools through the score store.

Work is done in units that depend on the pools and on what the store held at the start, never on where an earlier run
was killed: batches that the model plans itself, or groups of pools. A unit's scores are stored together. So a run that
was killed and started again computes every unit from the same inputs as an undisturbed one, and ends in the same bits.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from fresco.errors import FrescoError
from fresco.io.foreign import foreign_code
from fresco.records import Candidates, Pair, Passage, Query
from fresco.rerank.base import Reranker, as_wrapper, fingerprint, is_pointwise, own_fingerprint
from fresco.rerank.conformance import BadScoresError, named_failures, read_scores
from fresco.rerank.layout import laid_out, read_layout
from fresco.scoring import canary
from fresco.scoring.store import Canary, ScoreStore, context_key, pair_key

#: Told after each unit: pairs done, pairs in all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Scored:
    """What :func:`score` gives back.

    Attributes:
        scores: For each pool a float64 array, shape (passages of the pool,).
        fingerprint: The re-ranker's, as it was scored.
        computed: Distinct pairs that the re-ranker scored in this call.
        reused: Distinct pairs whose scores were stored already.
        seconds: Wall time of the call.
        kept: Whether the scores stay in the store; those of a re-ranker without a fingerprint end with the run.
    """

    scores: list[npt.NDArray[np.float64]]
    fingerprint: str
    computed: int
    reused: int
    seconds: float
    kept: bool = True


def fit(reranker: Reranker, passages: Iterable[Passage]) -> None:
    """Give the benchmark's passages to a re-ranker that wants them; must precede :func:`score`."""
    own = getattr(reranker, "fit", None)
    if callable(own):
        with foreign_code(f"{reranker.name}: fit() failed"):
            own(passages)


def score(
    reranker: Reranker,
    pools: Sequence[Candidates],
    store: ScoreStore,
    *,
    instruction: str | None = None,
    progress: Progress | None = None,
) -> Scored:
    """Score pools, taking from the store what is there and adding what is not.

    Args:
        reranker: Fitted where it wants to be (:func:`fit`).
        pools: Queries with their passages.
        store: Where scores are kept.
        instruction: None for the model's default; must be None for a re-ranker that takes none. A mark at its beginning
            says how the pairs are laid out, see :mod:`fresco.rerank.layout`.
        progress: Called after each unit.

    Raises:
        FrescoError: the re-ranker failed, or returned something that is no finite float for each passage; what was
            scored before is stored.
    """
    started = time.monotonic()
    if as_wrapper(reranker) is not None:
        return _fused(reranker, pools, store, instruction, progress, started)
    if instruction is not None and not reranker.takes_instruction:
        raise FrescoError(f"{reranker.name} takes no instruction; leave --instruction out for it")
    layout, instruction = read_layout(instruction)
    pools = laid_out(pools, layout)
    kept = own_fingerprint(reranker) is not None
    own = store if kept else store.passing(reranker)
    job = _Job(reranker, pools, own, instruction, progress)
    job.run()
    return Scored(job.result(), job.fingerprint, job.computed, job.reused, time.monotonic() - started, kept)


def _fused(
    reranker: Any,
    pools: Sequence[Candidates],
    store: ScoreStore,
    instruction: str | None,
    progress: Progress | None,
    started: float,
) -> Scored:
    """Score the base of a wrapper, and let the wrapper make its own scores of that."""
    instruction = getattr(reranker, "instruction", instruction)
    base = score(reranker.base, pools, store, instruction=instruction, progress=progress)
    fused = []
    with named_failures(reranker):
        for (query, passages), scores in zip(pools, base.scores, strict=True):
            own = reranker.fuse(query, passages, scores.tolist())
            fused.append(np.array(_scores_of(reranker, query, passages, own), dtype=np.float64))
    name = f"{reranker.name}|{base.fingerprint}"
    return dataclasses.replace(base, scores=fused, fingerprint=name, seconds=time.monotonic() - started)


class _Job:
    """One call of :func:`score`: the keys of its pools, and what is stored of them so far."""

    def __init__(
        self,
        reranker: Reranker,
        pools: Sequence[Candidates],
        store: ScoreStore,
        instruction: str | None,
        progress: Progress | None,
    ) -> None:
        self.reranker, self.pools, self.store = reranker, pools, store
        self.instruction, self.progress = instruction, progress
        self.fingerprint = fingerprint(reranker)
        self.keys = self._keys()
        self.distinct: dict[bytes, Pair] = {}
        for (query, passages), keys in zip(pools, self.keys, strict=True):
            for passage, key in zip(passages, keys, strict=True):
                self.distinct.setdefault(key, (query, passage))
        self.stored = store.get(list(self.distinct))
        self.reused, self.computed = len(self.stored), 0

    def _keys(self) -> list[list[bytes]]:
        shared = context_key(self.fingerprint, self.instruction)
        pointwise = is_pointwise(self.reranker)
        keys = []
        for query, passages in self.pools:
            context = shared if pointwise else context_key(self.fingerprint, self.instruction, passages)
            keys.append([pair_key(context, query, passage) for passage in passages])
        return keys

    def run(self) -> None:
        self._report()
        proving = self.store.once("canary", self.reranker) and bool(self.distinct)
        if proving:
            self._prove()
        if len(self.stored) == len(self.distinct):
            return
        with named_failures(self.reranker):
            if is_pointwise(self.reranker) and hasattr(self.reranker, "score_batches"):
                self._run_batches()
            else:
                self._run_groups()
        if proving and not callable(getattr(self.reranker, "canary", None)):
            self._canary()  # of what was scored just now, where there is none

    def _prove(self) -> None:
        """Score the canary of this fingerprint anew; the first scores of a fingerprint have nothing to prove."""
        if not canary.check_own(self.reranker, self.store, self.fingerprint):
            kept = self._canary()
            if kept is not None:
                canary.check(self.reranker, kept)

    def _canary(self) -> Canary | None:
        """The stored canary, or one of what is stored of this run."""
        kept = self.store.canary_of(self.fingerprint)
        if kept is not None:
            return kept
        pools, scores = canary.choose_pools(self.reranker, self.pools, self.keys, self.stored, self.distinct)
        if not pools:
            return None
        return canary.record(self.store, self.fingerprint, self.instruction, pools, scores)

    def result(self) -> list[npt.NDArray[np.float64]]:
        if self.computed:  # read back: where another process stored a pair first, its score is the one that stays
            self.stored = self.store.get(list(self.distinct))
        return [np.array([self.stored[key] for key in keys], dtype=np.float64) for keys in self.keys]

    def _run_batches(self) -> None:
        keys, pairs = list(self.distinct), list(self.distinct.values())
        model: Any = self.reranker
        batches = model.score_batches(
            pairs, self.instruction, lambda indices: all(keys[index] in self.stored for index in indices)
        )
        for indices, scores in batches:
            places = [int(index) for index in indices]
            try:
                values = read_scores(scores, len(places))
            except BadScoresError as error:
                query, passage = pairs[places[error.place or 0]] if places else next(iter(pairs))
                raise _refused(self.reranker, error, query, [passage], place=0) from None
            self._keep([keys[place] for place in places], values)

    def _run_groups(self) -> None:
        size = getattr(self.reranker, "pools_per_call", 16) if hasattr(self.reranker, "score_pools") else 1
        for start in range(0, len(self.pools), size):
            self._run_group(list(self._unfinished(range(start, min(start + size, len(self.pools))))))

    def _unfinished(self, group: Iterable[int]) -> Iterator[tuple[Candidates, list[bytes]]]:
        """The pools of a group that want scores; a pointwise re-ranker sees only the passages that do."""
        asked: set[bytes] = set()
        for index in group:
            (query, passages), keys = self.pools[index], self.keys[index]
            wanted = {key: p for key, p in zip(keys, passages, strict=True) if key not in self.stored}
            if not wanted:
                continue
            if is_pointwise(self.reranker):
                fresh = {key: passage for key, passage in wanted.items() if key not in asked}
                asked.update(fresh)
                if fresh:
                    yield (query, list(fresh.values())), list(fresh)
            else:
                yield (query, list(passages)), keys

    def _run_group(self, group: list[tuple[Candidates, list[bytes]]]) -> None:
        if not group:
            return
        pools = [pool for pool, _ in group]
        model: Any = self.reranker
        if hasattr(model, "score_pools"):
            results = model.score_pools(pools, self.instruction)
        else:
            results = [model.score(query, passages, self.instruction) for query, passages in pools]
        results = list(islice(results, len(pools) + 1))
        if len(results) != len(pools):
            raise FrescoError(f"{model.name} returned {len(results)} score lists for {len(pools)} pools")
        keys, scores = [], []
        for ((query, passages), pool_keys), pool_scores in zip(group, results, strict=True):
            keys += pool_keys
            scores += _scores_of(self.reranker, query, passages, pool_scores)
        self._keep(keys, scores)

    def _keep(self, keys: Sequence[bytes], scores: Sequence[float]) -> None:
        values = dict(zip(keys, scores, strict=True))
        fresh = [(key, number) for key, number in values.items() if key not in self.stored]
        self.store.put(fresh)
        self.stored.update(fresh)
        self.computed += len(fresh)
        self._report()

    def _report(self) -> None:
        if self.progress:
            self.progress(len(self.stored), len(self.distinct))


def _scores_of(reranker: Reranker, query: Query, passages: Sequence[Passage], scores: Any) -> list[float]:
    try:
        return read_scores(scores, len(passages))
    except BadScoresError as error:
        raise _refused(reranker, error, query, passages, error.place) from None


def _refused(
    reranker: Reranker, error: BadScoresError, query: Query, passages: Sequence[Passage], place: int | None
) -> FrescoError:
    if error.count is not None:
        return FrescoError(
            f"{reranker.name} returned {error.count} scores for the {len(passages)} passages of query {query.id}; "
            "it must return one for each, in order"
        )
    if error.place is not None and place is not None:
        return FrescoError(
            f"{reranker.name} returned {error.value!r} for query {query.id}, passage {passages[place].id}: no finite "
            "number, so it cannot be ranked; nothing of this batch is stored"
        )
    return FrescoError(f"{reranker.name}, query {query.id}: {error}")
