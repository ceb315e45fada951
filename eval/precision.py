"""What a model's measures pay for lower precision, beside what it gains: float32 against bfloat16 and int8, paired.

    pip install -e ".[test]" && python eval/precision.py SPEC [--benchmark B] [--queries N]

scores the same queries in each precision, and times each on the same pairs in turns (A B C, C B A, ...), in CPU seconds
of this process. A difference of measures is that to float32 with its 95 % interval over subjects. Rows are added to
``eval/results/precision.json`` and ``.md``. bfloat16 and int8 pay only on processors that have instructions for them.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import study
import torch

import fresco
from fresco.benchmarks.part import Part
from fresco.models.quantized import FAMILIES
from fresco.models.settings import Settings
from fresco.rerank.registry import open_reranker
from fresco.terminal.arguments import positive

_DTYPES = ("float32", "bfloat16", "int8")
#: Notation, task.
_MEASURES = (("MAP", "EK"), ("Hit@1", "EK"), ("stale@1", "EK"), ("current>obsolete", "EK"), ("MAP", "NEK"))
_ENOUGH = 256  # pairs of a turn


def main() -> None:
    """Score, time, and record a row for each precision."""
    parser = study.make_parser(__doc__)
    parser.add_argument("spec", help="of a pointwise re-ranker over a local model")
    parser.add_argument("--name", help="in the table (default: family and folder)")
    parser.add_argument("--benchmark", default="mini", help="name or folder (default: mini)")
    parser.add_argument("--queries", type=positive, default=60, metavar="N", help="about N (default: 60)")
    parser.add_argument("--turns", type=positive, default=5, metavar="N")
    parser.add_argument("--threads", type=positive, default=1, metavar="N")
    options = parser.parse_args()
    made = study.begin(options)
    if options.smoke:
        options.queries, options.turns = 3, 1
    torch.set_num_threads(options.threads)
    family, _, model = options.spec.partition(":")
    if family not in FAMILIES:
        parser.error(f"{options.spec}: no pointwise family over a local model; they are {', '.join(FAMILIES)}")
    name = options.name or f"{family}, {Path(model).name}"
    seconds, pairs = _timed(options)
    results = {dtype: _scored(options, dtype) for dtype in _DTYPES}
    exact = results["float32"]
    rows = [
        {
            "name": name,
            "dtype": dtype,
            "benchmark": exact.record["benchmark"]["name"],
            "queries": exact.record["benchmark"]["queries"],
            "threads": options.threads,
            "pairs": pairs,
            "pairs_per_second": pairs / statistics.median(seconds[dtype]),
            "gain": statistics.median(
                one / other for one, other in zip(seconds["float32"], seconds[dtype], strict=True)
            ),
            "measures": _changes(exact, result),
            "made": made,
        }
        for dtype, result in results.items()
    ]
    kept = [row for row in study.recorded(options, "precision", []) if row["name"] != name]
    study.record(options, "precision", kept + rows, _table(kept + rows))


def _scored(options: argparse.Namespace, dtype: str) -> Any:
    with TemporaryDirectory() as folder:
        return fresco.score(
            {"model": options.spec},
            options.benchmark,
            limit=options.queries,
            baselines=False,
            store=Path(folder) / "store.sqlite",
            device="cpu",
            dtype=dtype,
            resamples=20 if options.smoke else 1000,
        )


def _timed(options: argparse.Namespace) -> tuple[dict[str, list[float]], int]:
    """CPU seconds of each turn, and how many pairs a turn scores."""
    benchmark = Part(limit=options.queries).open(options.benchmark)
    pairs = [(pool.query, passage) for pool in benchmark.pools for passage in pool.passages][:_ENOUGH]
    models: dict[str, Any] = {
        dtype: open_reranker(options.spec, Settings(device="cpu", dtype=dtype)) for dtype in _DTYPES
    }
    seconds: dict[str, list[float]] = {dtype: [] for dtype in _DTYPES}
    for model in models.values():
        list(model.score_batches(pairs[:8], None, lambda _: False))  # loads the weights
    for turn in range(options.turns):
        for dtype in _DTYPES if turn % 2 == 0 else reversed(_DTYPES):
            started = time.process_time()
            list(models[dtype].score_batches(pairs, None, lambda _: False))
            seconds[dtype].append(time.process_time() - started)
    return seconds, len(pairs)


def _changes(exact: Any, other: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for metric, task in _MEASURES:
        try:
            rows = exact.compare(other, metric).to_dict("records")
        except fresco.FrescoError:  # a benchmark without queries of the task
            continue
        own = [row for row in rows if (row["task"], row["kind"]) == (task, "all")]
        if own:
            kept = ("value_a", "value_b", "difference", "ci_low", "ci_high", "n", "units")
            found[f"{task} {metric}"] = {key: own[0][key] for key in kept}
    return found


def _table(rows: list[dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row["measures"]))
    lines = [
        "# Lower precision: what it costs and what it gains",
        "",
        "Made by `python eval/precision.py SPEC`, which says how. float32: the value; else its change [95 % interval].",
        "",
        "| model | dtype | queries | pairs a CPU second | gain | " + " | ".join(names) + " | made |",
        "|---" * (len(names) + 6) + "|",
    ]
    for row in rows:
        cells = [
            row["name"],
            row["dtype"],
            f"{row['queries']} of `{row['benchmark']}`",
            f"{row['pairs_per_second']:.1f}",
            f"{row['gain']:.2f}x",
            *(_change(row["measures"].get(name), row["dtype"] == "float32") for name in names),
            f"{study.made_by(row['made'])}, {row['threads']} threads",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _change(row: dict[str, Any] | None, exact: bool) -> str:
    if row is None:
        return ""
    if exact:
        return f"{row['value_a']:.3f}"
    bounds = "" if math.isnan(row["ci_low"]) else f" [{row['ci_low']:+.3f} {row['ci_high']:+.3f}]"
    return f"{row['difference']:+.3f}{bounds}"


if __name__ == "__main__":
    main()
