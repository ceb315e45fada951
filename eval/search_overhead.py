"""What the instruction search itself costs: a study of many candidates whose scores cost nothing.

    pip install -e ".[test]" && python eval/search_overhead.py

The search of ``fresco optimize`` on SQLite, with the re-ranker of ``clause_reranker.py``, whose scores are a table: so
what is left is the search's own (proposals, races, the study), and so is the memory. It is set against a search whose
scoring takes an hour, and against 500 MB. The front of all candidates by bootstrap comes last, as in the command.

Seconds of the clock hold what the disk and other programs take; seconds of processor do not.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import study
from clause_reranker import ClauseReranker, Meter

from fresco.benchmarks import open_benchmark, select_split
from fresco.optimizer.proposers.clauses import Bank, ClausesProposer, read_bank
from fresco.optimizer.search.rounds import Search
from fresco.optimizer.search.settings import RoundReport, SearchSettings
from fresco.optimizer.search.storage import close_storage, open_storage
from fresco.optimizer.search.study import SearchStudy
from fresco.optimizer.search.worker import Worker
from fresco.records import Pool
from fresco.stats.arrays import FloatArray

MARKS: tuple[int, ...] = (125, 250, 500, 1000)
_SHARE, _HOUR, _MEGABYTES = 0.05, 3600.0, 500.0  # what is aimed at


class Timed(Meter):
    """A meter that knows how long it took."""

    seconds = processor = 0.0

    def average_precisions(self, instruction: str | None, pools: Sequence[Pool], progress: Any = None) -> FloatArray:
        """See :meth:`Meter.average_precisions`."""
        wall, processor = time.perf_counter(), time.process_time()
        values = super().average_precisions(instruction, pools, progress)
        self.seconds += time.perf_counter() - wall
        self.processor += time.process_time() - processor
        return values


class Clock:
    """Notes what a search has cost whenever it has tried so many candidates."""

    def __init__(self, meter: Timed, marks: Sequence[int]) -> None:
        self._meter, self._left = meter, list(marks)
        self._wall, self._processor = time.perf_counter(), time.process_time()
        self._tried = 0
        self.rows: list[dict[str, float]] = []

    def scored(self, what: str, done: int, total: int) -> None:
        """See :class:`fresco.optimizer.search.settings.Watcher`."""

    def round_done(self, seed: int, report: RoundReport) -> None:
        """See :class:`fresco.optimizer.search.settings.Watcher`."""
        self._tried += report.tried
        if self._left and self._tried >= self._left[0]:
            self._left.pop(0)
            self.rows.append({"candidates": self._tried, **self.now()})

    def now(self) -> dict[str, float]:
        """Seconds outside scoring, and memory."""
        return {
            "seconds": time.perf_counter() - self._wall - self._meter.seconds,
            "processor_seconds": time.process_time() - self._processor - self._meter.processor,
            "peak_megabytes": peak(),
        }


def peak() -> float:
    """Most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Search, record."""
    parser = study.make_parser(__doc__)
    options = parser.parse_args()
    made = study.begin(options)
    marks, bank = MARKS, read_bank()
    if options.smoke:
        marks = (4, 8)
        bank = Bank({name: dict(list(own.items())[:2]) for name, own in bank.categories.items()}, bank.orders)
    mini = open_benchmark("mini")
    train, validation = (select_split(mini, part).pools for part in ("train", "validation"))
    reranker = ClauseReranker(bank)
    meter = Timed(reranker, validation, reranker.precisions(validation).astype("float32"))
    before, load = peak(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        storage = open_storage(f"sqlite:///{Path(folder) / 'study.db'}")
        found = SearchStudy(storage, "s", {}, Worker())
        clock = Clock(meter, marks)
        settings = SearchSettings(-(-marks[-1] // 2), children=2)
        objective: Any = meter
        search = Search(
            found, objective, validation, train, [ClausesProposer(bank)], settings, None, bank.choices, clock
        )
        reports = search.run()
        search.proposed(2 * settings.population)
        whole = clock.now()
        close_storage(storage)
    tried = sum(report.tried for report in reports)
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "candidates": tried,
        "in_full": tried - sum(report.dropped for report in reports),
        "by_candidates": clock.rows,
        "whole": whole,
        "megabytes_before": before,
        "load_average": load,
        "environment": made,
    }
    study.record(options, "search_overhead", record, report(record))


def report(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    whole = record["whole"]
    share = whole["seconds"] / (whole["seconds"] + _HOUR)
    verdicts = ["reached" if good else "MISSED" for good in (share < _SHARE, whole["peak_megabytes"] < _MEGABYTES)]
    rows = [
        "| "
        + " | ".join(f"{row[key]:,.0f}" for key in ("candidates", "seconds", "processor_seconds", "peak_megabytes"))
        + " |"
        for row in record["by_candidates"]
    ]
    return "\n".join(
        [
            "# What the instruction search itself costs",
            "",
            f"`python eval/search_overhead.py`, {study.made_by(record['environment'])}, load average of the machine "
            f"{record['load_average']:.1f}.",
            "",
            f"{record['candidates']:,} candidates in one study on SQLite, {record['in_full']:,} of them scored on "
            "every query; seconds outside scoring.",
            "",
            "| candidates so far | seconds | of processor | peak MB |",
            "|---|---|---|---|",
            *rows,
            "",
            f"With the front by bootstrap {whole['seconds']:.0f} s ({whole['processor_seconds']:.0f} s of processor): "
            f"beside an hour of scoring {share:.1%} of the search (aim: under {_SHARE:.0%}): {verdicts[0]}. Peak "
            f"memory of the process {whole['peak_megabytes']:.0f} MB (aim: under {_MEGABYTES:.0f}), "
            f"{record['megabytes_before']:.0f} MB of them the benchmark and the table that stands for the re-ranker: "
            f"{verdicts[1]}.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
