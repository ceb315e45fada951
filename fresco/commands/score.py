"""``fresco score``: its options."""

from __future__ import annotations

import argparse
from typing import Any

from fresco.terminal.arguments import positive


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
    what.add_argument("--benchmark", default="mini", metavar="B", help="name, folder or dataset id (default: mini)")
    what.add_argument("--nek", metavar="B", help="another benchmark or BEIR folder as the static side")
    what.add_argument("--split", default="all", choices=("all", "train", "validation", "test"))
    what.add_argument("--limit", type=positive, metavar="N", help="only about N queries, whole subjects, drawn by seed")
    what.add_argument("--timestamps", default="text", choices=("text", "none"), help="none hides the dates")
    what.add_argument("--instruction", metavar="TEXT", help="for re-rankers that take one; @FILE reads a file")

    what.add_argument(
        "--instructions",
        metavar="FILE",
        help="a front.json of `fresco optimize`, or a list: a row for each instruction",
    )

    model = score.add_argument_group("models")
    model.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1, mps (default: the best there is)")
    model.add_argument("--dtype", default="float32", choices=("float32", "bfloat16", "float16", "auto"))
    model.add_argument("--max-length", type=positive, metavar="N", help="longest input in tokens")
    model.add_argument("--batch-tokens", type=positive, default=16384, metavar="N", help="tokens in one forward pass")

    out = score.add_argument_group("results")
    out.add_argument("--out", metavar="DIR", help="folder of the results (default: fresco-results/NAME)")
    out.add_argument("--overwrite", action="store_true", help="replace what --out holds")
    out.add_argument("--store", metavar="FILE", help="score store (default: $FRESCO_STORE or the user's cache folder)")
    out.add_argument("--json", action="store_true", help="print one JSON object a figure on standard output")
    out.add_argument(
        "--fail-if",
        action="append",
        default=[],
        metavar="COND",
        help='exit with 1 when it holds for a re-ranker named, as in "stale@1>0.2"; repeatable',
    )
    out.add_argument("--seed", type=int, default=0, help="of random dates, random orders and resampling")
    out.add_argument("--resamples", type=positive, default=1000, help="bootstrap samples for each interval")
    score.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    # Imported late: `fresco --help` and a typing mistake should not wait for pandas.
    from fresco.commands.scoring import run_score

    return run_score(options)
