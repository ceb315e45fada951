"""``ccs reward``: a reward for each trajectory."""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError

if TYPE_CHECKING:
    from ccs.agent.trajectory import Trajectory
    from ccs.rewards.base import Reward
    from ccs.rewards.config import RewardConfig
    from ccs.rewards.reward_file import RewardFile

EXIT_SOME_FAILED = 1
_BATCH = 64  # trajectories that are rewarded together, and then written; a question's are never torn apart


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
    """Add the options that say which reward, for :func:`chosen_config`."""
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--config", metavar="FILE", help="YAML; see --print-config of `ccs reward`")
    chosen.add_argument(
        "--reward", metavar="NAME", help="a reward by name with its defaults: cycle, majority-vote, ..."
    )
    parser.add_argument("--cache", metavar="FILE", help="SQLite file for what language models answer")


def chosen_config(options: argparse.Namespace) -> RewardConfig:
    """The configuration that the options name."""
    from ccs.rewards.config import RewardConfig, parse_config, read_config

    if options.config:
        return read_config(Path(options.config))
    return parse_config({"reward": options.reward}, "--reward") if options.reward else RewardConfig()


def run_reward(options: argparse.Namespace) -> int:
    """Run the command; exit code 1 where some trajectories could not be rewarded."""
    from ccs.questions import load_questions
    from ccs.rewards.config import dump_config, open_reward
    from ccs.rewards.reward_file import open_reward_file
    from ccs.rollouts.file import read_trajectories

    config = chosen_config(options)
    if options.print_config:
        sys.stdout.write(dump_config(config))
        return 0
    if not options.trajectories or not options.out:
        raise FrescoError("ccs reward needs --trajectories FILE and --out FILE")
    trajectories = read_trajectories(Path(options.trajectories))
    reward = open_reward(config, cache=Path(options.cache) if options.cache else None)
    questions = {each.id: each for each in load_questions(options.questions)} if options.questions else None
    if reward.needs_gold and questions is None:
        raise FrescoError(f"the reward {reward.name} needs gold answers; give --questions")
    with open_reward_file(Path(options.out), reward.name, reward.fingerprint) as file:
        if file.torn:
            sys.stderr.write(f"ccs: {options.out} ended in half a line, which was dropped; its reward is made again\n")
        _reward_all(reward, trajectories, questions, file)
        return _report(options.out, reward.name, file.finish(trajectories))


def _reward_all(reward: Reward, trajectories: Sequence[Trajectory], questions: Any, file: RewardFile) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from fresco.terminal.console import make_console

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=make_console(stderr=True)) as progress:
        task = progress.add_task("rewards", total=len(trajectories))
        for batch in _batches(trajectories, file):
            file.append(batch, reward.score(batch, questions))
            progress.advance(task, len(batch))
        progress.update(task, completed=len(trajectories))


def _batches(trajectories: Sequence[Trajectory], file: RewardFile) -> Iterator[list[Trajectory]]:
    groups: dict[str, list[Trajectory]] = {}
    for trajectory in trajectories:
        groups.setdefault(trajectory.question_id, []).append(trajectory)
    # A group of which one is missing is rewarded again as a whole: some rewards compare its members.
    groups = {name: group for name, group in groups.items() if not all(each in file for each in group)}
    batch: list[Trajectory] = []
    for group in groups.values():
        if batch and len(batch) + len(group) > _BATCH:
            yield batch
            batch = []
        batch += group
    if batch:
        yield batch


def _report(out: str, name: str, rewards: Sequence[float | None]) -> int:
    known = [value for value in rewards if value is not None]
    failed = len(rewards) - len(known)
    sys.stdout.write(f"{len(known)} rewards by {name}: {out}\n")
    if known:
        sys.stdout.write(f"  mean {statistics.fmean(known):.4f}, from {min(known):.4f} to {max(known):.4f}\n")
    if failed:
        sys.stderr.write(f"ccs: {failed} trajectories could not be rewarded; the same command tries them again\n")
    return EXIT_SOME_FAILED if failed else 0
