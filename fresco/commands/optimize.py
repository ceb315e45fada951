"""``fresco optimize``: the best instructions of a re-ranker, as a table and a folder."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError
from fresco.terminal.arguments import address, positive
from fresco.terminal.options import (
    add_benchmark,
    add_models,
    add_out,
    add_resamples,
    add_seed,
    add_store,
)


def add_optimize(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    optimize = commands.add_parser(
        "optimize",
        help="search the instructions of a re-ranker",
        description="Search instructions that trade changing against static knowledge best, and prove them on data the "
        "search has not seen. Interrupted at any point, the same command goes on where it stopped; several workers "
        "share one search by --storage.",
    )
    what = optimize.add_argument_group("what to search for")
    what.add_argument("--reranker", type=address, required=True, metavar="SPEC", help="one that takes an instruction")
    add_benchmark(what)
    what.add_argument(
        "--instruction", metavar="TEXT", help="to start from (default: the model's own); @FILE reads a file"
    )
    what.add_argument("--limit", type=positive, metavar="N", help="select by about N validation queries only")
    what.add_argument("--force", action="store_true", help="search though instructions change no score")

    how = optimize.add_argument_group("how")
    how.add_argument(
        "--proposer",
        type=address,
        action="append",
        metavar="P",
        help="clauses, clauses:nsga2, clauses:tpe, clauses:random, file:PATH or llm:URL#MODEL; repeatable, they share "
        "each round (default: clauses, chosen by a model of their worth)",
    )
    how.add_argument("--clauses", metavar="FILE", help="another bank of clauses (TOML)")
    how.add_argument("--rounds", type=positive, metavar="N", help="default: enough for 320 instructions")
    how.add_argument(
        "--budget", metavar="B", help="ends each search: pairs (200000, 200k), minutes (90min, 2h) or a price (5usd)"
    )
    how.add_argument("--population", type=positive, default=4, metavar="N", help="instructions kept (default: 4)")
    how.add_argument("--children", type=positive, metavar="N", help="new ones a round (default: 2; 4 by an LLM)")
    how.add_argument(
        "--climb",
        type=positive,
        default=0,
        metavar="N",
        help="changes that each child of an LLM tries on a few training queries before it races (default: none)",
    )
    how.add_argument(
        "--demonstrations",
        type=positive,
        default=0,
        metavar="N",
        help="up to N worked examples of the train split behind the clauses; which is searched for (default: none)",
    )
    how.add_argument("--layouts", action="store_true", help="search where the dates stand, too: first or last")
    how.add_argument(
        "--like-paper", action="store_true", help="FRESCO's generations: 10 rounds of 8 children for each one kept"
    )
    how.add_argument("--selection", default="racing", choices=("racing", "full"), help="full scores all on everything")
    add_seed(how, "the first search and resampling")
    how.add_argument("--seeds", type=positive, default=3, metavar="N", help="searches, each with its seed (default: 3)")
    how.add_argument("--no-baselines", action="store_true", help="leave out the temporal and demonstration baselines")

    add_models(optimize)

    out = optimize.add_argument_group("results")
    add_out(out, "fresco-results/optimize-NAME")
    out.add_argument("--study", default="fresco", metavar="NAME", help="name of the Optuna studies (default: fresco)")
    out.add_argument(
        "--storage", type=address, metavar="URL", help="of the Optuna studies (default: sqlite in DIR/study.db)"
    )
    add_store(out)
    add_resamples(out)
    optimize.set_defaults(run=run_optimize)


def run_optimize(options: argparse.Namespace) -> int:
    """Run the command; see :func:`fresco.cli.main` for the exit codes."""
    from fresco import api
    from fresco.optimizer.report.console import print_result
    from fresco.terminal.console import make_console

    result = api.optimize(
        options.reranker,
        options.benchmark,
        nek=options.nek,
        strict=options.strict,
        instruction=_text(options.instruction),
        proposers=options.proposer or ("clauses",),
        clauses=options.clauses,
        rounds=options.rounds,
        population=options.population,
        children=options.children,
        budget=options.budget,
        climb=options.climb,
        demonstrations=options.demonstrations,
        layouts=options.layouts,
        like_paper=options.like_paper,
        selection=options.selection,
        seeds=options.seeds,
        baselines=not options.no_baselines,
        limit=options.limit,
        force=options.force,
        store=options.store,
        device=options.device,
        dtype=options.dtype,
        max_length=options.max_length,
        batch_tokens=options.batch_tokens,
        template=options.template,
        answers=options.answers,
        trust=options.trust,
        seed=options.seed,
        resamples=options.resamples,
        study=options.study,
        storage=options.storage,
        out=options.out,
        overwrite=options.overwrite,
    )
    print_result(make_console(), result.front, result.folder, options.storage)
    return 0


def _text(instruction: str | None) -> str | None:
    """The instruction itself, where the option names a file."""
    if instruction is None or not instruction.startswith("@"):
        return instruction
    from fresco.optimizer.proposers.file import read_instructions

    texts = [each.text for each in read_instructions(Path(instruction[1:]))]
    if len(texts) > 1:
        raise FrescoError(f"--instruction {instruction}: holds {len(texts)} lines; write the instruction in one")
    return texts[0]
