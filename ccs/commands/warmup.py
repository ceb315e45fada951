"""``ccs warmup``: a policy learns from the best recorded trajectories before it is trained."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from fresco.terminal.arguments import address, number_in, positive


def add_warmup(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    warmup = commands.add_parser(
        "warmup",
        help="fine-tune a policy on its best trajectories, chosen by the reward, before it is trained",
        description="Rejection-sampled fine-tuning: of recorded trajectories (the policy's own under a longer prompt, "
        "or a stronger model's) those that earned most by the configured reward are imitated. Gold answers take no "
        "part. Interrupted at any point, the same command goes on from the last checkpoint.",
    )
    warmup.set_defaults(run=run_warmup)
    warmup.add_argument(
        "--config", required=True, metavar="FILE|PRESET", help="of the training to come: model, agent, rewards"
    )
    warmup.add_argument(
        "--set",
        type=address,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="such as model.path=MODEL; repeatable",
    )
    warmup.add_argument(
        "--trajectories", required=True, metavar="FILE", help="of `ccs rollout` on training questions, several of each"
    )
    warmup.add_argument("--out", required=True, metavar="DIR", help="folder; the policy will be DIR/model")
    warmup.add_argument("--best", type=positive, default=1, metavar="N", help="traces of a question at most (1)")
    warmup.add_argument(
        "--least",
        type=number_in(-1e9, 1e9),
        metavar="REWARD",
        help="what a trace must earn more than (default: the mean of all)",
    )
    warmup.add_argument("--epochs", type=positive, default=2, metavar="N", help="passes over the traces (2)")
    warmup.add_argument(
        "--learning-rate", type=number_in(0, 1, above=True), default=1e-5, metavar="R", help="at its highest (1e-5)"
    )
    warmup.add_argument("--batch", type=positive, default=16, metavar="N", help="traces of an update (16)")


def run_warmup(options: argparse.Namespace) -> int:
    """Run the command."""
    import ccs
    from ccs.training.run import is_first, leave
    from ccs.training.warmup import describe

    names = ("set", "best", "least", "epochs", "learning_rate", "batch")
    chosen = {name: getattr(options, name) for name in names}
    result = ccs.warmup(options.config, options.trajectories, options.out, **chosen)
    if is_first():  # a launcher of processes runs this in each
        sys.stdout.write(describe(result) + "\n")
    leave()
    return 0
