"""``fresco score``: re-rankers on a benchmark, as a table and a folder."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fresco.terminal.arguments import address, positive
from fresco.terminal.options import (
    add_benchmark,
    add_models,
    add_out,
    add_ray,
    add_resamples,
    add_seed,
    add_store,
    add_unit,
)

if TYPE_CHECKING:
    from rich.console import Console

    from fresco.metrics.threshold import Condition
    from fresco.results.result import Result

# What is heavy is imported where it is used: `fresco --help` and a typing mistake should not wait for pandas.


def add_score(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    score = commands.add_parser(
        "score",
        help="score re-rankers on a benchmark",
        description="Score re-rankers on a benchmark of changing and static knowledge. Interrupted at any point, the "
        "same command goes on where it stopped.",
    )
    what = score.add_argument_group("what to score")
    what.add_argument(
        "--reranker",
        type=address,
        action="append",
        metavar="SPEC",
        help="such as cross-encoder:BAAI/bge-reranker-v2-m3; repeatable; see `fresco rerankers`",
    )
    what.add_argument("--no-baselines", action="store_true", help="only the re-rankers named")
    add_benchmark(what)
    what.add_argument(
        "--pools",
        default="injected",
        metavar="P",
        help="candidates of a BEIR or MTEB folder: injected (positives and the best others), or a first stage as it "
        "is, as BEIR measures: own, run:FILE; with #top=100",
    )
    what.add_argument(
        "--split",
        choices=("all", "train", "validation", "test"),
        help="(default: all; test with --instructions, whose queries must not have chosen them)",
    )
    what.add_argument("--limit", type=positive, metavar="N", help="only about N queries, whole subjects, drawn by seed")
    what.add_argument("--timestamps", default="text", choices=("text", "none"), help="none hides the dates")
    what.add_argument("--instruction", metavar="TEXT", help="for re-rankers that take one; @FILE reads a file")
    what.add_argument(
        "--instructions",
        metavar="FILE",
        help="a front.json of `fresco optimize`, or a list: a row for each instruction",
    )
    add_models(score)
    add_ray(score)

    out = score.add_argument_group("results")
    add_out(out, "fresco-results/NAME")
    add_store(out)
    out.add_argument(
        "--measure",
        action="append",
        default=[],
        metavar="NAME",
        help="beside the standard ones: nDCG@20, Recall@10, R-precision, MAP(rel=2), or module:Class; repeatable",
    )
    add_unit(out)
    out.add_argument("--json", action="store_true", help="print one JSON object a figure on standard output")
    out.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="COND",
        help='exit with 1 when it holds for a re-ranker named, as in "stale@1>0.2"; repeatable',
    )
    add_seed(out, "random dates, random orders and resampling")
    add_resamples(out)
    score.set_defaults(run=run_score)


def run_score(options: argparse.Namespace) -> int:
    """Run the command; see :func:`fresco.cli.main` for the exit codes."""
    from fresco import api
    from fresco.commands.instructions import print_transfer
    from fresco.metrics.measures import parse_measures
    from fresco.metrics.threshold import parse_condition
    from fresco.terminal.console import make_console

    measures = parse_measures(options.measure)  # first, so that a condition may name one of the user's own
    conditions = [parse_condition(text) for text in options.fail_if]
    result = api.score(
        options.reranker,
        options.benchmark,
        nek=options.nek,
        strict=options.strict,
        pools=options.pools,
        split=options.split,
        limit=options.limit,
        timestamps=options.timestamps,
        instruction=_text(options.instruction),
        instructions=options.instructions,
        baselines=not options.no_baselines,
        store=options.store,
        device=options.device,
        dtype=options.dtype,
        max_length=options.max_length,
        batch_tokens=options.batch_tokens,
        template=options.template,
        answers=options.answers,
        trust=options.trust,
        ray=options.ray,
        seed=options.seed,
        resamples=options.resamples,
        unit=options.unit,
        measures=[*measures, *(condition.measure for condition in conditions)],
        out=options.out,
        results="fresco-results",
        overwrite=options.overwrite,
    )
    console = make_console(stderr=options.json)
    _print_result(console, result, verdicts=bool(options.reranker and not options.instructions))
    if not options.reranker:
        console.print("next: your own model, with pip install 'fresco-ccs\\[models]' and then")
        console.print("      fresco score --reranker cross-encoder:BAAI/bge-reranker-v2-m3")
    if options.instructions:
        print_transfer(console, result.evaluation, result.record["instructions"])
    if options.json:
        candidates = result.record["benchmark"]["candidates"]
        told = {"candidates": candidates} if candidates else {}
        sys.stdout.writelines(json.dumps({**row, **told}) + "\n" for row in result.evaluation.rows)
    return _check(conditions, result)


def _text(instruction: str | None) -> str | None:
    """The instruction itself, where the option names a file."""
    from fresco.errors import FrescoError

    if instruction is None or not instruction.startswith("@"):
        return instruction
    try:
        return Path(instruction[1:]).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FrescoError(f"--instruction {instruction}: cannot read it as UTF-8 text: {error}") from error


def _print_result(console: Console, result: Result, *, verdicts: bool) -> None:

    from fresco.results.table import draw_cells
    from fresco.terminal.console import literal

    console.print(result.table(console.width))
    console.print(f"[dim]{literal(result.legend)}[/]")
    for table in result.further(console.width):
        console.print(draw_cells(table.cells, result.rerankers, table.title))
        console.print(f"[dim]{literal(table.legend)}[/]")
    for note in result.notes:
        console.print(f"note: {literal(note)}")
    for warning in result.warnings:
        console.print(f"[yellow]warning:[/] {literal(warning)}")
    for name in result.named if verdicts else ():
        console.print()
        for line in result.verdict(name):
            console.print(literal(line))
    console.print()
    for own in result.record["rerankers"]:
        passing = "" if own["scores_kept"] else "; it has no fingerprint of its own, so these scores end with this run"
        console.print(
            f"[dim]{literal(own['name'])}: scored {own['pairs_scored']}, reused {own['pairs_from_store']}{passing}[/]"
        )
        if used := own.get("used"):
            console.print(f"[dim]{literal(own['name'])}: {literal(str(used))}[/]")
    console.print(
        f"\nresults: {literal(str(result.folder))}  (metrics.json, per_query.parquet, runs/, plots/, run.json)"
    )


def _check(conditions: Sequence[Condition], result: Result) -> int:
    rows = [row for row in result.evaluation.rows if row["reranker"] in result.named]
    failed = [(condition, row) for condition in conditions for row in condition.holds(rows)]
    for condition, row in failed:
        sys.stderr.write(f"fresco: --fail-if {condition.text}: {row['reranker']} has {row['value']:.4f}\n")
    return 1 if failed else 0
