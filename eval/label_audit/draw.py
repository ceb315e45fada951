"""Draw instances of a built benchmark for reading: a query, a positive, its hardest negatives, outdated passages.

    python eval/label_audit/draw.py FOLDER > /somewhere/outside/the/repository

FOLDER is what ``fresco build`` made (with its ``stages/``, which know how hard each negative is). The draw depends on
the seed and the query ids alone. ``--seed 20261129-b7 --read FILE ...`` leaves out the pairs that the verdicts in FILE
judge, so that a mend is read on instances that nobody made it for. What is printed is text of the wiki, whole, and
stays out of the repository; the reader's verdicts (ids and own words) are beside this file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fresco.benchmarks import open_benchmark
from fresco.records import Label, Pool

SEED = "20261129"
INSTANCES = 80
NEGATIVES = 3
OUTDATED = 3


def draw(query_ids: list[str], seed: str = SEED) -> list[str]:
    """The ids to read: first by SHA-256 of seed and id, so that a pair that is dropped changes no other draw."""
    ids = sorted(query_ids, key=lambda each: hashlib.sha256(f"{seed}\n{each}".encode()).digest())
    return sorted(ids[:INSTANCES])


def shown(pool: Pool, hardest: list[str]) -> Iterator[str]:
    """The passages of an instance: a positive, then the hardest negatives, then the hardest outdated ones."""
    labels = dict(zip((passage.id for passage in pool.passages), pool.labels, strict=True))
    kinds = dict(zip((passage.id for passage in pool.passages), pool.conflicts, strict=True))
    texts = {passage.id: passage for passage in pool.passages}
    negatives = [each for each in hardest if labels.get(each, Label.POSITIVE) is not Label.POSITIVE]
    outdated = [each for each in negatives if labels[each] is Label.OUTDATED]
    for own in dict.fromkeys([next(pool.labelled(Label.POSITIVE)).id, *negatives[:NEGATIVES], *outdated[:OUTDATED]]):
        kind = f", {kinds[own]}" if kinds[own] else ""
        yield f"--- {labels[own].value}{kind} {own} ## {texts[own].section}\n{texts[own].body}"


def main() -> None:
    """Print the instances."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", default=SEED, help="another one draws other instances (default: %(default)s)")
    parser.add_argument("--read", type=Path, nargs="*", default=[], help="verdicts whose pairs are left out")
    options = parser.parse_args()
    pools = {pool.query.id: pool for pool in open_benchmark(str(options.folder)).pools}
    hardest = {row["query"]: [own for own, *_ in row["pool"]] for row in _rows(options.folder, "5-pools")}
    aligned = {(row["subject"], row["relation"], row["role"]): row for row in _rows(options.folder, "3-align")}
    pairs = {row["_id"]: tuple(row["pair"]) for row in _rows(options.folder, "4-queries")}
    read = {_pair(json.loads(line)["query"]) for file in options.read for line in file.read_text("utf-8").splitlines()}
    for number, own in enumerate(draw([each for each in pools if _pair(each) not in read], options.seed), 1):
        row = aligned[pairs[own]]
        print(f"\n=== {number} {own}\n{pools[own].query.content}\ncurrent: {row['current']}  former: {row['former']}")
        print("\n".join(shown(pools[own], hardest[own])))


def _pair(query: str) -> str:
    return query.rpartition(":")[0]


def _rows(folder: Path, stage: str) -> list[dict[str, Any]]:
    with (folder / "stages" / f"{stage}.jsonl").open(encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


if __name__ == "__main__":
    main()
