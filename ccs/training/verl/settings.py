"""The section ``ccs`` of the configuration: what verl knows nothing of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ccs.rewards.config import RewardConfig
from ccs.training.scorer import plain, read_alone
from ccs.training.settings import AgentBudget
from fresco.errors import FrescoError
from fresco.io.config_file import fill

#: Name of the agent loop: in verl's registry, in the configuration and in the data.
AGENT = "ccs_search"
#: Where a rollout's record lies in verl's ``extra_fields``, and so in the ``extra_info`` of the reward.
RECORD = "ccs_trajectory"
#: What holds the rewards, and who scores rollouts one by one, for errors.
WHERE, TRAINER = "ccs.rewards", "verl 0.9.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(AgentBudget):
    """See ``config.yaml``, which says what each is for; the key ``rewards`` is read by :func:`read_rewards`."""

    retriever: str | None = None
    retriever_timeout: float = 60.0
    retriever_patience: float = 300.0
    searches_at_once: int = 64


def read_settings(section: Any) -> Settings:
    """The section, checked.

    Args:
        section: A mapping, omegaconf's or a plain one; None where there is none.

    Raises:
        FrescoError: no section, an unknown key, a value that is not allowed, no retriever.
    """
    content = plain(section)
    if not isinstance(content, Mapping):
        raise FrescoError("the configuration has no section ccs; begin with the config.yaml of ccs.training.verl")
    content = {key: value for key, value in content.items() if key != "rewards"}
    settings: Settings = fill(Settings, content, "the configuration", "ccs.")
    settings.limits()
    if not settings.retriever:
        raise FrescoError("ccs.retriever is missing; give the URL of `ccs serve` as every node reaches it")
    for name in ("retriever_timeout", "retriever_patience", "searches_at_once", "turn_tokens"):
        if getattr(settings, name) <= 0:
            raise FrescoError(f"ccs.{name} is {getattr(settings, name)}; more than 0 is wanted")
    return settings


def read_rewards(rewards: Any) -> list[tuple[float, RewardConfig]]:
    """Weight and configuration of each reward.

    Args:
        rewards: A list as in ``ccs train``, the path of a file as ``ccs reward --config`` takes, or None: the cycle
            reward.

    Raises:
        FrescoError: an unknown key, a file that cannot be read, or a reward that compares the rollouts of a group.
    """
    return read_alone(plain(rewards), WHERE, TRAINER)
