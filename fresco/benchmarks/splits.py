"""Cut a benchmark by subject, and put the two sides of two benchmarks together."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable

from fresco.benchmarks.folder import Split
from fresco.benchmarks.pools import fingerprint
from fresco.errors import FrescoError
from fresco.records import Benchmark, Passage, Pool, Task

#: Upper ends of the three parts on [0, 1): 20 % train, 30 % validation, 50 % test.
_ENDS = ((0.2, Split.TRAIN), (0.5, Split.VALIDATION), (1.0, Split.TEST))

#: Stands before the ids of the NEK side where they clash with ids of the EK side.
_PREFIX = "nek:"


def select_split(benchmark: Benchmark, split: str, *, seed: int = 0) -> Benchmark:
    """The pools of one split.

    The unit is the subject, so the explicit and the implicit query of one fact are always together. A subject that the
    data assigns to a split is there; every other one falls by SHA-256 of (seed, subject) into 20 % train, 30 %
    validation, 50 % test. A subject's split depends on nothing else: new subjects move no old one. The shares are those
    of the hash, so small benchmarks deviate from them.

    Args:
        benchmark: Any benchmark.
        split: ``all`` gives the benchmark back as it is.
        seed: Of the hash; unused for subjects that the data assigns.

    Raises:
        FrescoError: no such split, or no query is in it.
    """
    if split == "all":
        return benchmark
    if split not in list(Split):
        raise FrescoError(f"{split!r} is no split; there are: all, {', '.join(Split)}")
    pools = tuple(
        pool
        for pool in benchmark.pools
        if (benchmark.splits.get(pool.query.subject) or _drawn(pool.query.subject, seed)) == split
    )
    if not pools:
        raise FrescoError(f"{benchmark.name}: no query is in the split {split!r}")
    drawn = f"drawn with seed {seed}"
    origin = f"assigned by the data, else {drawn}" if benchmark.splits else drawn
    note = f"split {split} by subject, {origin}: {len(pools)} of {len(benchmark)} queries"
    return dataclasses.replace(benchmark, pools=pools, fingerprint=fingerprint(pools), notes=(*benchmark.notes, note))


def _drawn(subject: str, seed: int) -> Split:
    position = int.from_bytes(hashlib.sha256(f"{seed}:{subject}".encode()).digest()[:8]) / 2**64
    # A position next to 1 may be rounded up to 1.0: it belongs to the last part.
    return next((split for end, split in _ENDS if position < end), Split.TEST)


def combine(ek: Benchmark, nek: Benchmark) -> Benchmark:
    """The EK pools of one benchmark with the NEK pools of another.

    Where an id of the NEK side stands for something else on the EK side, all ids of the NEK side get ``nek:`` in front.

    Args:
        ek: Gives the pools of evolving knowledge.
        nek: Gives the pools of non-evolving knowledge.

    Raises:
        FrescoError: one side has no pools to give, prefixed ids clash again, or a subject is assigned to two splits.
    """
    ek_pools = _side(ek, Task.EK)
    nek_pools = _side(nek, Task.NEK)
    if _clash(ek_pools, nek_pools):
        nek_pools = tuple(_prefixed(nek_pools))
        if clash := _clash(ek_pools, nek_pools):
            raise FrescoError(f"{ek.name} and {nek.name} both use the id {clash!r}; rename it in one of them")
    ek_splits = _assigned(ek, ek_pools)
    nek_splits = _assigned(nek, nek_pools)
    for subject in sorted(ek_splits.keys() & nek_splits.keys()):
        if ek_splits[subject] != nek_splits[subject]:
            raise FrescoError(
                f"the subject {subject!r} is in {ek_splits[subject]!r} in {ek.name} and in {nek_splits[subject]!r} in "
                f"{nek.name}; a subject must be in one split"
            )
    pools = (*ek_pools, *nek_pools)
    return Benchmark(
        name=f"{ek.name}+{nek.name}",
        pools=pools,
        fingerprint=fingerprint(pools),
        notes=(
            f"EK from {_edition_of(ek)}, NEK from {_edition_of(nek)}",
            *(f"{side.name}: {note}" for side in (ek, nek) for note in side.notes),
        ),
        splits={**ek_splits, **nek_splits},
        edition=ek.edition if ek.edition == nek.edition else None,
        candidates="; ".join(f"{side.name}: {side.candidates}" for side in (ek, nek) if side.candidates),
    )


def _edition_of(benchmark: Benchmark) -> str:
    return benchmark.name if benchmark.edition is None else f"{benchmark.name} (edition {benchmark.edition})"


def _side(benchmark: Benchmark, task: Task) -> tuple[Pool, ...]:
    pools = tuple(pool for pool in benchmark.pools if pool.query.task is task)
    if not pools:
        raise FrescoError(f"{benchmark.name}: holds no {task} query, so it cannot be the {task} side")
    return pools


def _assigned(benchmark: Benchmark, pools: Iterable[Pool]) -> dict[str, str]:
    subjects = {pool.query.subject for pool in pools}
    return {subject: split for subject, split in benchmark.splits.items() if subject in subjects}


def _clash(ek: Iterable[Pool], nek: Iterable[Pool]) -> str | None:
    """An id that stands for two things; the same passage on both sides is none."""
    queries = {pool.query.id for pool in ek}
    passages = {passage.id: passage for pool in ek for passage in pool.passages}
    for pool in nek:
        if pool.query.id in queries:
            return pool.query.id
        for passage in pool.passages:
            if passages.get(passage.id, passage) != passage:
                return passage.id
    return None


def _prefixed(pools: Iterable[Pool]) -> Iterable[Pool]:
    renamed: dict[str, Passage] = {}
    for pool in pools:
        for passage in pool.passages:
            renamed.setdefault(passage.id, dataclasses.replace(passage, id=_PREFIX + passage.id))
        query = dataclasses.replace(pool.query, id=_PREFIX + pool.query.id)
        yield dataclasses.replace(
            pool,
            query=query,
            passages=tuple(renamed[passage.id] for passage in pool.passages),
            missed=tuple((_PREFIX + passage, grade) for passage, grade in pool.missed),
        )
