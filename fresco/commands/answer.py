"""``fresco answer``: what a reader answers from re-ranked passages, as a table and a folder."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from fresco.terminal.arguments import address, positive
from fresco.terminal.options import add_benchmark, add_models, add_out, add_resamples, add_seed, add_store


def add_answer(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    answer = commands.add_parser(
        "answer",
        help="what a reader answers from the passages on top",
        description="Show a reader the passages that each re-ranker puts first, and count its current and its stale "
        "answers. Interrupted at any point, the same command goes on where it stopped.",
    )
    what = answer.add_argument_group("what to ask")
    what.add_argument(
        "--reranker", type=address, action="append", metavar="SPEC", help="repeatable; see `fresco rerankers`"
    )
    what.add_argument("--no-baselines", action="store_true", help="only the re-rankers named, and the controls")
    what.add_argument(
        "--reader",
        type=address,
        required=True,
        metavar="R",
        help="URL#MODEL of a server, or the folder or id of a chat model",
    )
    what.add_argument("--top-k", type=positive, default=5, metavar="K", help="passages it is shown (default: 5)")
    what.add_argument("--max-tokens", type=positive, default=48, metavar="N", help="of an answer (default: 48)")
    what.add_argument(
        "--likelihood", action="store_true", help="also whether the current value is likelier than every former one"
    )
    what.add_argument("--facts", metavar="FILE", help="values of each query (default: beside the benchmark)")
    add_benchmark(what)
    what.add_argument("--split", choices=("all", "train", "validation", "test"), default="all", help="(default: all)")
    what.add_argument("--limit", type=positive, metavar="N", help="only about N queries, whole subjects, drawn by seed")
    add_seed(what, "whatever is drawn")
    add_models(answer)
    out = answer.add_argument_group("results")
    add_out(out, "fresco-results/answer-NAME")
    add_store(out)
    add_resamples(out)
    answer.set_defaults(run=run_answer)


def run_answer(options: argparse.Namespace) -> int:
    """Run the command; see :func:`fresco.cli.main` for the exit codes."""
    from fresco import api
    from fresco.terminal.options import model_settings

    result = api.answer(
        options.reranker,
        options.benchmark,
        reader=options.reader,
        top_k=options.top_k,
        facts=options.facts,
        likelihood=options.likelihood,
        max_tokens=options.max_tokens,
        nek=options.nek,
        strict=options.strict,
        split=options.split,
        limit=options.limit,
        baselines=not options.no_baselines,
        settings=model_settings(options),
        store=options.store,
        resamples=options.resamples,
        out=options.out,
        overwrite=options.overwrite,
    )
    sys.stdout.write(f"{result.table}\nwritten to {result.folder}\n")
    return 0
