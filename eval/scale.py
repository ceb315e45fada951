"""Memory and time of ``fresco score`` as a benchmark grows: 1,000, 10,000 and 100,000 queries.

    python eval/scale.py --work DIR

The benchmark is generated: eight passages of sixty words a query, every second query EK with one outdated passage.
Each size is a process of its own, whose peak of resident memory the system tells (``wait4``). A size that is done lies
in ``DIR/scale.jsonl`` and is not measured again, so after a kill the same command goes on.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import study

from fresco.io.files import lines, read_rows, replacing, write_atomically

_SIZES = (1_000, 10_000, 100_000)
_SMOKE = (20, 40)
_POOL, _WORDS, _VOCABULARY = 8, 60, 20_000
_LIMIT = 2_000  # MB, the bound that the largest size is held to
_NOW, _EARLIER = "2024-09-01T00:00:00Z", "2024-01-01T00:00:00Z"


def generate(folder: Path, count: int) -> None:
    """Write a benchmark of so many queries, the same for the same count."""
    folder.mkdir(parents=True)
    draw = random.Random(count)
    vocabulary = [f"w{number}" for number in range(_VOCABULARY)]

    def text(length: int) -> str:
        return " ".join(draw.choices(vocabulary, k=length))

    def corpus() -> Iterator[dict[str, Any]]:
        for number in range(2 * count):
            yield {
                "_id": f"p{number}",
                "title": f"T{number // 2}",
                "section": "",
                "text": text(_WORDS),
                "timestamp": _EARLIER,
            }

    def queries() -> Iterator[dict[str, Any]]:
        for number in range(count):
            task, kind = ("EK", "explicit") if number % 2 else ("NEK", "static")
            yield {
                "_id": f"q{number}", "text": text(8), "timestamp": _NOW, "task": task, "kind": kind,
                "subject": f"s{number}", "relation": "r", "answer": "a",
            }  # fmt: skip

    def pools() -> Iterator[dict[str, Any]]:
        for number in range(count):
            for place, passage in enumerate(draw.sample(range(2 * count), _POOL)):
                outdated = place == 1 and number % 2
                label = "positive" if place == 0 else "outdated" if outdated else "near-topic"
                yield {"query-id": f"q{number}", "corpus-id": f"p{passage}", "label": label}

    for name, rows in (("corpus", corpus()), ("queries", queries()), ("pools", pools())):
        with replacing(folder / f"{name}.jsonl") as stream:
            stream.writelines(lines([row]).encode() for row in rows)


def measure(work: Path, count: int) -> dict[str, Any]:
    """Score a generated benchmark in a process of its own.

    Returns:
        queries, pairs, peak (MB), seconds, processor (seconds), load (of the machine before).
    """
    place = work / str(count)
    shutil.rmtree(place, ignore_errors=True)
    generate(place / "benchmark", count)
    command = [
        sys.executable,
        "-m",
        "fresco",
        "score",
        "--benchmark",
        "benchmark",
        "--reranker",
        "bm25",
        "--no-baselines",
    ]
    command += ["--store", "scores.sqlite", "--out", "out"]
    load, started = os.getloadavg()[0], time.perf_counter()
    with (place / "log").open("wb") as log:
        child = subprocess.Popen(command, cwd=place, stdout=log, stderr=log)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command)} ended with {child.returncode}; {place / 'log'} says why")
    scored = json.loads((place / "out" / "run.json").read_text(encoding="utf-8"))
    pairs = scored["rerankers"][0]["pairs_scored"]
    shutil.rmtree(place)
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kB on Linux
    return {
        "queries": count, "pairs": pairs, "peak": used.ru_maxrss / unit, "seconds": time.perf_counter() - started,
        "processor": used.ru_utime + used.ru_stime, "load": load,
    }  # fmt: skip


def table(made: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    """The study's table."""
    shown = [
        "# Memory of a benchmark that grows", "",
        f"`python eval/scale.py --work DIR`: {study.made_by(made)}.",
        f"BM25, {_POOL} passages a query, {_WORDS} words a passage.", "",
        "| queries | pairs | peak of memory | kB a query above the smaller size | processor s | wall s (load) |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for before, row in zip([None, *rows], rows, strict=False):
        grown = f"{(row['peak'] - before['peak']) * 1e3 / (row['queries'] - before['queries']):.1f}" if before else ""
        shown.append(
            f"| {row['queries']:,} | {row['pairs']:,} | {row['peak']:,.0f} MB | {grown} | {row['processor']:.1f} | "
            f"{row['seconds']:.1f} ({row['load']:.1f}) |"
        )
    last = rows[-1]
    verdict = "below" if last["peak"] < _LIMIT else "NOT below"
    return "\n".join([*shown, "", f"{last['queries']:,} queries: {verdict} {_LIMIT / 1000:.0f} GB."])


def main() -> None:
    """Measure what is not measured yet."""
    parser = study.make_parser(__doc__)
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="for the benchmarks, and what is done")
    options = parser.parse_args()
    made = study.begin(options)
    commit = (made["git"] or {}).get("commit")
    done = options.work / "scale.jsonl"
    rows = [row for row in read_rows(done) if row["commit"] == commit] if done.exists() else []
    sizes = _SMOKE if options.smoke else _SIZES
    for count in sizes:
        if count not in {row["queries"] for row in rows}:
            rows.append({**measure(options.work, count), "commit": commit})
            write_atomically(done, lines(rows))
            print(f"{count:,} queries: {rows[-1]['peak']:,.0f} MB, {rows[-1]['processor']:.1f} s", flush=True)
    rows = sorted((row for row in rows if row["queries"] in sizes), key=lambda row: row["queries"])
    study.record(options, "scale", {"environment": made, "rows": rows}, table(made, rows))


if __name__ == "__main__":
    main()
