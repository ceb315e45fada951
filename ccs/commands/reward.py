"""``ccs reward``: a reward for each trajectory."""

from __future__ import annotations

import argparse
import statistics
import sys
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError

if TYPE_CHECKING:
    from ccs.rewards.run import Rewards

EXIT_SOME_FAILED = 1


def add_reward(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    reward = commands.add_parser(
        "reward",
        help="reward trajectories, without gold answers by default",
        description="Reward trajectories. Without --config: the cycle reward with the stand-ins that need no model. "
        "Interrupted at any point, the same command goes on where it stopped.",
    )
    reward.set_defaults(run=run_reward)
    reward.add_argument("--trajectories", metavar="FILE", help="of `ccs rollout`")
    reward.add_argument("--out", metavar="FILE", help="rewards, JSON Lines")
    reward.add_argument("--questions", action="append", metavar="Q", help="only for rewards that need gold answers")
    add_choice(reward)
    reward.add_argument("--print-config", action="store_true", help="print the configuration with all keys, and end")


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Add the options that say which reward."""
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--config", metavar="FILE", help="YAML; see --print-config of `ccs reward`")
    chosen.add_argument(
        "--reward",
        metavar="NAME",
        help="a reward by name with its defaults (`ccs parts rewards`), or module:Class,args",
    )
    parser.add_argument("--cache", metavar="FILE", help="SQLite file for what language models answer")


def run_reward(options: argparse.Namespace) -> int:
    """Run the command; exit code 1 where some trajectories could not be rewarded."""
    import ccs
    from ccs.rewards.config import as_config, dump_config

    if options.print_config:
        chosen = {"reward": options.reward} if options.reward else options.config
        sys.stdout.write(dump_config(as_config(chosen, "--reward")))
        return 0
    if not options.trajectories or not options.out:
        raise FrescoError("ccs reward needs --trajectories FILE and --out FILE")
    rewards = ccs.reward(
        options.trajectories,
        options.reward,
        config=options.config,
        questions=options.questions,
        out=options.out,
        cache=options.cache,
    )
    if rewards.torn:
        sys.stderr.write(f"ccs: {options.out} ended in half a line, which was dropped; its reward was made again\n")
    return _report(options.out, rewards)


def _report(out: str, rewards: Rewards) -> int:
    known = rewards.known
    failed = len(rewards) - len(known)
    sys.stdout.write(f"{len(known)} rewards by {rewards.name}: {out}\n")
    if known:
        sys.stdout.write(f"  mean {statistics.fmean(known):.4f}, from {min(known):.4f} to {max(known):.4f}\n")
    if failed:
        sys.stderr.write(f"ccs: {failed} trajectories could not be rewarded; the same command tries them again\n")
    return EXIT_SOME_FAILED if failed else 0
