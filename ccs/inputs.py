"""What the functions of :mod:`ccs.api` take: a path or the objects themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from fresco.errors import FrescoError
from fresco.terminal.progress import Progress, no_progress, progress_bars

if TYPE_CHECKING:
    from ccs.agent.question import Question
    from ccs.agent.trajectory import Trajectory
    from ccs.rewards.base import Reward
    from ccs.rewards.config import RewardConfig
    from ccs.rollouts.run import Rollouts

Place: TypeAlias = "str | PathLike[str]"
#: A file of JSON Lines, a set by name, a dataset of the hub; questions themselves; or several of these.
Questions: TypeAlias = "Place | Question | Sequence[Place | Question]"
#: A file of ``ccs rollout``, or trajectories themselves.
Trajectories: TypeAlias = "Place | Rollouts | Sequence[Trajectory]"
#: A bar on standard error, nothing, or a callback of one's own.
Shown: TypeAlias = "bool | Progress"


def chosen_reward(
    reward: str | Reward | None, config: Place | Mapping[str, Any] | RewardConfig | None, cache: Place | None
) -> tuple[RewardConfig, Reward]:
    """The configuration and the reward that a caller names, by one or the other.

    Raises:
        FrescoError: both are given, or it cannot be opened.
    """
    from ccs.foreign import ForeignReward
    from ccs.rewards.config import RewardConfig, as_config, open_reward
    from ccs.rewards.registry import REWARDS

    if reward is not None and config is not None:
        raise FrescoError("give --reward or --config, not both")
    if reward is not None and not isinstance(reward, str):
        return RewardConfig(), ForeignReward(REWARDS.adopt("the reward", lambda: reward), type(reward).__name__)
    settings = as_config({"reward": reward} if reward is not None else config, "--reward")
    return settings, open_reward(settings, cache=Path(cache) if cache else None)


@contextmanager
def bars(progress: Shown, *, one_bar: bool = False) -> Iterator[Progress]:
    """The callback for :data:`Shown`."""
    if progress is True:
        with progress_bars(one_bar=one_bar) as tell:
            yield tell
    else:
        yield progress or no_progress


def file_of(trajectories: Trajectories) -> str | None:
    """The file of trajectories, where they came from one."""
    path = trajectories if isinstance(trajectories, str | PathLike) else getattr(trajectories, "path", None)
    return None if path is None else str(path)
