"""``ccs train``: a search agent from questions alone."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from fresco.errors import FrescoError
from fresco.terminal.arguments import address


def add_train(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    train = commands.add_parser(
        "train",
        help="train a search agent on questions, without gold answers",
        description="Train a search agent by GRPO on the cycle reward, with TRL. Interrupted at any point, the same "
        "command goes on from the last checkpoint. On several GPUs: accelerate launch -m ccs.train --config ...",
    )
    train.set_defaults(run=run_train)
    add_options(train)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a training run."""
    from ccs.training.config import presets

    parser.add_argument(
        "--config", metavar="FILE|PRESET", help=f"YAML, or one of {', '.join(presets())}; see --print-config"
    )
    parser.add_argument("--out", metavar="DIR", help="folder of the run")
    parser.add_argument(
        "--set",
        type=address,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="such as optimization.steps=100; repeatable",
    )
    parser.add_argument("--print-config", action="store_true", help="print the configuration with all keys, and end")


def run_train(options: argparse.Namespace) -> int:
    """Run the command."""
    from ccs.training.config import TrainConfig, dump_train_config, read_train_config

    if options.print_config and not options.config:
        sys.stdout.write(dump_train_config(TrainConfig()))
        return 0
    if not options.config:
        raise FrescoError("ccs train needs --config FILE or a preset; --config demo runs anywhere")
    config = read_train_config(options.config, options.set)
    if options.print_config:
        sys.stdout.write(dump_train_config(config))
        return 0
    if not options.out:
        raise FrescoError("ccs train needs --out DIR")
    import ccs
    from ccs.training.run import describe, is_first, leave

    outcome = ccs.train(config, options.out, tell=_tell)
    if is_first():  # a launcher of processes runs this in each
        sys.stdout.write(f"{describe(outcome)}\ncard, curves and models: {options.out}\n")
    leave()
    return 1 if outcome.stopped else 0  # a collapse, or nothing to learn from, is no success


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
