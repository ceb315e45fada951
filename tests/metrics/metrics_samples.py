"""Pools of any shape for the tests of metrics: labels and dates matter, texts are made up."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from hypothesis import strategies as st

from fresco.records import Benchmark, Kind, Label, Passage, Pool, Query, Task

NOW = datetime(2025, 8, 31, 23, 59, 59, tzinfo=UTC)
P, O, I, N = Label.POSITIVE, Label.OUTDATED, Label.INSUFFICIENT, Label.NEAR_TOPIC  # noqa: E741


def make_pool(
    labels: Sequence[Label],
    *,
    query_id: str = "q",
    task: Task = Task.EK,
    kind: Kind | None = None,
    subject: str = "s",
    ages: Sequence[float] | None = None,
    bodies: Sequence[str] | None = None,
    question: str = "Who is the current head coach of Ajax?",
) -> Pool:
    """A pool with the labels; ``ages`` are days before the time of the query."""
    kind = kind or (Kind.EXPLICIT if task is Task.EK else Kind.STATIC)
    ages = ages if ages is not None else [400.0 * (label is O) for label in labels]
    bodies = bodies or [f"Text {index} of {query_id}." for index in range(len(labels))]
    passages = tuple(
        Passage(f"{query_id}-p{index}", "Ajax", "", body, NOW - timedelta(days=age))
        for index, (age, body) in enumerate(zip(ages, bodies, strict=True))
    )
    query = Query(query_id, question, NOW, task, kind, subject, "head coach")
    return Pool(query, passages, tuple(labels))


def benchmark(pools: Sequence[Pool]) -> Benchmark:
    return Benchmark("sample", tuple(pools), "0" * 64)


def random_benchmark(n: int, size: int = 51, seed: int = 0, nek: int = 0) -> Benchmark:
    """EK pools, an explicit and an implicit query for each subject, then NEK pools."""
    rng = np.random.default_rng(seed)
    letters = [a + b for a in "abcdefghijklmnopqrst" for b in "aeiouyxz"]
    words = np.array([f"w{x}" for x in letters] + [f"N{x}" for x in letters[:50]] + [str(y) for y in range(20)])
    pools = []
    for i in range(n + nek):
        is_ek = i < n
        n_old = int(rng.integers(2, max(3, size // 2))) if is_ek else 0
        n_same = int(rng.integers(0, size - n_old))
        labels = [P] + [O] * n_old + [I] * n_same
        labels += [N] * (size - len(labels))
        ages = [5.0] + rng.uniform(-50, 2000, n_old).tolist() + [5.0] * n_same
        ages += rng.uniform(0, 3000, size - len(ages)).tolist()
        order = rng.permutation(size)
        bodies = [" ".join(rng.choice(words, int(rng.integers(5, 40)))) + "." for _ in range(size)]
        pools.append(
            make_pool(
                [labels[j] for j in order],
                query_id=f"q{i}",
                task=Task.EK if is_ek else Task.NEK,
                kind=(Kind.EXPLICIT, Kind.IMPLICIT)[i % 2] if is_ek else Kind.STATIC,
                subject=f"s{i // 2}" if is_ek else f"n{i}",
                ages=[ages[j] for j in order],
                bodies=bodies,
                question=f"Who leads {words[i % 160]} of {words[160 + i % 50]}?",
            )
        )
    return benchmark(pools)


@st.composite
def labels_lists(draw: st.DrawFn, max_size: int = 30) -> list[Label]:
    """Labels of a pool with at least one positive."""
    rest = draw(st.lists(st.sampled_from([P, O, I, N]), max_size=max_size - 1))
    return draw(st.permutations([P, *rest]))
