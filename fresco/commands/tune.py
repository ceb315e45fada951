"""``fresco tune``: the cures of a re-ranker, as a card and a folder."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from fresco.terminal.arguments import address
from fresco.terminal.options import add_benchmark, add_models, add_out, add_resamples, add_seed, add_store


def add_tune(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    tune = commands.add_parser(
        "tune",
        help="fit recency priors, and prove them on unseen data",
        description="Fit recency priors over a re-ranker, with and without a gate that leaves static questions alone: "
        "parameters are chosen on validation, figures are of test. Interrupted at any point, the same command goes on "
        "where it stopped.",
    )
    what = tune.add_argument_group("what to cure")
    what.add_argument("--reranker", type=address, required=True, metavar="SPEC", help="any; `fresco parts` lists them")
    add_benchmark(what)
    add_seed(what, "splits and resampling")
    add_models(tune)
    out = tune.add_argument_group("results")
    add_out(out, "fresco-results/tune-NAME")
    add_store(out)
    add_resamples(out)
    tune.set_defaults(run=run_tune)


def run_tune(options: argparse.Namespace) -> int:
    """Run the command; see :func:`fresco.cli.main` for the exit codes."""
    from fresco import api
    from fresco.terminal.options import model_settings

    result = api.tune(
        options.reranker,
        options.benchmark,
        nek=options.nek,
        strict=options.strict,
        settings=model_settings(options),
        store=options.store,
        resamples=options.resamples,
        out=options.out,
        overwrite=options.overwrite,
    )
    sys.stdout.write(f"{result.card}\nwritten to {result.folder}\n")
    return 0
