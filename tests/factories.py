"""Small queries, passages and pools for the tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from fresco.records import Benchmark, Kind, Label, Passage, Pool, Query, Task

ASKED = datetime(2025, 1, 1, 23, 59, 59, tzinfo=UTC)


def make_query(number: int = 0, *, subject: str | None = None, task: Task = Task.EK) -> Query:
    kind = (Kind.EXPLICIT, Kind.IMPLICIT)[number % 2] if task is Task.EK else Kind.STATIC
    return Query(
        f"q{number}", f"Who leads club {number}?", ASKED, task, kind, subject or f"club {number}", "head coach"
    )


def make_passage(name: str, *, days_old: int = 0, body: str | None = None) -> Passage:
    return Passage(name, "Club", "Staff", body or f"Somebody leads it, says {name}.", ASKED - timedelta(days=days_old))


def make_pool(number: int = 0, *, outdated: int = 2, near: int = 2) -> Pool:
    passages = [make_passage(f"q{number}-now", days_old=10)]
    labels = [Label.POSITIVE]
    for index in range(outdated):
        passages.append(make_passage(f"q{number}-old{index}", days_old=400 * (index + 1)))
        labels.append(Label.OUTDATED)
    for index in range(near):
        passages.append(make_passage(f"q{number}-near{index}", days_old=index))
        labels.append(Label.NEAR_TOPIC)
    return Pool(make_query(number), tuple(passages), tuple(labels))


def make_benchmark(pools: int = 6) -> Benchmark:
    return Benchmark("tiny", tuple(make_pool(number) for number in range(pools)), "0" * 64)
