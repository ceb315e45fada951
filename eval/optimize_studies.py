"""What the studies of the instruction search share: pools cut to a size that two cores score in minutes."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from fresco.benchmarks.pools import fingerprint
from fresco.build.tables import corpus_row, write_tables
from fresco.records import Benchmark, Label, Pool, format_timestamp


def cut_pools(benchmark: Benchmark, most: int) -> Benchmark:
    """The benchmark with at most so many passages a pool: every positive, the others by a hash of the two ids.

    Labels keep their shares among the negatives, up to the draw. Scores on cut pools are higher than on whole ones.
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
    def order(place: int) -> tuple[bool, bytes]:
        passage = pool.passages[place]
        drawn = hashlib.sha256(f"{pool.query.subject}\0{passage.id}".encode()).digest()
        return pool.labels[place] is not Label.POSITIVE, drawn

    kept = sorted(sorted(range(len(pool)), key=order)[:most])
    return Pool(pool.query, tuple(pool.passages[i] for i in kept), tuple(pool.labels[i] for i in kept))


def write_benchmark(benchmark: Benchmark, folder: Path) -> None:
    """Write the three tables, for programs that open a benchmark by its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tables(
        folder,
        {
            "corpus": [corpus_row(passage) for passage in benchmark.passages()],
            "queries": [_query_row(pool) for pool in benchmark.pools],
            "pools": [
                {"query-id": pool.query.id, "corpus-id": passage.id, "label": str(label)}
                for pool in benchmark.pools
                for passage, label in zip(pool.passages, pool.labels, strict=True)
            ],
        },
    )


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
