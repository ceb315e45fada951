"""``fresco score``: open, score, measure, write, print."""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.markup import escape

from fresco.benchmarks import combine, limit_queries, open_benchmark, select_split
from fresco.commands.instructions import Transfer, print_transfer
from fresco.errors import FrescoError
from fresco.io.provenance import environment
from fresco.metrics.threshold import Condition, parse_condition
from fresco.models.settings import Settings
from fresco.records import SCHEMA_VERSION, Benchmark, format_timestamp
from fresco.rerank.base import Reranker
from fresco.rerank.registry import open_reranker
from fresco.results.table import results_table, verdict
from fresco.results.writer import claim, slug, write_run
from fresco.scoring.pipeline import Run, score_benchmark
from fresco.scoring.store import ScoreStore, default_store
from fresco.terminal.console import make_console
from fresco.terminal.options import model_settings
from fresco.terminal.progress import progress_bars

#: Scored beside whatever the user names: reading a model's row needs these.
BASELINES = ("random", "newest", "bm25", "half-life:bm25,365")


def run_score(options: argparse.Namespace) -> int:
    """Run the command; see :func:`fresco.cli.main` for the exit codes."""
    started = datetime.now(UTC)
    conditions = [parse_condition(text) for text in options.fail_if]
    settings = model_settings(options)
    named, rerankers = _open_rerankers(options, settings)
    instruction = _instruction(options, rerankers)
    transfer = _transfer(options)
    if transfer:
        rerankers = transfer.expand(rerankers)
        named = transfer.rows_of(named)
    benchmark = _open_benchmark(options)
    asked = [instruction, *transfer.texts] if transfer else instruction
    identity = _identity(options, benchmark, rerankers, asked)
    folder = Path(options.out) if options.out else Path("fresco-results") / f"{slug(benchmark.name)}-{identity[:8]}"
    claim(folder, identity, overwrite=options.overwrite)
    console = make_console(stderr=options.json)
    with (
        ScoreStore(Path(options.store) if options.store else default_store()) as store,
        progress_bars(unit="pairs") as progress,
    ):
        run = score_benchmark(
            benchmark,
            rerankers,
            store,
            instruction=instruction,
            seed=options.seed,
            resamples=options.resamples,
            progress=progress,
        )
    record = _record(options, run, identity, instruction, started, str(store.path))
    if transfer:
        record["instructions"] = transfer.record(run.evaluation)
    write_run(run, folder, record)
    _print_result(
        console, run, named, folder, verdicts=bool(options.reranker and not transfer), hint=not options.reranker
    )
    if transfer:
        print_transfer(console, run.evaluation, record["instructions"])
    if options.json:
        sys.stdout.writelines(json.dumps(row) + "\n" for row in run.evaluation.rows)
    return _check(conditions, run, named)


def _open_rerankers(options: argparse.Namespace, settings: Settings) -> tuple[list[str], list[Reranker]]:
    """The names of the re-rankers that the user asked for, and all that are scored, baselines first."""
    asked: Sequence[str] = options.reranker or ()
    if options.no_baselines and not asked:
        raise FrescoError("--no-baselines leaves nothing to score; name a re-ranker with --reranker SPEC")
    specs = dict.fromkeys([*(() if options.no_baselines else BASELINES), *asked])
    rerankers = {spec: open_reranker(spec, settings) for spec in specs}
    by_name: dict[str, str] = {}
    for spec, reranker in rerankers.items():
        if by_name.setdefault(reranker.name, spec) != spec:
            raise FrescoError(
                f"--reranker {by_name[reranker.name]} and --reranker {spec} both call themselves {reranker.name!r}; "
                "score them in two runs, or give one another name"
            )
    return [rerankers[spec].name for spec in (asked or BASELINES)], list(rerankers.values())


def _instruction(options: argparse.Namespace, rerankers: Sequence[Reranker]) -> str | None:
    text: str | None = options.instruction
    if text is None:
        return None
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise FrescoError(f"--instruction {options.instruction}: cannot read it as UTF-8 text: {error}") from error
    if not text:
        raise FrescoError("--instruction is empty; leave it away for the model's default")
    if not any(reranker.takes_instruction for reranker in rerankers):
        raise FrescoError("--instruction: no re-ranker of this run takes one; `fresco rerankers` lists which do")
    return text


def _transfer(options: argparse.Namespace) -> Transfer | None:
    if not options.instructions:
        return None
    if options.instruction:
        raise FrescoError("--instruction and --instructions: give one of them; the default is a row anyway")
    return Transfer(Path(options.instructions))


