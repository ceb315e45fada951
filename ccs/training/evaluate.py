"""The held-out questions, answered greedily by the present policy through the very path that trains it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ccs.agent.question import Question
from ccs.training.config import TrainConfig
from ccs.training.journal import Journal
from ccs.training.rewards import Rewarded, RewardMix
from ccs.training.rollout import BatchedRollouts, Rollout
from ccs.training.settings import UNSEEN
from ccs.training.watch import mean, number, step_figures
from ccs.training.weights import save_policy
from fresco.errors import FrescoError
from fresco.io.files import write_atomically

_FILE = "evaluations.jsonl"
_FALLS = 2  # evaluations in a row below the share, which are a collapse


class Evaluator:
    """Evaluates, keeps the best checkpoint, and sees a collapse.

    Args:
        config: The run.
        journal: Where results go.
        roller: Makes rollouts.
        mixes: Reward them; of its own, so that it takes no group of the training. The first is what is trained on, the
            second the unseen reward, where checkpoints are chosen by one.
        questions: Held out.
        tell: Told of each result.

    Attributes:
        last: Rollouts of the newest evaluation, on the main process those of all.
        collapsed: Why training should stop; empty while it should not.
    """

    def __init__(
        self,
        config: TrainConfig,
        journal: Journal,
        roller: BatchedRollouts,
        mixes: Sequence[RewardMix],
        questions: Sequence[Question],
        tell: Callable[[str], None],
    ) -> None:
        self._keep = config.keep
        self._journal, self._roller, self._mixes, self._tell = journal, roller, list(mixes), tell
        self._questions = list(questions)
        self.metric = config.keep.metric
        if self.metric not in (UNSEEN, "reward") and not all(question.answers for question in questions):
            raise FrescoError(f"keep.metric {self.metric} needs gold answers, and some held-out questions have none")
        self.last: list[Rollout] = []
        self.collapsed = ""

    @property
    def best_step(self) -> int:
        """Of the highest metric; the earliest of equals."""
        rows = [row for row in self._journal.rows(_FILE) if row.get(self.metric) is not None]
        return int(max(rows, key=lambda row: row[self.metric])["step"]) if rows else 0

    def evaluate(self, trainer: Any) -> None:
        """Evaluate the present weights, unless that is done; collective."""
        step = trainer.state.global_step
        if any(row["step"] == step for row in self._journal.rows(_FILE)) and self.last:
            return
        from accelerate.utils import gather_object

        process = trainer.accelerator
        self._roller.engine.prepare(trainer)
        mine = self._questions[process.process_index :: process.num_processes]
        numbers: dict[int, list[int]] = {}
        rollouts = self._roller.roll(
            [(question, 0) for question in mine],
            step=step,
            greedy=True,
            on_done=lambda number, trajectory: numbers.update(
                {number: [mix.submit([trajectory]) for mix in self._mixes]}
            ),
        )
        rewarded = [
            _collect(mix, [numbers[number][which] for number in range(len(rollouts))])
            for which, mix in enumerate(self._mixes)
        ]
        if process.num_processes > 1:
            rollouts, rewarded = gather_object(rollouts), [gather_object(each) for each in rewarded]
        self.last = rollouts
        better = False
        if process.is_main_process:
            known = any(row["step"] == step for row in self._journal.rows(_FILE))
            better = self._record(step, rollouts, rewarded)
            if not known:
                self._report(trainer, step)
        if self._any(better, process):
            self._save_best(trainer)

    def sample(self, trainer: Any, questions: int, group: int) -> list[Rollout]:
        """Groups of the present policy's rollouts at the training's temperature; collective, all on the main process.

        Greedy rollouts of a policy that learned hardly differ, so nothing could be told of a reward by them.
        """
        from accelerate.utils import gather_object

        process = trainer.accelerator
        self._roller.engine.prepare(trainer)
        mine = self._questions[:questions][process.process_index :: process.num_processes]
        tasks = [(question, sample) for question in mine for sample in range(group)]
        rollouts = self._roller.roll(tasks, step=trainer.state.global_step)
        return gather_object(rollouts) if process.num_processes > 1 else rollouts

    def close(self) -> None:
        """End the rewards' threads."""
        for mix in self._mixes:
            mix.close()

    def _report(self, trainer: Any, step: int) -> None:
        """To TensorBoard and its like, beside the figures of the training."""
        from transformers import Trainer

        row = next(row for row in self._journal.rows(_FILE) if row["step"] == step)
        figures = {f"held-out/{name}": value for name, value in row.items() if isinstance(value, float)}
        wanted = trainer.control.should_log  # of the step, whose own line this must not take the place of
        Trainer.log(trainer, figures)  # TRL's own would take them for figures of the step, and forget those
        trainer.control.should_log = wanted

    def _record(self, step: int, rollouts: Sequence[Rollout], rewarded: Sequence[Sequence[Rewarded]]) -> bool:
        known = {question.id: question for question in self._questions}
        figures = step_figures(rollouts, rewarded[0], known, 1)
        for others in rewarded[1:]:
            figures[UNSEEN] = mean([number(each.total) for each in others])
        for name in ("reward spread", "flat groups"):
            figures.pop(name)  # of groups of one
        rows = [row for row in self._journal.rows(_FILE) if row["step"] != step]
        values = [row[self.metric] for row in rows if row.get(self.metric) is not None]
        value = figures[self.metric]
        if len(rows) < len(self._journal.rows(_FILE)):
            return False  # done before a kill, and again only for its rollouts
        # Before the line that says that it is done.
        answered = "".join(f"{each.trajectory.to_json()}\n" for each in rollouts)
        write_atomically(self._journal.held_out(step), answered)
        self._journal.add(_FILE, {"step": step, "questions": len(rollouts), **figures})
        self._tell(
            f"step {step}: held-out reward {figures['reward']:.3f}, exact match {figures['exact match']:.3f}, "
            f"answered {figures['answered']:.2f}, searches {figures['searches']:.2f}, "
            f"query overlap {figures['query overlap']:.2f}"
        )
        self._see_collapse([*values, value])
        return not math.isnan(value) and value > max(values, default=-math.inf)

    def _see_collapse(self, values: Sequence[float]) -> None:
        best, last = max(values), values[-_FALLS:]
        floor = best * (1 - self._keep.collapse)
        if self._keep.collapse and best > 0 and len(last) == _FALLS and all(value < floor for value in last):
            self.collapsed = (
                f"held-out {self.metric} fell to {last[-1]:.3f}, below {1 - self._keep.collapse:.0%} of its best "
                f"({best:.3f}), twice in a row"
            )

    def _save_best(self, trainer: Any) -> None:
        save_policy(trainer, self._journal.folder / "best", merged=self._keep.merged)

    def _any(self, mine: bool, process: Any) -> bool:
        if process.num_processes == 1:
            return mine
        from accelerate.utils import broadcast_object_list

        box = [mine, self.collapsed]
        broadcast_object_list(box)
        self.collapsed = str(box[1])
        return bool(box[0])


def _collect(mix: RewardMix, numbers: Sequence[int]) -> list[Rewarded]:
    """What groups of one earned, in the order of their numbers."""
    results = mix.collect()
    missing = [Rewarded(None, dict.fromkeys(mix.names))]
    return [results.get(number, missing)[0] for number in numbers]
