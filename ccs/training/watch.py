"""What is watched of a training step, and of the held-out questions; no gold here reaches the policy."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from ccs.agent.question import Question
from ccs.auditing.audit import overlap
from ccs.evaluation.answers import cover_match, exact_match, token_f1
from ccs.training.rewards import Rewarded
from ccs.training.rollout import Rollout
from ccs.training.signal import flat_share, spreads

_GOLD = {"exact match": exact_match, "f1": token_f1, "cover match": cover_match}


def step_figures(
    rollouts: Sequence[Rollout], rewarded: Sequence[Rewarded], questions: Mapping[str, Question], group: int
) -> dict[str, float]:
    """Figures of one step, or of an evaluation.

    Args:
        rollouts: Whole groups, one after another.
        rewarded: Of each.
        questions: By id; the gold answers of those that have some are only looked at.
        group: Rollouts of each question.

    Returns:
        By name; NaN where undefined.
    """
    trajectories = [rollout.trajectory for rollout in rollouts]
    totals = [math.nan if each.total is None else each.total for each in rewarded]
    kept = [trajectory for trajectory in trajectories if trajectory.stop != "error"]
    known = [trajectory for trajectory in kept if questions[trajectory.question_id].answers]
    figures = {
        "reward": mean(totals),
        "reward spread": mean(spreads(rewarded, group)),
        "flat groups": flat_share(rewarded, group),
        "rewards failed": mean([float(math.isnan(total)) for total in totals]),
    }
    if len(rewarded[0].parts) > 1:
        for name in rewarded[0].parts:
            figures[f"reward of {name}"] = mean([number(each.parts[name]) for each in rewarded])
    for name, measure in _GOLD.items():
        figures[name] = mean([measure(each.answer, questions[each.question_id].answers) for each in known])
    return figures | {
        "answered": mean([float(each.answer is not None) for each in kept]),
        "searches": mean([float(len(each.searches)) for each in kept]),
        "malformed turns": mean([float(each.faults) for each in kept]),
        "query overlap": mean([overlap(each.question, [turn.query or "" for turn in each.searches]) for each in kept]),
        "ended with an error": mean([float(each.stop == "error") for each in trajectories]),
        "tokens generated": mean([float(sum(each.mask)) for each in rollouts]),
        "tokens masked": _share(rollouts),
        "contexts cut": mean([float(each.cut) for each in rollouts]),
    }


def _share(rollouts: Sequence[Rollout]) -> float:
    tokens = sum(len(each.mask) for each in rollouts)
    return 1 - sum(sum(each.mask) for each in rollouts) / tokens if tokens else math.nan


def mean(values: Sequence[float]) -> float:
    """Of the values that are numbers; NaN where none is."""
    known = [value for value in values if not math.isnan(value)]
    return statistics.fmean(known) if known else math.nan


def number(value: float | None) -> float:
    """NaN for what could not be had."""
    return math.nan if value is None else value
