"""Draw instances of a built benchmark for reading: each query with its positive and its hardest negatives.

    python eval/label_audit/draw.py FOLDER > /somewhere/outside/the/repository

FOLDER is what ``fresco build`` made (with its ``stages/``, which know how hard each negative is). The draw depends on
the seed and the query ids alone. What is printed is text of the wiki and stays out of the repository; the reader's
verdicts (ids and own words) are in ``verdicts.jsonl`` beside this file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from pathlib import Path

from fresco.benchmarks import open_benchmark
from fresco.builder.table_statements import is_row
from fresco.records import Label, Passage

SEED = "20250101"
INSTANCES = 80
NEGATIVES = 3


def draw(query_ids: list[str]) -> list[str]:
    """The ids to read: first by SHA-256 of seed and id, so that a pair that is dropped changes no other draw."""
    ids = sorted(query_ids, key=lambda each: hashlib.sha256(f"{SEED}\n{each}".encode()).digest())
    return sorted(ids[:INSTANCES])


def main() -> None:
    """Print the instances."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--characters", type=int, default=500, help="of the beginning of each passage")
    options = parser.parse_args()
    pools = {pool.query.id: pool for pool in open_benchmark(str(options.folder)).pools}
    with (options.folder / "stages" / "5-pools.jsonl").open(encoding="utf-8") as stream:
        hardest = {
            row["query"]: [each for each, label, _ in row["pool"] if label != Label.POSITIVE]
            for row in map(json.loads, stream)
        }
    with (options.folder / "stages" / "3-align.jsonl").open(encoding="utf-8") as stream:
        aligned = {(row["subject"], row["relation"], row["role"]): row for row in map(json.loads, stream)}
    with (options.folder / "stages" / "4-queries.jsonl").open(encoding="utf-8") as stream:
        pair_of = {row["_id"]: tuple(row["pair"]) for row in map(json.loads, stream)}
    for number, query_id in enumerate(draw(list(pools)), 1):
        pool = pools[query_id]
        passages = {passage.id: (passage, label) for passage, label in zip(pool.passages, pool.labels, strict=True)}
        positive = next(pool.labelled(Label.POSITIVE))
        row = aligned[pair_of[query_id]]
        names = [*row["current"], *row["former"]]
        print(f"\n=== {number} {query_id}\n{pool.query.content}\ncurrent: {row['current']}  former: {row['former']}")
        for passage_id in (positive.id, *hardest[query_id][:NEGATIVES]):
            passage, label = passages[passage_id]
            print(f"--- {label.value} {passage_id} ## {passage.section}")
            print(_excerpt(passage, names, options.characters))


def _excerpt(passage: Passage, names: list[str], characters: int) -> str:
    """The beginning, what surrounds each word of the values, and the last rows of its tables."""
    named = (word for name in names for word in re.findall(r"[\w.,]{2,}", name))
    words = {word for word in named if word[0].isupper() or word[0].isdigit()}
    text = passage.body
    parts = [text[:characters]]
    pattern = "|".join(sorted(map(re.escape, words)))
    shown = characters
    for match in re.finditer(pattern, text) if pattern else ():
        if match.start() >= shown and len(parts) < 5:
            parts.append(text[max(shown, match.start() - 150) : match.end() + 150])
            shown = match.end() + 150
    # Figures by year: the last rows, whose numbers are written in other units than the answer's.
    rows = [line for line in text[shown:].split("\n") if is_row(line)]
    parts += rows[-2:]
    return " [...] ".join(part.replace("\n", " / ") for part in parts)


if __name__ == "__main__":
    main()
