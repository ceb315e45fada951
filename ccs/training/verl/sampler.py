"""What a step of verl's V1 trainer trains on, watched: figures, rollouts that failed, groups of one.

verl logs what a reward function returns for validation alone. Its replay buffer is where a batch of training passes
with all its records, so the figures are taken there, under ``ccs/`` in verl's logs.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ccs.training.verl.settings import AGENT, RECORD
from fresco.errors import FrescoError

try:
    import transfer_queue as tq
    from transfer_queue import KVBatchMeta
    from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
except ImportError as error:
    raise FrescoError(f"verl cannot be imported ({error}); pip install 'fresco-ccs[verl]'") from error


class WatchedReplayBuffer(ReplayBuffer):  # type: ignore[misc]
    """verl's synchronous replay buffer, with an eye on what comes out of it.

    Reads of ``trainer.v1.sampler.sampler_kwargs`` the size of a group (``group``) and the share of a batch's rollouts
    that may fail before training stops (``most_failed``).
    """

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> tuple[KVBatchMeta, dict[str, Any]]:
        """See verl's.

        Raises:
            FrescoError: too many rollouts failed, verl ran another agent, or no search found anything.
        """
        try:
            batch, metrics = super().sample(global_steps, partition_id, batch_size)
        except RuntimeError as error:
            if "no materializable trajectories" not in str(error):
                raise
            raise FrescoError(f"step {global_steps}: {_all_failed(batch_size)}") from error
        if not batch.keys:  # which verl takes for granted that a validation has
            raise FrescoError(f"step {global_steps}, validation: {_all_failed(batch_size)}")
        if partition_id != "train":
            return batch, metrics
        wanted = batch_size * int(self.sampler_kwargs["group"])
        figures = batch_figures(_infos(batch), batch.keys, wanted)
        if figures["failed_rollouts"] > float(self.sampler_kwargs["most_failed"]):
            raise FrescoError(
                f"step {global_steps}: {figures['failed_rollouts']:.0%} of the rollouts failed; the workers' log says "
                "why. Is the retriever up, and the reward's server?"
            )
        batch = _without_lonely(batch)
        return batch, metrics | {f"ccs/{name}": value for name, value in figures.items()}


def batch_figures(infos: Sequence[Mapping[str, Any]], keys: Sequence[str], wanted: int) -> dict[str, float]:
    """Means over a batch.

    Args:
        infos: verl's ``extra_fields`` of each rollout, with the record and what the reward function returned.
        keys: ``{uid}_{session}_{index}`` of each.
        wanted: How many rollouts there would be, had none failed.

    Raises:
        FrescoError: a rollout without a record, or no search of the whole batch found anything.
    """
    if any(RECORD not in info for info in infos):
        raise FrescoError(f"verl ran another agent loop than {AGENT}; is the column agent_name of the data right?")
    rewarded = [info.get("reward_extra_info") or {} for info in infos]
    values: dict[str, list[float]] = defaultdict(list)
    for row in rewarded:
        for name, value in row.items():
            values[name].append(float(value))
    if sum(values["searches"]) and sum(values["empty_searches"]) == sum(values["searches"]):
        raise FrescoError("no search of a whole batch found anything; look at the retriever and its index")
    groups: dict[str, list[float]] = defaultdict(list)
    for key, row in zip(keys, rewarded, strict=True):
        groups[_group(key)].append(float(row["score"]))
    spreads = [statistics.pstdev(scores) for scores in groups.values() if len(scores) > 1]
    return {
        **{f"{name}/mean": statistics.fmean(each) for name, each in values.items() if each},
        **({"spread_in_groups/mean": statistics.fmean(spreads)} if spreads else {}),
        "failed_rollouts": 1 - len(infos) / wanted,
    }


def _infos(batch: KVBatchMeta) -> list[Mapping[str, Any]]:
    data = tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["extra_fields"])
    return [getattr(value, "data", value) for value in data["extra_fields"]]


def _without_lonely(batch: KVBatchMeta) -> KVBatchMeta:
    """Drop rollouts whose whole group failed but for them: verl would take their raw reward for an advantage."""
    counts: dict[str, int] = defaultdict(int)
    for key in batch.keys:
        counts[_group(key)] += 1
    lonely = [key for key in batch.keys if counts[_group(key)] < 2]
    if not lonely:
        return batch
    tq.kv_clear(keys=lonely, partition_id=batch.partition_id)
    kept = [(key, tag) for key, tag in zip(batch.keys, batch.tags, strict=True) if counts[_group(key)] > 1]
    if not kept:
        raise FrescoError("no group of the batch has two rollouts left; " + _all_failed(len(lonely)))
    return KVBatchMeta(partition_id=batch.partition_id, keys=[key for key, _ in kept], tags=[tag for _, tag in kept])


def _group(key: str) -> str:
    return key.split("_", maxsplit=1)[0]


def _all_failed(count: int) -> str:
    return f"all rollouts of {count} questions failed; the workers' log says why. Is the retriever up?"
