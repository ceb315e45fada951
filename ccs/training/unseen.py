"""The reward that checkpoints are chosen by: one that the policy was not trained on, so that no cheat is chosen.

A policy that learned to please its reward scores best by that very reward where it has learned to cheat it. Another
reward, which has no part in the gradient and reads no gold either, is not met by the same trick.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ccs.rewards.base import Reward
from ccs.training.config import TrainConfig
from ccs.training.settings import UNSEEN
from fresco.errors import FrescoError

#: What is taken where the configuration names none, the first that is not trained on; neither needs a model.
FALLBACKS = (
    {"reward": "cycle"},
    # Words of the question in the pages that were found; the queries count for nothing, so that none is worth pasting.
    {"reward": "cycle", "similarity": "token-f1", "mask": {"blank": True}},
)


def open_unseen(config: TrainConfig, trained: Sequence[Reward], folder: Path) -> Reward | None:
    """The reward that ``keep.metric: unseen reward`` means; None where the metric is another.

    Args:
        config: Of the run.
        trained: The rewards that the policy is trained on.
        folder: Of the run, for the answers of language models.

    Raises:
        FrescoError: it is trained on, or reads gold answers.
    """
    from ccs.rewards.config import open_reward, parse_config

    if config.keep.metric != UNSEEN:
        return None
    seen = {reward.fingerprint for reward in trained}
    if config.keep.unseen is None:
        found = [open_reward(parse_config(dict(each))) for each in FALLBACKS]
        return next(each for each in found if each.fingerprint not in seen)
    chosen = open_reward(parse_config(config.keep.unseen, "keep.unseen"), cache=folder / "rewards.sqlite")
    if chosen.fingerprint in seen:
        raise FrescoError(
            f"keep.unseen: the policy is trained on {chosen.name} itself; name another reward, or take keep.unseen out"
        )
    if chosen.needs_gold:
        raise FrescoError(f"keep.unseen: {chosen.name} reads gold answers; set keep.metric, such as `exact match`")
    return chosen
