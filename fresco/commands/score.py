"""``fresco score``: its options."""

from __future__ import annotations

import argparse
from typing import Any

from fresco.terminal.arguments import positive
from fresco.terminal.options import add_benchmark, add_models, add_out, add_resamples, add_seed, add_store


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
        action="append",
        metavar="SPEC",
        help="such as cross-encoder:BAAI/bge-reranker-v2-m3; repeatable; see `fresco rerankers`",
    )
    what.add_argument("--no-baselines", action="store_true", help="only the re-rankers named")
    add_benchmark(what)
    what.add_argument("--split", default="all", choices=("all", "train", "validation", "test"))
    what.add_argument("--limit", type=positive, metavar="N", help="only about N queries, whole subjects, drawn by seed")
    what.add_argument("--timestamps", default="text", choices=("text", "none"), help="none hides the dates")
    what.add_argument("--instruction", metavar="TEXT", help="for re-rankers that take one; @FILE reads a file")

    what.add_argument(
        "--instructions",
        metavar="FILE",
        help="a front.json of `fresco optimize`, or a list: a row for each instruction",
    )

    add_models(score)

    out = score.add_argument_group("results")
    add_out(out, "fresco-results/NAME")
    add_store(out)
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
    score.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    # Imported late: `fresco --help` and a typing mistake should not wait for pandas.
    from fresco.commands.scoring import run_score

    return run_score(options)
