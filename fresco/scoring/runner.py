"""Run a re-ranker over pools through the score store.

Work is done in units that depend on the pools and on what the store held at the start, never on where an earlier run
was killed: batches that the model plans itself, or groups of pools. A unit's scores are stored together. So a run that
was killed and started again computes every unit from the same inputs as an undisturbed one, and ends in the same bits.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fresco.errors import FrescoError
from fresco.records import Candidates, Pair, Passage
from fresco.rerank.base import Reranker, fingerprint, is_pointwise
from fresco.rerank.instructed import Instructed
from fresco.rerank.temporal import Fusion
from fresco.scoring.store import ScoreStore, context_key, pair_key

_CANARY_TOLERANCE = 0.02  # bfloat16 servers repeat themselves to about this much on logits of order one

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
    """

    scores: list[npt.NDArray[np.float64]]
    fingerprint: str
    computed: int
    reused: int
    seconds: float


def fit(reranker: Reranker, passages: Iterable[Passage]) -> None:
    """Give the benchmark's passages to a re-ranker that wants them; must precede :func:`score`."""
    own = getattr(reranker, "fit", None)
    if callable(own):
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
        instruction: None for the model's default; must be None for a re-ranker that takes none.
        progress: Called after each unit.

    Raises:
        FrescoError: the re-ranker failed, or returned something that is no finite float for each passage; what was
            scored before is stored.
    """
    started = time.monotonic()
    if isinstance(reranker, Instructed):
        return score(reranker.base, pools, store, instruction=reranker.instruction, progress=progress)
    if isinstance(reranker, Fusion):
        base = score(reranker.base, pools, store, instruction=instruction, progress=progress)
        fused = [
            np.asarray(reranker.fuse(query, passages, scores.tolist()), dtype=np.float64)
            for (query, passages), scores in zip(pools, base.scores, strict=True)
        ]
        name = f"{reranker.name}|{base.fingerprint}"
        return Scored(fused, name, base.computed, base.reused, time.monotonic() - started)
    if instruction is not None and not reranker.takes_instruction:
        raise FrescoError(f"{reranker.name} takes no instruction; leave --instruction away for it")
    job = _Job(reranker, pools, store, instruction, progress)
    job.run()
    return Scored(job.result(), job.fingerprint, job.computed, job.reused, time.monotonic() - started)


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
        if len(self.stored) == len(self.distinct):
            return
        self._check_canary()
        with _named_failures(self.reranker):
            if is_pointwise(self.reranker) and hasattr(self.reranker, "score_batches"):
                self._run_batches()
            else:
                self._run_groups()

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
            self._keep([keys[index] for index in indices], [pairs[index] for index in indices], scores)

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
        if len(results) != len(pools):
            raise FrescoError(f"{model.name} returned {len(results)} score lists for {len(pools)} pools")
        keys, pairs, scores = [], [], []
        for ((query, passages), pool_keys), pool_scores in zip(group, results, strict=True):
            if len(pool_scores) != len(passages):
                raise FrescoError(
                    f"{model.name} returned {len(pool_scores)} scores for the {len(passages)} passages of "
                    f"query {query.id}; it must return one for each, in order"
                )
            keys += pool_keys
            pairs += [(query, passage) for passage in passages]
            scores += list(pool_scores)
        self._keep(keys, pairs, scores)

    def _keep(self, keys: Sequence[bytes], pairs: Sequence[Pair], scores: Sequence[float]) -> None:
        if len(scores) != len(keys):
            raise FrescoError(f"{self.reranker.name} returned {len(scores)} scores for {len(keys)} passages")
        values = {}
        for key, (query, passage), value in zip(keys, pairs, scores, strict=True):
            number = _number(value)
            if number is None:
                raise FrescoError(
                    f"{self.reranker.name} returned {value!r} for query {query.id}, passage {passage.id}: no finite "
                    "number, so it cannot be ranked; nothing of this batch is stored"
                )
            values[key] = number
        fresh = [(key, number) for key, number in values.items() if key not in self.stored]
        self.store.put(fresh)
        self.stored.update(fresh)
        self.computed += len(fresh)
        self._report()

    def _report(self) -> None:
        if self.progress:
            self.progress(len(self.stored), len(self.distinct))

    def _check_canary(self) -> None:
        """A server may have changed its model under the same address: then stored scores are not its own."""
        own = getattr(self.reranker, "canary", None)
        if not callable(own):
            return
        now = [float(value) for value in own()]
        before = self.store.canary(self.fingerprint, now)
        if len(now) != len(before) or any(abs(a - b) > _CANARY_TOLERANCE for a, b in zip(now, before, strict=True)):
            raise FrescoError(
                f"{self.reranker.name} answers otherwise than when its stored scores were made (test pairs then "
                f"{_short(before)}, now {_short(now)}): it serves another model; name another --store"
            )


@contextmanager
def _named_failures(reranker: Reranker) -> Iterator[None]:
    """Turns what a re-ranker raises into one line that names it."""
    try:
        yield
    except FrescoError:
        raise
    except Exception as error:  # whatever a plug-in or a model library raises
        said = " ".join(str(error).split())
        mend = "; try a smaller --batch-tokens" if "out of memory" in said.lower() else ""
        raise FrescoError(f"{reranker.name} failed: {type(error).__name__}: {said}{mend}") from error


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _short(scores: Sequence[float]) -> str:
    return "/".join(f"{score:.3g}" for score in scores)
