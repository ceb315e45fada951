"""Recorded trajectories as traces to imitate: the best by a reward that sees no gold, as tokens with what to learn.

A trace is replayed in the environment of the training to come, under its prompt and its budget, so that its tokens are
those that :mod:`ccs.training.rollout` would have made had the policy said the same. Whatever prompt or model it was
recorded with, the policy learns to act so under its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ccs.agent.environment import Environment
from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory
from ccs.training.settings import AgentConfig
from ccs.training.tokens import encode_prompt
from fresco.errors import FrescoError


@dataclass(frozen=True, slots=True)
class Trace:
    """One trajectory as tokens.

    Attributes:
        question_id: Of its question.
        sample: Which of the question's group.
        reward: That it earned.
        ids: Token ids of the prompt and all that followed.
        mask: 1 where the policy is to say the token, 0 where it only reads it; as long as ``ids``.
    """

    question_id: str
    sample: int
    reward: float
    ids: list[int]
    mask: list[int]


def select(
    trajectories: Sequence[Trajectory], rewards: Sequence[float | None], *, best: int, least: float | None
) -> tuple[list[tuple[Trajectory, float]], dict[str, int]]:
    """The trajectories that are worth imitating.

    Args:
        trajectories: Whole groups.
        rewards: Of each.
        best: How many of a question at most; of equals the one of fewer turns, then the earlier.
        least: Reward that each must exceed; None is the mean over all trajectories that have one.

    Returns:
        Them with their rewards, in the trajectories' order, and how many were left out for which reason.
    """
    known = [value for value in rewards if value is not None]
    least = sum(known) / len(known) if least is None and known else (least or 0.0)
    left: Counter[str] = Counter()
    groups: dict[str, list[tuple[float, int]]] = {}
    for number, (trajectory, value) in enumerate(zip(trajectories, rewards, strict=True)):
        reason = _unfit(trajectory, value, least)
        if reason:
            left[reason] += 1
        else:
            assert value is not None
            groups.setdefault(trajectory.question_id, []).append((value, number))
    kept: list[int] = []
    for group in groups.values():
        ordered = sorted(group, key=lambda each: (-each[0], len(trajectories[each[1]].turns), each[1]))
        kept += [number for _, number in ordered[:best]]
        left["others of their question are better"] += len(ordered[best:])
    values = dict(enumerate(rewards))
    return [(trajectories[number], values[number] or 0.0) for number in sorted(kept)], {
        reason: count for reason, count in left.items() if count
    }


def _unfit(trajectory: Trajectory, reward: float | None, least: float) -> str:
    if trajectory.stop == "error":
        return "ended with an error"
    if reward is None:
        return "without a reward"
    if trajectory.stop != "answer":
        return "without an answer"
    if trajectory.faults:
        return "with a malformed turn"
    if not reward > least:
        return "the reward is too low"
    return ""


class _Recorded:
    """A retriever that finds what a trajectory found, search after search."""

    def __init__(self, trajectory: Trajectory) -> None:
        self._found = [list(turn.hits) for turn in trajectory.searches]

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        return [self._found.pop(0)[:k] for _ in queries]


def replay(
    trajectory: Trajectory, reward: float, tokenizer: Any, config: AgentConfig, template: str | None = None
) -> Trace | str:
    """A trajectory as the training would have made it.

    Args:
        trajectory: Of the searching agent.
        reward: That it earned.
        tokenizer: Of the policy.
        config: Of the training.
        template: Text of another prompt, as in the training.

    Returns:
        The trace, or why there is none.
    """
    environment = Environment(_Recorded(trajectory), config.limits(), template=template)
    question = Question(trajectory.question_id, trajectory.question)
    ids = encode_prompt(tokenizer, config.layout, environment.reset(question))
    mask = [0] * len(ids)
    for turn in trajectory.turns:
        if environment.done or not turn.text:
            return "more searches than agent.turns allows" if turn.text else "of an agent that does not search itself"
        step = environment.step(turn.text)
        reply = tokenizer.encode(step.reply, add_special_tokens=False)
        told = tokenizer.encode(step.observation, add_special_tokens=False) if step.observation else []
        if len(reply) > config.turn_tokens:
            return "a turn is longer than agent.turn_tokens"
        ids += reply + told
        mask += [1] * len(reply) + [0] * len(told)
    if not environment.done or environment.trajectory.answer != trajectory.answer:
        return "more searches than agent.turns allows"
    if len(ids) > config.context_tokens:
        return "longer than agent.context_tokens"
    return Trace(trajectory.question_id, trajectory.sample, reward, ids, mask)


def replay_all(
    chosen: Sequence[tuple[Trajectory, float]],
    left: Mapping[str, int],
    tokenizer: Any,
    config: AgentConfig,
    template: str | None = None,
) -> tuple[list[Trace], dict[str, int]]:
    """:func:`replay` of each; with what was left out before, and now.

    Raises:
        FrescoError: nothing is left to imitate; says how much was left out for which reason.
    """
    counts = Counter(left)
    traces: list[Trace] = []
    for trajectory, reward in chosen:
        found = replay(trajectory, reward, tokenizer, config, template)
        if isinstance(found, str):
            counts[found] += 1
        else:
            traces.append(found)
    if not traces:
        reasons = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
        raise FrescoError(
            f"no trajectory is left to imitate ({reasons}); roll out more samples of each question, with another "
            "prompt or a stronger model"
        )
    return traces, dict(counts)
