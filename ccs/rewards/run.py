"""A run of ``ccs reward``: a reward for each trajectory, kept in a file as groups are rewarded where one is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.rewards.base import Reward, score_rows
from ccs.rewards.reward_file import RewardFile, digest, open_reward_file
from fresco.errors import FrescoError
from fresco.terminal.progress import Progress, no_progress

if TYPE_CHECKING:
    import pandas as pd

_BATCH = 64  # trajectories that are rewarded together, and then written; a question's are never torn apart


@dataclass(frozen=True)
class Rewards:
    """What trajectories earned.

    Attributes:
        name: The reward's.
        trajectories: In the order given.
        values: Of each; None where it could not be had.
        torn: Whether the file had ended in half a line, which was dropped.
    """

    name: str
    trajectories: Sequence[Trajectory]
    values: list[float | None]
    torn: bool = False

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[float | None]:
        return iter(self.values)

    def __getitem__(self, number: int) -> float | None:
        return self.values[number]

    @property
    def known(self) -> list[float]:
        """The values that could be had."""
        return [value for value in self.values if value is not None]

    def to_frame(self) -> pd.DataFrame:
        """A row for each trajectory: ``question_id, sample, answer, reward``."""
        import pandas as pd

        frame = pd.DataFrame(
            {"question_id": each.question_id, "sample": each.sample, "answer": each.answer}
            for each in self.trajectories
        )
        return frame.assign(reward=pd.Series(self.values, dtype=float))

    def _repr_html_(self) -> str:
        html: str = self.to_frame()._repr_html_()  # type: ignore[operator] # pandas escapes what it shows
        return html


def run_reward(
    reward: Reward,
    trajectories: Sequence[Trajectory],
    questions: Mapping[str, Question] | None = None,
    *,
    out: Path | None = None,
    progress: Progress = no_progress,
) -> Rewards:
    """Reward trajectories, those that the file does not hold yet.

    Args:
        reward: Which.
        trajectories: Whole groups.
        questions: By id; for rewards that need gold answers.
        out: File of the rewards; None keeps them in memory.
        progress: Told of each batch.

    Raises:
        FrescoError: gold is needed and missing, a server is gone, or the file cannot be used; what was done is kept.
    """
    if reward.needs_gold and questions is None:
        raise FrescoError(f"the reward {reward.name} needs gold answers; give --questions")
    done: dict[str, float | None] = {}
    with ExitStack() as stack:
        file = stack.enter_context(open_reward_file(out, reward.name, reward.fingerprint)) if out else None
        torn = file is not None and file.torn
        progress("rewards", 0, len(trajectories))
        count = 0
        for batch in _batches(trajectories, file):
            rows = score_rows(reward, batch, questions)
            if file is not None:
                file.append(batch, rows)
            done |= {digest(each): row.value for each, row in zip(batch, rows, strict=True)}
            count += len(batch)
            progress("rewards", count, len(trajectories))
        progress("rewards", len(trajectories), len(trajectories))
        if file is not None:
            return Rewards(reward.name, trajectories, file.finish(trajectories), torn)
    return Rewards(reward.name, trajectories, [done[digest(each)] for each in trajectories])


def _batches(trajectories: Sequence[Trajectory], file: RewardFile | None) -> Iterator[list[Trajectory]]:
    groups: dict[str, list[Trajectory]] = {}
    for trajectory in trajectories:
        groups.setdefault(trajectory.question_id, []).append(trajectory)
    if file is not None:
        # A group of which one is missing is rewarded again as a whole: some rewards compare its members.
        groups = {name: group for name, group in groups.items() if not all(each in file for each in group)}
    batch: list[Trajectory] = []
    for group in groups.values():
        if batch and len(batch) + len(group) > _BATCH:
            yield batch
            batch = []
        batch += group
    if batch:
        yield batch
