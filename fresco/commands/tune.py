"""``fresco tune``: the cures of a re-ranker, as a card and a folder."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from fresco.terminal.arguments import address, listed, number_in, positive
from fresco.terminal.options import add_benchmark, add_models, add_out, add_resamples, add_seed, add_store
from fresco.tuning.plan import DATES, LOSSES, FineTuning


def add_tune(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    tune = commands.add_parser(
        "tune",
        help="fit recency priors, fine-tune, and prove it all on unseen data",
        description="Fit recency priors over a re-ranker, with and without a gate that leaves static questions alone, "
        "and fine-tune it where --train says so: trained on train, chosen on validation, figures are of test. "
        "Interrupted at any point, the same command goes on where it stopped.",
    )
    what = tune.add_argument_group("what to cure")
    what.add_argument("--reranker", type=address, required=True, metavar="SPEC", help="any; `fresco parts` lists them")
    add_benchmark(what)
    add_seed(what, "splits and resampling")
    what.add_argument("--instructions", metavar="FILE", help="a front.json of `fresco optimize`: a row for each")
    _add_training(tune)
    add_models(tune)
    out = tune.add_argument_group("results")
    add_out(out, "fresco-results/tune-NAME")
    add_store(out)
    add_resamples(out)
    tune.set_defaults(run=run_tune)


def _add_training(parser: argparse.ArgumentParser) -> None:
    given = FineTuning(losses=("bce",))
    how = parser.add_argument_group("fine-tuning (pip install 'fresco-ccs[tune]')")
    how.add_argument(
        "--train", type=listed, metavar="LOSSES", help=f"a model for each of {', '.join(LOSSES)}, with commas between"
    )
    how.add_argument("--seeds", type=positive, default=given.seeds, metavar="N", help="models of each (default: 1)")
    how.add_argument("--epochs", type=positive, default=given.epochs, metavar="N", help="(default: 2)")
    how.add_argument(
        "--learning-rate",
        type=number_in(0, 1, above=True),
        default=given.learning_rate,
        metavar="R",
        help="at its highest (default: 2e-5)",
    )
    how.add_argument("--batch", type=positive, default=given.batch, metavar="N", help="pairs in a step (default: 32)")
    how.add_argument("--negatives", type=positive, metavar="N", help="drawn of each pool (default: all of it)")
    how.add_argument(
        "--dates",
        type=listed,
        default=given.dates,
        metavar="HOW",
        help=f"copies of each query (default: {','.join(DATES)})",
    )
    how.add_argument("--lora", type=positive, metavar="RANK", help="train low-rank updates only, and merge them")
    how.add_argument(
        "--evaluations",
        type=positive,
        default=given.evaluations,
        metavar="N",
        help="looks at the validation front an epoch (default: 2)",
    )
    how.add_argument(
        "--patience",
        type=positive,
        default=given.patience,
        metavar="N",
        help="looks without a gain after which training stops (default: 3)",
    )
    how.add_argument(
        "--look-at", type=positive, default=given.queries, metavar="N", help="validation queries (default: 100)"
    )


def _training(options: argparse.Namespace) -> FineTuning | None:
    if options.train is None:
        return None
    same = ("seeds", "epochs", "learning_rate", "batch", "negatives", "dates", "lora", "evaluations", "patience")
    own = {name: getattr(options, name) for name in same}
    return FineTuning(losses=options.train, queries=options.look_at, **own)


def run_tune(options: argparse.Namespace) -> int:
    """Run the command; see :func:`fresco.cli.main` for the exit codes."""
    from fresco import api
    from fresco.terminal.options import model_settings

    result = api.tune(
        options.reranker,
        options.benchmark,
        nek=options.nek,
        strict=options.strict,
        train=_training(options),
        instructions=options.instructions,
        settings=model_settings(options),
        store=options.store,
        resamples=options.resamples,
        out=options.out,
        overwrite=options.overwrite,
    )
    sys.stdout.write(f"{result.card}\nwritten to {result.folder}\n")
    return 0
