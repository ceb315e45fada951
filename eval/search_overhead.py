"""What the instruction search itself costs: a study of many candidates whose scores cost nothing.

    pip install -e ".[test]" && python eval/search_overhead.py

The search of ``fresco optimize`` on SQLite, with the re-ranker of ``clause_reranker.py``, whose scores are a table: so
every second is the search's own (proposals, races, the study), and so is the memory. Set against a search whose
scoring takes an hour, and against 500 MB.
"""

from __future__ import annotations

import resource
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import study
from clause_reranker import ClauseReranker, Meter

from fresco.benchmarks import open_benchmark, select_split
from fresco.optimizer.proposers.clauses import ClausesProposer, read_bank
from fresco.optimizer.search.rounds import Search
from fresco.optimizer.search.settings import SearchSettings
from fresco.optimizer.search.study import SearchStudy, Worker, open_storage

_SHARE, _HOUR, _MEGABYTES = 0.05, 3600.0, 500.0  # what is aimed at


def peak() -> float:
    """Most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Search, record."""
    parser = study.make_parser(__doc__)
    parser.add_argument("--candidates", type=int, default=1000)
    options = parser.parse_args()
    made = study.begin(options)
    if options.smoke:
        options.candidates = 6
    bank = read_bank()
    mini = open_benchmark("mini")
    train, validation = (select_split(mini, part).pools for part in ("train", "validation"))
    reranker = ClauseReranker(bank)
    meter: Any = Meter(reranker, validation, reranker.precisions(validation).astype("float32"))
    before = peak()
    with tempfile.TemporaryDirectory() as folder:
        found = SearchStudy(open_storage(f"sqlite:///{Path(folder) / 'study.db'}"), "s", {}, Worker())
        settings = SearchSettings(options.candidates // 2, children=2)
        search = Search(found, meter, validation, train, [ClausesProposer(bank)], settings, None, bank.choices)
        wall, processor = time.perf_counter(), time.process_time()
        reports = search.run()
        archive = search.archive(4)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    tried = sum(report.tried for report in reports)
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "candidates": tried,
        "in_full": tried - sum(report.dropped for report in reports),
        "left_out_of_the_population": len(archive),
        "seconds": wall,
        "processor_seconds": processor,
        "peak_megabytes": peak(),
        "megabytes_before": before,
        "environment": made,
    }
    study.record(options, "search_overhead", record, report(record))


def report(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    share = record["seconds"] / (record["seconds"] + _HOUR)
    verdicts = ["reached" if good else "MISSED" for good in (share < _SHARE, record["peak_megabytes"] < _MEGABYTES)]
    return "\n".join(
        [
            "# What the instruction search itself costs",
            "",
            f"`python eval/search_overhead.py`, {study.made_by(record['environment'])}.",
            "",
            f"{record['candidates']} candidates in one study on SQLite, {record['in_full']} of them scored on every "
            f"query: {record['seconds']:.0f} s ({record['processor_seconds']:.0f} s of processor). Beside an hour of "
            f"scoring that is {share:.1%} (aim: under {_SHARE:.0%}): {verdicts[0]}. Peak memory of the process "
            f"{record['peak_megabytes']:.0f} MB (aim: under {_MEGABYTES:.0f}), {record['megabytes_before']:.0f} MB of "
            f"them the benchmark and the table that stands for the re-ranker: {verdicts[1]}.",
            "",
        ]
    )


if __name__ == "__main__":
    main()
