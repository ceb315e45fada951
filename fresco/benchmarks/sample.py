"""A part of a benchmark for a quick or a cheap look."""

from __future__ import annotations

import dataclasses
import hashlib

from fresco.benchmarks.pools import fingerprint
from fresco.records import Benchmark


def limit_queries(benchmark: Benchmark, limit: int, *, seed: int = 0) -> Benchmark:
    """About ``limit`` queries, subject by subject in the order of a hash, the same share of each task.

    Whole subjects only, so the last one of a task may exceed its share.

    Args:
        benchmark: Any benchmark.
        limit: Queries wanted, above zero.
        seed: Of the order.
    """
    if limit >= len(benchmark):
        return benchmark
    kept: set[str] = set()
    for task in {pool.query.task for pool in benchmark.pools}:
        own = [pool.query.subject for pool in benchmark.pools if pool.query.task is task]
        room = limit * len(own) / len(benchmark)
        for subject in sorted(set(own), key=lambda name: _order(name, seed)):
            if room <= 0:
                break
            kept.add(subject)
            room -= own.count(subject)
    pools = tuple(pool for pool in benchmark.pools if pool.query.subject in kept)
    note = f"limited to {len(pools)} of {len(benchmark)} queries, whole subjects, drawn with seed {seed}"
    return dataclasses.replace(benchmark, pools=pools, fingerprint=fingerprint(pools), notes=(*benchmark.notes, note))


def _order(subject: str, seed: int) -> bytes:
    return hashlib.sha256(f"limit:{seed}:{subject}".encode()).digest()
