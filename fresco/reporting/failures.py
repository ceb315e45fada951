"""The failure browser's data: which queries went worst, and their pools, texts once for all runs of a benchmark.

Texts and scores lie in chunks that the page unpacks when a query of theirs is opened.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from fresco.benchmarks.first_stage import INJECTED
from fresco.benchmarks.part import Part
from fresco.benchmarks.trec import read_trec_run
from fresco.errors import FrescoError
from fresco.records import Benchmark, Pool, Task
from fresco.results.result import Result
from fresco.results.writer import run_file

#: How many of a re-ranker's worst queries are shown unless told otherwise.
WORST = 50
#: Queries whose texts are unpacked together.
CHUNK = 100


@dataclass
class RunFailures:
    """The worst queries of one run.

    Attributes:
        folder: The run's.
        worst: For each re-ranker a row for each query, worst first: ``query_id``, ``rank``, ``wins``, ``top``.
    """

    folder: Path | None
    worst: dict[str, pd.DataFrame]

    @property
    def chosen(self) -> set[str]:
        """Ids of all of them."""
        return {str(query) for own in self.worst.values() for query in own["query_id"]}


@dataclass
class Failures:
    """The runs over one content, and the benchmark that has their texts.

    Attributes:
        why: Why there are no texts; empty where there are.
    """

    record: Mapping[str, Any]
    runs: dict[int, RunFailures] = field(default_factory=dict)
    why: str = ""

    def add(self, place: int, result: Result, worst: int) -> None:
        """Take one run in."""
        table = result.per_query()
        table = table[table["task"] == str(Task.EK)]
        found = {
            str(name): _worst_first(own).head(worst)[["query_id", "rank", "current>obsolete", "top_label"]]
            for name, own in table.groupby("reranker", sort=False)
        }
        self.runs[place] = RunFailures(result.folder, found)

    def blocks(self, board: int) -> Iterator[tuple[str, Any]]:
        """The blocks of the page: queries and chunks of pools, and for each run worst lists and chunks of scores."""
        try:
            benchmark = _reopened(self.record)
        except FrescoError as error:
            self.why = str(error)
            return
        chosen = set().union(*(run.chosen for run in self.runs.values()))
        pools = [pool for pool in benchmark.pools if pool.query.id in chosen]
        places = {pool.query.id: place for place, pool in enumerate(pools)}
        yield f"queries-{board}", [_query(pool) for pool in pools]
        for start in range(0, len(pools), CHUNK):
            yield f"pools-{board}-{start // CHUNK}", _pools(pools[start : start + CHUNK])
        for place, run in self.runs.items():
            own = [pools[at] for at in sorted(places[query] for query in run.chosen)]
            yield f"failures-{place}", {name: _listed(frame, places) for name, frame in run.worst.items()}
            scores = {name: _scores(run.folder, name, run.chosen) for name in run.worst}
            for chunk, pools_of_it in groupby(own, lambda pool: places[pool.query.id] // CHUNK):
                part = list(pools_of_it)
                yield (
                    f"scores-{place}-{chunk}",
                    {
                        name: {places[pool.query.id]: _of_pool(pool, found) for pool in part}
                        for name, found in scores.items()
                    },
                )


def _reopened(record: Mapping[str, Any]) -> Benchmark:
    of, settings = record["benchmark"], record.get("settings") or {}
    part = Part(
        of.get("split") or "all",
        of.get("limit"),
        of.get("timestamps") or "text",
        int(settings.get("seed") or 0),
        pools=of.get("pools") or INJECTED,
    )
    benchmark = part.open(str(of["name"]))
    if benchmark.fingerprint != of.get("fingerprint"):
        raise FrescoError(f"benchmark {of['name']} is not what this run scored: its content has another fingerprint")
    return benchmark


def _worst_first(table: pd.DataFrame) -> pd.DataFrame:
    # The share of outdated passages that the current one beats, and among equals the place of the current one.
    return table.sort_values(["current>obsolete", "rank"], ascending=[True, False], kind="stable", na_position="last")


def _listed(frame: pd.DataFrame, places: Mapping[str, int]) -> dict[str, list[Any]]:
    return {
        "at": [places[query] for query in frame["query_id"]],
        "rank": [number(value) for value in frame["rank"]],
        "top": [str(value) for value in frame["top_label"]],
    }


def _scores(folder: Path | None, reranker: str, wanted: set[str]) -> dict[str, dict[str, float]]:
    path = folder / run_file(reranker) if folder else None
    return read_trec_run(path, only=wanted) if path and path.exists() else {}


def _of_pool(pool: Pool, scores: Mapping[str, Mapping[str, float]]) -> list[float | None]:
    own = scores.get(pool.query.id, {})
    return [number(own.get(passage.id)) for passage in pool.passages]


def _query(pool: Pool) -> dict[str, str]:
    query = pool.query
    return {
        "text": query.content,
        "date": query.timestamp.date().isoformat(),
        "relation": query.relation,
        "answer": query.answer,
        "subject": query.subject,
    }


def _pools(pools: Sequence[Pool]) -> dict[str, Any]:
    numbers: dict[str, int] = {}
    passages: list[dict[str, str]] = []
    for passage in (each for pool in pools for each in pool.passages):
        if passage.id not in numbers:
            numbers[passage.id] = len(passages)
            date = passage.timestamp.date().isoformat()
            passages.append({"title": passage.title, "section": passage.section, "body": passage.body, "date": date})
    return {
        "passages": passages,
        "pools": [
            {"passages": [numbers[each.id] for each in pool.passages], "labels": [str(label) for label in pool.labels]}
            for pool in pools
        ],
    }


def number(value: float | None) -> float | None:
    """A number for the page; None for NaN and infinity."""
    return round(float(value), 6) if value is not None and math.isfinite(value) else None
