"""A few short pools of mini in each split, and a process that tunes a tiny model on them."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import fresco
from fresco.benchmarks import select_split
from fresco.records import Benchmark, Label, Pool, Task
from fresco.tuning.plan import FineTuning

PLAN = FineTuning(("bce", "listnet"), epochs=2, learning_rate=1e-3, negatives=4, evaluations=3, patience=3, queries=6)


def small(queries: int = 4, passages: int = 8) -> Benchmark:
    """So many queries of each task in each split of mini, over pools of so many passages."""
    mini = fresco.open_benchmark("mini")
    pools = []
    for split in ("train", "validation", "test"):
        part = select_split(mini, split).pools
        for task in Task:
            pools += [_cut(pool, passages) for pool in part if pool.query.task is task][:queries]
    return replace(mini, pools=tuple(pools))


def _cut(pool: Pool, passages: int) -> Pool:
    places = sorted(range(len(pool)), key=lambda place: (pool.labels[place] is not Label.POSITIVE, place))[:passages]
    kept = {
        name: tuple(own[place] for place in places) if (own := getattr(pool, name)) else ()
        for name in ("passages", "labels", "gains", "conflicts", "superseded")
    }
    return replace(pool, **kept)


def main(model: str, out: str, losses: str) -> None:
    """Tune, and print each step, so that a test may choose where to kill: the next begins with a line that it sends."""
    # What a model's library prints goes to standard error, and so would what is told while it is at work.
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")

    def tell(what: str, done: int, total: int | None = None, /) -> None:
        told.write(f"{what} {done} {total}\n")
        told.flush()
        sys.stdin.readline()

    plan = replace(PLAN, losses=tuple(losses.split(",")))
    store = Path(out).with_suffix(".sqlite")
    fresco.tune(f"cross-encoder:{model}", small(), train=plan, out=out, store=store, resamples=20, progress=tell)


if __name__ == "__main__":
    main(*sys.argv[1:])
