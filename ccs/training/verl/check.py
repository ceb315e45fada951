"""What verl would let pass in silence, refused before the cluster is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ccs.training.scorer import plain
from ccs.training.verl.data import check_parquet
from ccs.training.verl.settings import AGENT, read_rewards, read_settings
from fresco.errors import FrescoError
from fresco.io.config_file import read_yaml

# Where training would go on, and not be ours, if the key had another value.
_FIXED = {
    "actor_rollout_ref.rollout.agent.default_agent_loop": AGENT,
    "reward.custom_reward_function.path": "pkg://ccs.training.verl.reward",
    "reward.custom_reward_function.name": "compute_score",
    "trainer.use_v1": True,
    "trainer.v1.trainer_mode": "sync",
    "trainer.v1.sampler.custom_sampler.path": "pkg://ccs.training.verl.sampler",
    "trainer.v1.sampler.custom_sampler.name": "WatchedReplayBuffer",
    # verl leaves this filter to custom samplers, and ours has none.
    "algorithm.filter_groups.enable": False,
}
_LOOP = "ccs.training.verl.agent_loop"


def check_config(config: Any) -> None:
    """Check a composed configuration; interpolations of the section ``ccs`` are resolved, for other nodes' sake.

    Args:
        config: omegaconf's, with verl's whole configuration.

    Raises:
        FrescoError: names the key.
    """
    from omegaconf import OmegaConf

    read_settings(config.get("ccs"))
    rewards = plain(config.ccs.get("rewards"))
    read_rewards(rewards)
    if isinstance(rewards, str):
        # Its content goes along: other nodes need not have the file.
        rewards = [read_yaml(Path(rewards))]
    config.ccs = plain(config.ccs) | {"rewards": rewards}
    for key, wanted in _FIXED.items():
        value = OmegaConf.select(config, key)
        if value != wanted:
            raise FrescoError(f"{key} is {value!r}; the agent of ccs needs {wanted!r}")
    library = plain(config.actor_rollout_ref.model.external_lib)
    if _LOOP not in ([library] if isinstance(library, str) else library or []):
        raise FrescoError(f"actor_rollout_ref.model.external_lib is {library!r}; it must name {_LOOP}")
    if config.actor_rollout_ref.rollout.n < 2:
        raise FrescoError("actor_rollout_ref.rollout.n is 1; GRPO compares at least 2 rollouts of a question")
    for path in _files(config):
        if "://" not in path:
            check_parquet(Path(path).expanduser())


def _files(config: Any) -> list[str]:
    found: list[str] = []
    for key in ("train_files", "val_files"):
        value = plain(config.data[key])
        found += [value] if isinstance(value, str) else value
    return found
