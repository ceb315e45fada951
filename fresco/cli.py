"""The ``fresco`` command: options and messages only; the work is in the packages it calls."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import fresco
from fresco.arguments import positive
from fresco.commands.build import add_build
from fresco.commands.optimize import add_optimize
from fresco.errors import FrescoError

EXIT_FAILED_CONDITION = 1
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line, where argparse would print the whole usage first."""
        self.exit(EXIT_BAD_INPUT, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fresco", description="Is your re-ranker stale? Score it on knowledge that changes.")
    parser.add_argument("--version", action="version", version=f"fresco {fresco.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_score(commands)
    add_optimize(commands)
    add_build(commands)
    _add_compare(commands)
    commands.add_parser("rerankers", help="list the re-rankers and what each needs")
    return parser


def _add_score(commands: argparse._SubParsersAction[_Parser]) -> None:
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


def _add_compare(commands: argparse._SubParsersAction[_Parser]) -> None:
    compare = commands.add_parser("compare", help="the table of two runs with significance")
    compare.add_argument("a", metavar="A", help="folder of a run")
    compare.add_argument("b", metavar="B", help="folder of another run on the same benchmark")
    compare.add_argument("--metric", default="MAP", help="which to compare (default: MAP)")
    compare.add_argument("--seed", type=int, default=0, help="of the randomization test")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, 1 when a ``--fail-if`` condition holds, 2 for bad input, 130 when interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except FrescoError as error:
        if os.environ.get("FRESCO_DEBUG"):
            raise
        sys.stderr.write(f"fresco: {error}\n")
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("\nfresco: interrupted; what was scored is kept, and the same command goes on from there\n")
        return EXIT_INTERRUPTED


def _run(options: argparse.Namespace) -> int:
    # Imported late: `fresco --help` and a typing mistake should not wait for pandas.
    if options.command == "score":
        from fresco.commands.score import run_score

        return run_score(options)
    if options.command == "build":
        from fresco.commands.build import run_build

        return run_build(options)
    if options.command == "optimize":
        from fresco.commands.optimize import run_optimize

        return run_optimize(options)
    if options.command == "compare":
        from fresco.commands.compare import run_compare

        return run_compare(options)
    from fresco.commands.rerankers import run_rerankers

    return run_rerankers()


if __name__ == "__main__":
    sys.exit(main())
