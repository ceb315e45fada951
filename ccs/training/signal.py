"""Whether there is anything to learn from: GRPO compares the rollouts of a question, and equal rewards say nothing.

A base model that does not know the protocol earns 0 in nearly every group; a step of such groups has no gradient, and
a run of such steps ends where it began. It is looked for before the first step (:func:`preflight`) and in each
(:class:`FlatSteps`).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ccs.training.config import TrainConfig
from ccs.training.settings import KeepConfig
from fresco.errors import FrescoError

if TYPE_CHECKING:
    from ccs.agent.question import Question
    from ccs.training.journal import Journal
    from ccs.training.rewards import Rewarded, RewardMix
    from ccs.training.rollout import BatchedRollouts, Rollout

FLAT = 1e-6  # a spread below it is none: rewards are float32 on their way


def spreads(rewarded: Sequence[Rewarded], group: int) -> list[float]:
    """Standard deviation of the rewards within each group; NaN where fewer than two members have one."""
    totals = [each.total for each in rewarded]
    return [_deviation(totals[start : start + group]) for start in range(0, len(totals), group)]


def flat_share(rewarded: Sequence[Rewarded], group: int) -> float:
    """Share of the groups whose rewards are all alike; NaN where no group has two rewards."""
    known = [spread for spread in spreads(rewarded, group) if not math.isnan(spread)]
    return statistics.fmean(spread < FLAT for spread in known) if known else math.nan


def _deviation(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None and not math.isnan(value)]
    return statistics.pstdev(known) if len(known) > 1 else math.nan


class FlatSteps:
    """Counts the steps in a row in which no group's rewards differed, over kills as well.

    Args:
        keep: After how many training stops.
        journal: Whose lines tell of the steps before a kill.
    """

    def __init__(self, keep: KeepConfig, journal: Journal) -> None:
        self._most = keep.dead
        self._journal = journal
        self._row = 0

    def start(self) -> None:
        """Take up the count where the journal ends."""
        self._row = 0
        for row in reversed(self._journal.rows("steps.jsonl")):
            if not _is_flat(row.get("flat groups")):
                break
            self._row += 1

    def see(self, flat: float | None, step: int, steps: int) -> str:
        """Take note of a step.

        Args:
            flat: Share of its groups that were flat.
            step: Its number.
            steps: Of the whole run, which may be too short for so many in a row.

        Returns:
            Why training should stop; empty while it should not.
        """
        self._row = self._row + 1 if _is_flat(flat) else 0
        if not self._most or self._row < (self._most if step < steps else min(self._most, steps)):
            return ""
        return (
            f"in {self._row} steps in a row no group's rewards differed, so there was nothing to learn from; {_REMEDY}"
        )


def _is_flat(share: float | None) -> bool:
    return share is not None and share >= 1


_REMEDY = (
    "warm the policy up on good traces (ccs warmup), raise optimization.group or generation.temperature, or look at "
    "what the reward gives (ccs reward, ccs audit)"
)


def preflight(
    roller: BatchedRollouts,
    mix: RewardMix,
    questions: Sequence[Question],
    config: TrainConfig,
    tell: Callable[[str], None],
    trainer: Any,
) -> None:
    """Roll out a few groups of training questions with the first policy, and reward them; collective.

    The draws are put back afterwards: a run with a preflight ends in the same weights as one without.

    Args:
        roller: Makes rollouts.
        mix: Rewards them; none of the training's, which takes whole steps.
        questions: For training; the first ``keep.preflight`` are asked.
        config: How many, how many of the groups may be flat, rollouts of each.
        tell: Told what was found.
        trainer: TRL's.

    Raises:
        FrescoError: more groups than allowed are flat, or nothing could be rewarded.
    """
    import torch
    from accelerate.utils import gather_object

    keep, group = config.keep, config.optimization.group
    if not keep.preflight:
        return
    process = trainer.accelerator
    roller.engine.prepare(trainer)
    # Each process asks at least one: what a process alone would do, all must do.
    count = min(len(questions), max(keep.preflight, process.num_processes))
    mine = list(questions[:count])[process.process_index :: process.num_processes]
    tasks = [(question, sample) for question in mine for sample in range(group)]
    with torch.random.fork_rng():  # of all devices
        rollouts = roller.roll(tasks)
    rewarded = _reward(mix, rollouts, group)
    if process.num_processes > 1:
        rollouts, rewarded = gather_object(rollouts), gather_object(rewarded)
    tell(_judge(rollouts, rewarded, group, keep.most_flat, mix.error))


def _reward(mix: RewardMix, rollouts: Sequence[Rollout], group: int) -> list[Rewarded]:
    from ccs.training.rewards import Rewarded

    trajectories = [rollout.trajectory for rollout in rollouts]
    numbers = [mix.submit(trajectories[start : start + group]) for start in range(0, len(trajectories), group)]
    results: Mapping[int, Sequence[Rewarded]] = mix.collect()
    lost = [Rewarded(None, {})] * group
    return [each for number in numbers for each in results.get(number, lost)]


def _judge(
    rollouts: Sequence[Rollout], rewarded: Sequence[Rewarded], group: int, most_flat: float, error: str | None
) -> str:
    flat = flat_share(rewarded, group)
    if math.isnan(flat):
        raise FrescoError(f"preflight: no rollout could be rewarded: {error or 'all ended in errors'}")
    trajectories = [rollout.trajectory for rollout in rollouts]
    answered = statistics.fmean(each.answer is not None for each in trajectories)
    searches = statistics.fmean(len(each.searches) for each in trajectories)
    malformed = statistics.fmean(each.faults for each in trajectories)
    found = (
        f"preflight: {len(rewarded) // group} groups of {group}, {flat:.0%} of them flat; answered {answered:.0%}, "
        f"{searches:.1f} searches and {malformed:.1f} malformed turns a rollout"
    )
    if flat > most_flat:
        raise FrescoError(
            f"{found}. Flat groups teach nothing, and {most_flat:.0%} are allowed (keep.most_flat): {_REMEDY}"
        )
    return found
