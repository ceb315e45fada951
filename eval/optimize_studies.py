"""What the studies of the instruction search share: pools cut to a size that two cores score in minutes."""

from __future__ import annotations

import dataclasses
import hashlib
from itertools import zip_longest
from pathlib import Path
from typing import Any

from fresco.benchmarks.pools import fingerprint
from fresco.builder.tables import corpus_row, write_tables
from fresco.records import Benchmark, Label, Pool, format_timestamp


def cut_pools(benchmark: Benchmark, most: int) -> Benchmark:
    """The benchmark with at most so many passages a pool, drawn by a hash of the two ids.

    Every positive stays, then outdated or insufficient ones in turn with near-topic ones, as far as there are any. Two
    thirds of mini's passages are near-topic: drawn by chance alone, a short pool would often hold nothing outdated.
    """
    pools = tuple(_cut(pool, most) for pool in benchmark.pools)
    note = f"pools cut to {most} passages"
    return dataclasses.replace(
        benchmark,
        name=f"{benchmark.name}-{most}",
        pools=pools,
        fingerprint=fingerprint(pools),
        notes=(*benchmark.notes, note),
    )


def _cut(pool: Pool, most: int) -> Pool:
    def drawn(place: int) -> bytes:
        return hashlib.sha256(f"{pool.query.subject}\0{pool.passages[place].id}".encode()).digest()

    places: dict[str, list[int]] = {"positive": [], "near": [], "own": []}
    for place in sorted(range(len(pool)), key=drawn):
        label = pool.labels[place]
        kind = "positive" if label is Label.POSITIVE else "near" if label is Label.NEAR_TOPIC else "own"
        places[kind].append(place)
    negatives = [place for pair in zip_longest(places["own"], places["near"]) for place in pair if place is not None]
    kept = sorted([*places["positive"], *negatives][:most])
    return Pool(
        pool.query,
        tuple(pool.passages[i] for i in kept),
        tuple(pool.labels[i] for i in kept),
        conflicts=tuple(pool.conflicts[i] for i in kept if pool.conflicts),
        superseded=tuple(pool.superseded[i] for i in kept if pool.superseded),
    )


def write_benchmark(benchmark: Benchmark, folder: Path) -> None:
    """Write the three tables, for programs that open a benchmark by its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tables(
        folder,
        {
            "corpus": [corpus_row(passage) for passage in benchmark.passages()],
            "queries": [_query_row(pool) for pool in benchmark.pools],
            "pools": [row for pool in benchmark.pools for row in _pool_rows(pool)],
        },
    )


def _pool_rows(pool: Pool) -> list[dict[str, object]]:
    conflicts = pool.conflicts or (None,) * len(pool)
    superseded = pool.superseded or (False,) * len(pool)
    return [
        {
            "query-id": pool.query.id,
            "corpus-id": passage.id,
            "label": str(label),
            "conflict": str(conflict) if conflict else None,
            "superseded": old,
        }
        for passage, label, conflict, old in zip(pool.passages, pool.labels, conflicts, superseded, strict=True)
    ]


def _query_row(pool: Pool) -> dict[str, str]:
    query = pool.query
    return {
        "_id": query.id,
        "text": query.content,
        "timestamp": format_timestamp(query.timestamp),
        "task": str(query.task),
        "kind": str(query.kind),
        "subject": query.subject,
        "relation": query.relation,
        "answer": query.answer,
    }


def made(command: str, record: dict[str, Any]) -> str:
    """The line that says from what, when and where a result was made."""
    machine = record["environment"]
    git = machine["git"] or {"commit": "unknown", "dirty": True}
    return (
        f"Made by `python eval/{command}`: {record['date']}, commit {git['commit'][:12]}"
        f"{' (dirty)' if git['dirty'] else ''}, {machine['cpu']}, {record['threads']} threads, load "
        f"{record['load_average']:.1f} at the start, torch {machine['packages']['torch']}, "
        f"{record['seconds'] / 60:.0f} minutes."
    )
