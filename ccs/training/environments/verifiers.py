"""Search agents as an environment of ``verifiers`` (0.1.9 and later of its first line), for prime-rl and its like.

    from ccs.training.environments.verifiers import load_environment

    environment = load_environment(["nq@train"], "http://127.0.0.1:8001", rewards=[{"reward": "gain", "server": "..."}])
    environment.evaluate_sync(client, "Qwen/Qwen2.5-7B-Instruct", num_examples=20, rollouts_per_example=4)

A rollout whose retriever or reward fails ends with an error in its state (``state["error"]``), which trainers leave
out; its reward of 0 there is no judgement.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ccs.agent import protocol
from ccs.agent.environment import Environment, Limits
from ccs.agent.protocol import read_template, write_prompt
from ccs.agent.question import Question
from ccs.questions import load_questions
from ccs.retrieve import open_retriever
from ccs.training.scorer import Scorer, shared_scorer
from ccs.training.settings import AgentBudget
from fresco.errors import FrescoError

try:
    import verifiers as vf
    from datasets import Dataset

    _MultiTurn: Any = vf.MultiTurnEnv
except (ImportError, AttributeError):
    raise FrescoError('this environment needs verifiers: pip install "verifiers>=0.1.9,<0.2"') from None


def load_environment(
    train: Sequence[str],
    retriever: str,
    *,
    held_out: Sequence[str] = (),
    rewards: Any = None,
    prompt: str | None = None,
    limit: int | None = None,
    turns: int = 4,
    top_k: int = 3,
    observation_characters: int = 2400,
    **more: Any,
) -> Any:
    """The environment; its keyword arguments are those of ``ccs train``'s configuration.

    Args:
        train: JSON Lines files, names (``nq@train``) or hub datasets; gold answers are read by rewards of gold alone.
        retriever: URL of ``ccs serve``, or folder of an index.
        held_out: Likewise, for evaluation; nothing: the training questions.
        rewards: A list, each with a weight and the keys of ``ccs reward --print-config``; None is the cycle reward.
        prompt: File of another prompt.
        limit: Only the first so many questions of each.
        turns: That may search.
        top_k: Passages of a search.
        observation_characters: Of the passages of one search.
        **more: For ``verifiers.MultiTurnEnv``.

    Raises:
        FrescoError: bad questions, rewards or retriever.
    """
    scorer = shared_scorer(rewards, "rewards", "verifiers")
    questions, others = (load_questions(list(each), limit=limit) for each in (train, held_out or train))
    template = read_template(Path(prompt)) if prompt else None
    budget = AgentBudget(turns=turns, top_k=top_k, observation_characters=observation_characters)
    return SearchEnvironment(
        {each.id: each for each in [*others, *questions]},
        open_retriever(retriever),
        budget.limits(),
        scorer,
        template,
        dataset=_dataset(questions, template),
        eval_dataset=_dataset(others, template),
        **more,
    )


def _dataset(questions: Sequence[Question], template: str | None) -> Any:
    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": write_prompt("search", each.text, template)}],
                "answer": "",  # verifiers wants one; nothing here reads it
                "info": {"question_id": each.id},
            }
            for each in questions
        ]
    )


class SearchEnvironment(_MultiTurn):  # type: ignore[misc]
    """An agent that searches, turn by turn; made by :func:`load_environment`.

    Args:
        questions: By id.
        retriever: Searches.
        limits: The budget.
        scorer: Rewards the record of a rollout.
        template: Text of another prompt.
        **more: For ``MultiTurnEnv``.
    """

    def __init__(
        self,
        questions: dict[str, Question],
        retriever: Any,
        limits: Limits,
        scorer: Scorer,
        template: str | None = None,
        **more: Any,
    ) -> None:
        self._questions, self._retriever, self._limits = questions, retriever, limits
        self._scorer, self._template = scorer, template
        asked = {"stop": list(protocol.TURN_ENDS), "extra_body": {"include_stop_str_in_output": True}}
        rubric = vf.Rubric(funcs=[self.reward])
        for metric in (searches, malformed_turns, answered):
            rubric.add_metric(metric)
        super().__init__(rubric=rubric, sampling_args=asked, **more)

    async def setup_state(self, state: Any) -> None:
        """Begin a rollout."""
        environment = Environment(self._retriever, self._limits, template=self._template)
        environment.reset(self._questions[_info(state)["question_id"]], model=str(state.get("model", "")))
        state["environment"] = environment
        state["record"] = None

    async def env_response(self, messages: Any, state: Any, **_: Any) -> Any:
        """What the environment says to the last turn; nothing where the rollout is over."""
        environment: Environment = state["environment"]
        text = messages[-1]["content"] if isinstance(messages[-1], dict) else messages[-1].content
        try:
            step = await asyncio.to_thread(environment.step, str(text or ""))
        except FrescoError as error:
            environment.fail(str(error))
            raise vf.InfraError(str(error)) from error
        if step.done:
            state["final_env_response"] = []
            return []
        return [{"role": "user", "content": step.observation.strip()}]

    async def reward(self, state: Any) -> float:
        """The weighted sum of the rewards."""
        environment: Environment = state["environment"]
        if not environment.done:  # cut by the trainer: too many tokens, too many turns
            environment.overflow()
        trajectory = environment.trajectory
        state["record"] = trajectory.to_json()
        if state.get("error") is not None:
            return 0.0
        question = self._questions[trajectory.question_id]
        try:
            value = await asyncio.wrap_future(self._scorer.submit(trajectory, question))
        except FrescoError as error:
            state["error"] = vf.InfraError(str(error))
            return 0.0
        if value is None:
            state["error"] = vf.InfraError(f"question {question.id}: no reward to be had")
            return 0.0
        return value


def _info(state: Any) -> Any:
    info = state["info"] if "info" in state else state["input"]["info"]
    return json.loads(info) if isinstance(info, str) else info


async def searches(state: Any) -> float:
    """Searches of a rollout."""
    return float(len(_record(state).searches))


async def malformed_turns(state: Any) -> float:
    """Turns of a rollout that could not be used."""
    return float(_record(state).faults)


async def answered(state: Any) -> float:
    """Whether a rollout ended with an answer."""
    return float(_record(state).answer is not None)


def _record(state: Any) -> Any:
    environment: Environment = state["environment"]
    return environment.trajectory
