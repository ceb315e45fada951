"""The scores of an audit, group by group: what was scored before, in this run or in one that was stopped, stands."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.rewards.base import Reward
from ccs.rewards.reward_file import digest
from fresco.clients.answer_cache import AnswerCache

_BATCH = 64  # trajectories that are scored together, and then kept


class KeptScores:
    """Scores groups with a reward; the plays leave many groups as they were, and those cost nothing.

    Args:
        reward: Which.
        path: SQLite file; None keeps them in memory.
        tell: Told how many trajectories were rewarded just now.
    """

    def __init__(self, reward: Reward, path: Path | None = None, tell: Callable[[int], None] = lambda _: None) -> None:
        self._reward, self._store, self._tell = reward, AnswerCache(path) if path else None, tell
        self._known: dict[bytes, list[float | None]] = {}

    def cost(self, parts: Iterable[Sequence[Trajectory]]) -> int:
        """How many trajectories there are to reward before all of these are known; a failure may be tried again."""
        wanted: dict[bytes, int] = {}
        for trajectories in parts:
            groups = _groups(trajectories)
            wanted |= {self._key([trajectories[number] for number in each]): len(each) for each in groups.values()}
        return sum(size for key, size in wanted.items() if not self._has(key))

    def score(self, trajectories: Sequence[Trajectory], questions: Mapping[str, Question]) -> list[float | None]:
        """See :meth:`ccs.rewards.base.Reward.score`; a group with a failure is not kept for the next run."""
        groups = _groups(trajectories)
        keys = {name: self._key([trajectories[number] for number in group]) for name, group in groups.items()}
        missing = [name for name in groups if not self._has(keys[name])]
        for batch in _batches(missing, groups):
            numbers = [number for name in batch for number in groups[name]]
            made = iter(self._reward.score([trajectories[number] for number in numbers], questions))
            for name in batch:
                values = [next(made) for _ in groups[name]]
                self._known[keys[name]] = values
                if self._store is not None and None not in values:
                    self._known[keys[name]] = self._store.put(keys[name], values)
            self._tell(len(numbers))
        found: list[float | None] = [None] * len(trajectories)
        for name, group in groups.items():
            for number, value in zip(group, self._known[keys[name]], strict=True):
                found[number] = value
        return found

    def close(self) -> None:
        """Close the file."""
        if self._store is not None:
            self._store.close()

    def _has(self, key: bytes) -> bool:
        if key not in self._known and self._store is not None and (kept := self._store.get(key)) is not None:
            self._known[key] = kept
        return key in self._known

    def _key(self, group: Sequence[Trajectory]) -> bytes:
        return hashlib.sha256("|".join([self._reward.fingerprint, *map(digest, group)]).encode()).digest()


def _groups(trajectories: Sequence[Trajectory]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for number, each in enumerate(trajectories):
        groups.setdefault(each.question_id, []).append(number)
    return groups


def _batches(names: Sequence[str], groups: Mapping[str, Sequence[int]]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for name in names:
        if batch and size + len(groups[name]) > _BATCH:
            yield batch
            batch, size = [], 0
        batch.append(name)
        size += len(groups[name])
    if batch:
        yield batch
