"""Search agents as an environment of SkyRL-Gym (0.4), for SkyRL's trainer.

    import skyrl_gym
    from ccs.training.environments.skyrl import NAME, register

    register()
    served = {"retriever": "http://127.0.0.1:8001"}
    environment = skyrl_gym.make(NAME, env_config=served, extras={"question": "Who ...?"})
    prompt, _ = environment.init([])
    step = environment.step("<search>...</search>")

A rollout whose retriever or reward fails raises: SkyRL leaves it out, which is not what a reward of 0 would do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ccs.agent.environment import Environment
from ccs.agent.protocol import read_template
from ccs.agent.question import Question
from ccs.retrieve import open_retriever
from ccs.training.scorer import plain, shared_scorer
from ccs.training.settings import AgentBudget
from fresco.errors import FrescoError

try:
    import skyrl_gym
    from skyrl_gym.envs.base_text_env import BaseTextEnv
except ImportError:
    raise FrescoError('this environment needs SkyRL-Gym: pip install "skyrl-gym>=0.4,<0.5"') from None

#: What the environment is called in SkyRL's registry and in the data's column ``env_class``.
NAME = "ccs-search"
_KEYS = ("retriever", "rewards", "prompt", "turns", "top_k", "observation_characters")


@lru_cache(maxsize=8)
def _retriever(spec: str) -> Any:
    """Of a process: thousands of rollouts share an index."""
    return open_retriever(spec)


def register() -> None:
    """Make :data:`NAME` known to ``skyrl_gym.make``; in each process that rolls out."""
    if NAME not in skyrl_gym.registry:
        skyrl_gym.register(id=NAME, entry_point="ccs.training.environments.skyrl:SearchEnvironment")


class SearchEnvironment(BaseTextEnv):  # type: ignore[misc]
    """An agent that searches, turn by turn.

    Args:
        env_config: ``retriever`` (URL of ``ccs serve``, or folder of an index), and optionally ``rewards`` (a list,
            each with a weight and the keys of ``ccs reward --print-config``), ``prompt`` (a file), ``turns``,
            ``top_k``, ``observation_characters``.
        extras: Of the data's row: ``question``, and optionally ``question_id`` and ``answers``, which are read by
            rewards of gold alone.

    Raises:
        FrescoError: an unknown key, a value that is not allowed, no question.
    """

    def __init__(self, env_config: Any, extras: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        config, extras = plain(env_config), extras or {}
        if not isinstance(config, dict):
            raise FrescoError(f"env_config is {config!r:.60}; keys with values are wanted")
        unknown = sorted(set(config) - set(_KEYS))
        if unknown:
            raise FrescoError(f"env_config: unknown key {unknown[0]}; known are {', '.join(_KEYS)}")
        if not config.get("retriever"):
            raise FrescoError("env_config: retriever is missing; give the URL of `ccs serve`")
        if not str(extras.get("question") or "").strip():
            raise FrescoError("extras: question is missing; each row of the data needs one")
        text = str(extras["question"])
        name = extras.get("question_id") or hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        self._question = Question(str(name), text, tuple(map(str, extras.get("answers") or ())))
        sizes = {key: config[key] for key in ("turns", "top_k", "observation_characters") if key in config}
        limits = AgentBudget(**sizes).limits()
        self.max_turns = limits.turns + 1
        self._scorer = shared_scorer(config.get("rewards"), "env_config: rewards", "SkyRL")
        retriever = _retriever(str(config["retriever"]))
        template = read_template(Path(config["prompt"])) if config.get("prompt") else None
        self._environment = Environment(retriever, limits, template=template)

    def init(self, prompt: Any) -> tuple[list[dict[str, str]], dict[str, Any]]:
        """Begin the rollout; the prompt of the data gives way to the agent's own."""
        del prompt
        return [{"role": "user", "content": self._environment.reset(self._question)}], {}

    def step(self, action: str) -> Any:
        """One turn of the policy.

        Raises:
            FrescoError: the retriever failed, or no reward could be had.
        """
        self.turns += 1
        step = self._environment.step(action)
        made = {
            "observations": [],
            "reward": 0.0,
            "done": step.done,
            "metadata": {},
            "postprocessed_action": step.reply,
        }
        if not step.done:
            return made | {"observations": [{"role": "user", "content": step.observation.strip()}]}
        trajectory = self._environment.trajectory
        value = self._scorer.submit(trajectory, self._question).result()
        if value is None:
            raise FrescoError(f"question {self._question.id}: no reward to be had")
        return made | {"reward": value, "metadata": {"trajectory": trajectory.to_json()}}

    def get_metrics(self) -> dict[str, Any]:
        """What is watched of the rollout, once it is over."""
        if not self._environment.done:
            return {}
        trajectory = self._environment.trajectory
        return {
            "searches": float(len(trajectory.searches)),
            "malformed_turns": float(trajectory.faults),
            "answered": float(trajectory.answer is not None),
        }
