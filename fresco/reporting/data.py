"""What the page of a report holds: tables of each run, and the texts of the queries that went worst."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from fresco.benchmarks.first_stage import INJECTED
from fresco.benchmarks.part import Part
from fresco.benchmarks.trec import read_trec_run
from fresco.errors import FrescoError
from fresco.io.page.document import render_page
from fresco.metrics.measures.stale import Stale
from fresco.metrics.staleness import GAP_BINS
from fresco.records import Benchmark, Pool, Task
from fresco.results.result import Result
from fresco.results.table import find, table_cells
from fresco.results.writer import slug

#: Rules that know no more than dates, pages and BM25: what they reach is none of reading.
BLIND = ("random", "newest", "oldest", "latest")
#: How many of a re-ranker's worst queries are shown unless told otherwise.
WORST = 50


def render_report(results: Sequence[Result], *, worst: int = WORST) -> str:
    """The page of several runs as text."""
    runs, blocks = [], {}
    opened: dict[tuple[str, Part], Benchmark] = {}
    for place, result in enumerate(results):
        failures, why = _failures(result, worst, opened)
        if failures is not None:
            blocks[f"run-{place}"] = failures
        runs.append({**_run(result), "block": None if failures is None else f"run-{place}", "why": why})
    title = f"fresco: {results[0].title}" if len(results) == 1 else f"fresco: {len(results)} runs"
    return render_page(title, {"title": title, "runs": runs}, script="fresco.reporting", blocks=blocks)


def _run(result: Result) -> dict[str, Any]:
    rows, record = result.evaluation.rows, result.record
    cells = table_cells(rows, result.rerankers, result.evaluation.groups)
    return {
        "name": result.folder.name if result.folder else result.title,
        "title": result.title,
        "command": record.get("command"),
        "notes": [*result.notes, *result.warnings],
        "headers": cells.headers,
        "rerankers": result.rerankers,
        "named": list(result.named),
        "blind": [name for name in result.rerankers if name in BLIND],
        "best": _best(result),
        "gaps": _gaps(result),
        "words": {name: result.verdict(name) for name in result.rerankers},
        "rows": cells.rows,
        "points": [
            {side.lower(): dict(found) for side in ("EK", "NEK") if (found := find(rows, name, side, "all", "MAP"))}
            for name in result.rerankers
        ],
    }


def _best(result: Result) -> str:
    """What a reader wants to see first: of the re-rankers that read, asked for before others, the best on EK."""
    readers = [name for name in result.rerankers if name not in BLIND] or result.rerankers
    asked = [name for name in readers if name in result.named] or readers
    values = {name: find(result.evaluation.rows, name, "EK", "all", "MAP") for name in asked}
    return max(asked, key=lambda name: row["value"] if (row := values[name]) else -1.0)


def _gaps(result: Result) -> dict[str, list[dict[str, Any]]]:
    """For each re-ranker stale@1 by age of the conflict, empty bins left out."""
    frame = result.evaluation.age_gap
    own = frame[(frame["metric"] == Stale().name) & (frame["n"] > 0)]
    columns = ["bin", "value", "ci_low", "ci_high", "n"]
    return {
        str(name): [
            {str(key): _number(value) if isinstance(value, float) else value for key, value in row.items()}
            for row in rows[columns].replace({"bin": {GAP_BINS[0]: "newer"}}).to_dict("records")
        ]
        for name, rows in own.groupby("reranker", sort=False)
    }


def _failures(
    result: Result, worst: int, opened: dict[tuple[str, Part], Benchmark]
) -> tuple[dict[str, Any] | None, str]:
    """The worst queries with their pools, or None and why there are none; runs of one benchmark share what is open."""
    try:
        benchmark = _reopened(result.record, opened)
    except FrescoError as error:
        return None, str(error)
    table = result.per_query()
    table = table[table["task"] == str(Task.EK)]
    chosen: set[str] = set()
    for _, own in table.groupby("reranker", sort=False):
        chosen |= set(_worst_first(own)["query_id"].head(worst))
    pools = [pool for pool in benchmark.pools if pool.query.id in chosen]
    scores = {name: _scores(result.folder, name) for name in result.rerankers}
    figures = {(row["reranker"], row["query_id"]): row for row in table.to_dict("records")}
    numbers: dict[str, int] = {}
    passages: list[dict[str, str]] = []
    for passage in (each for pool in pools for each in pool.passages):
        if passage.id not in numbers:
            numbers[passage.id] = len(passages)
            date = passage.timestamp.date().isoformat()
            passages.append({"title": passage.title, "section": passage.section, "body": passage.body, "date": date})
    queries = [_query(pool, numbers, scores, figures) for pool in pools]
    return {"queries": queries, "passages": passages, "worst": worst}, ""


def _reopened(record: Mapping[str, Any], opened: dict[tuple[str, Part], Benchmark]) -> Benchmark:
    of, settings = record["benchmark"], record.get("settings") or {}
    part = Part(
        of.get("split") or "all",
        of.get("limit"),
        of.get("timestamps") or "text",
        int(settings.get("seed") or 0),
        pools=of.get("pools") or INJECTED,
    )
    key = (str(of["name"]), part)
    if key not in opened:
        opened[key] = part.open(key[0])
    benchmark = opened[key]
    if benchmark.fingerprint != of.get("fingerprint"):
        raise FrescoError(f"benchmark {of['name']} is not what this run scored: its content has another fingerprint")
    return benchmark


def _worst_first(table: pd.DataFrame) -> pd.DataFrame:
    # The share of outdated passages that the current one beats, and among equals the place of the current one.
    return table.sort_values(["current>obsolete", "rank"], ascending=[True, False], kind="stable", na_position="last")


def _scores(folder: Path | None, reranker: str) -> dict[str, dict[str, float]]:
    path = folder / "runs" / f"{slug(reranker)}.trec" if folder else None
    return read_trec_run(path) if path and path.exists() else {}


def _query(
    pool: Pool, numbers: Mapping[str, int], scores: Mapping[str, Any], figures: Mapping[tuple[str, str], Any]
) -> dict[str, Any]:
    query = pool.query
    by = {}
    for name, own in scores.items():
        row, scored = figures.get((name, query.id)), own.get(query.id, {})
        if row is not None:
            by[name] = {
                "rank": _number(row["rank"]),
                "wins": _number(row["current>obsolete"]),
                "top": str(row["top_label"]),
                "scores": [_number(scored.get(passage.id)) for passage in pool.passages],
            }
    return {
        "text": query.content,
        "date": query.timestamp.date().isoformat(),
        "relation": query.relation,
        "answer": query.answer,
        "subject": query.subject,
        "passages": [numbers[passage.id] for passage in pool.passages],
        "labels": [str(label) for label in pool.labels],
        "by": by,
    }


def _number(value: float | None) -> float | None:
    return round(float(value), 6) if value is not None and math.isfinite(value) else None
