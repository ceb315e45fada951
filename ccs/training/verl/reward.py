"""Any reward of :mod:`ccs.rewards` as verl's reward function, on the record that the agent loop left.

Gold answers, where the data have some, are only looked at (``em`` and ``f1`` of the validation), unless the configured
reward is one of gold answers. A reward that cannot be had raises: the V1 trainer then leaves the rollout out of its
group, which is not what a reward of 0 would do.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory, parse_trajectory
from ccs.auditing.audit import overlap
from ccs.evaluation.answers import exact_match, token_f1
from ccs.training.scorer import plain, shared_scorer
from ccs.training.verl.settings import AGENT, RECORD, TRAINER, WHERE
from fresco.errors import FrescoError


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    rewards: Any = None,
    **_: Any,
) -> dict[str, float]:
    """Reward one rollout; verl's ``reward.custom_reward_function``.

    Args:
        data_source: The question's dataset.
        solution_str: The response as text; not read, since the policy wrote it.
        ground_truth: ``{"target": [...]}``, the accepted answers; empty where unknown.
        extra_info: Of the row, with the record under :data:`~ccs.training.verl.settings.RECORD`.
        rewards: See :func:`~ccs.training.verl.settings.read_rewards`.

    Returns:
        ``score``, and what is watched: ``em``, ``f1`` (where gold is known), ``answered``, ``searches``,
        ``empty_searches``, ``malformed_turns``, ``query_overlap`` (where there was a search).

    Raises:
        FrescoError: no record, so that this was no rollout of ours, or the reward could not be had.
    """
    del solution_str
    extra = extra_info or {}
    if not isinstance(extra.get(RECORD), str):
        raise FrescoError(
            f"a rollout without a record: verl ran another agent loop than {AGENT} (by default, a single turn); set "
            f"actor_rollout_ref.rollout.agent.default_agent_loop={AGENT}, and agent_name in the data likewise"
        )
    trajectory = parse_trajectory(extra[RECORD], "the rollout's record")
    answers = _answers(ground_truth)
    question = Question(trajectory.question_id, trajectory.question, answers, dataset=str(data_source))
    score = await asyncio.wrap_future(shared_scorer(plain(rewards), WHERE, TRAINER).submit(trajectory, question))
    if score is None:
        raise FrescoError(f"rollout {trajectory.sample} of question {trajectory.question_id!r}: no reward to be had")
    return {"score": score} | watched(trajectory, answers)


def watched(trajectory: Trajectory, answers: Sequence[str]) -> dict[str, float]:
    """What is watched of one rollout; figures that are undefined for it are left out."""
    figures = {
        "answered": float(trajectory.answer is not None),
        "searches": float(len(trajectory.searches)),
        "empty_searches": float(sum(not turn.hits for turn in trajectory.searches)),
        "malformed_turns": float(trajectory.faults),
    }
    if answers:
        # Not "acc": verl's validation would take a rollout that failed for a wrong answer.
        figures |= {"em": exact_match(trajectory.answer, answers), "f1": token_f1(trajectory.answer, answers)}
    share = overlap(trajectory.question, [turn.query or "" for turn in trajectory.searches])
    return figures if math.isnan(share) else figures | {"query_overlap": share}


def _answers(ground_truth: Any) -> tuple[str, ...]:
    target = ground_truth.get("target") if isinstance(ground_truth, Mapping) else None
    # Parquet readers make lists, tuples or arrays of it.
    return tuple(str(each) for each in target) if target is not None else ()