def _open_benchmark(options: argparse.Namespace) -> Benchmark:
    benchmark = open_benchmark(options.benchmark, seed=options.seed)
    if options.nek:
        benchmark = combine(benchmark, open_benchmark(options.nek, seed=options.seed))
    benchmark = select_split(benchmark, options.split, seed=options.seed)
    if options.limit:
        benchmark = limit_queries(benchmark, options.limit, seed=options.seed)
    return benchmark.without_timestamps() if options.timestamps == "none" else benchmark


def _identity(
    options: argparse.Namespace,
    benchmark: Benchmark,
    rerankers: Sequence[Reranker],
    asked: str | list[str | None] | None,
) -> str:
    """SHA-256 over what makes two commands the same run: such a run may replace the other's folder."""
    parts: list[Any] = [
        benchmark.name,
        benchmark.fingerprint,
        options.timestamps,
        asked,
        [reranker.name for reranker in rerankers],
        [options.dtype, options.max_length, options.seed, options.resamples],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _record(
    options: argparse.Namespace, run: Run, identity: str, instruction: str | None, started: datetime, store: str
) -> dict[str, Any]:
    finished = datetime.now(UTC)
    ties = run.evaluation.ties
    return {
        "schema_version": SCHEMA_VERSION,
        "identity": identity,
        "command": shlex.join(sys.argv),
        "started": format_timestamp(started),
        "finished": format_timestamp(finished),
        "seconds": (finished - started).total_seconds(),
        "benchmark": {
            "name": run.benchmark.name,
            "edition": run.benchmark.edition,
            "fingerprint": run.benchmark.fingerprint,
            "queries": len(run.benchmark),
            "passages": len(list(run.benchmark.passages())),
            "split": options.split,
            "limit": options.limit,
            "timestamps": options.timestamps,
            "notes": list(run.benchmark.notes),
        },
        "settings": {
            "instruction": instruction,
            "device": options.device,
            "dtype": options.dtype,
            "max_length": options.max_length,
            "batch_tokens": options.batch_tokens,
            "seed": options.seed,
            "resamples": options.resamples,
            "store": store,
        },
        "rerankers": [
            {
                **reranker.description,
                "fingerprint": reranker.outcome.fingerprint,
                "pairs_scored": reranker.outcome.computed,
                "pairs_from_store": reranker.outcome.reused,
                "seconds": reranker.outcome.seconds,
                "ties": ties[reranker.name],
            }
            for reranker in run.rerankers
        ],
        "environment": environment(),
    }


def _print_result(console: Any, run: Run, named: Sequence[str], folder: Path, *, verdicts: bool, hint: bool) -> None:
    evaluation = run.evaluation
    names = [reranker.name for reranker in run.rerankers]
    title = f"{run.benchmark.name}: {len(run.benchmark)} queries"
    console.print(results_table(evaluation.rows, names, evaluation.groups, escape(title), console.width))
    console.print(
        "[dim]value \\[95 % interval over subjects]; re-rankers that share a letter cannot be told apart "
        "(paired randomization, Holm)[/]"
    )
    for note in run.benchmark.notes:
        console.print(f"note: {escape(note)}")
    for warning in (*evaluation.warnings, *_truncations(run)):
        console.print(f"[yellow]warning:[/] {escape(warning)}")
    for name in named if verdicts else ():
        console.print()
        for line in verdict(evaluation.rows, name, evaluation.bias.get(name)):
            console.print(escape(line))
    console.print(f"\nresults: {escape(str(folder))}  (metrics.json, per_query.parquet, runs/, plots/, run.json)")
    if hint:
        console.print("next: your own model, with pip install 'fresco-ccs\\[models]' and then")
        console.print("      fresco score --reranker cross-encoder:BAAI/bge-reranker-v2-m3")


def _truncations(run: Run) -> Iterator[str]:
    for reranker in run.rerankers:
        if count := reranker.description.get("truncated"):
            yield f"{reranker.name}: {count} pairs were longer than it reads; the end of the text was cut, not the date"


def _check(conditions: Sequence[Condition], run: Run, named: Sequence[str]) -> int:
    rows = [row for row in run.evaluation.rows if row["reranker"] in named]
    failed = [(condition, row) for condition in conditions for row in condition.holds(rows)]
    for condition, row in failed:
        sys.stderr.write(f"fresco: --fail-if {condition.text}: {row['reranker']} has {row['value']:.4f}\n")
    return 1 if failed else 0
