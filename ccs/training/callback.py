"""What happens beside each step: lines in the journal, the console, evaluations, checkpoints that are known whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate import PartialState
from transformers import TrainerCallback

from ccs.training.journal import Journal
from ccs.training.processes import any_of
from ccs.training.settings import KeepConfig
from ccs.training.signal import FlatSteps
from fresco.terminal.progress import Progress, progress_bars

if TYPE_CHECKING:
    from ccs.training.evaluate import Evaluator
    from ccs.training.trainer import SearchTraining


class AlreadyMadeError(Exception):
    """All steps of a run were made before; its weights are loaded."""


def go_on(trainer: Any, resumed: Path | None) -> None:
    """Train from a checkpoint, or from the beginning; collective.

    Transformers makes one step more where all are made already, except at the end of an epoch: so a run that was killed
    after its last checkpoint would end in other weights.
    """
    with suppress(AlreadyMadeError):
        trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)


class Sealing(TrainerCallback):  # type: ignore[misc]  # transformers is not typed here
    """Transformers' callback that knows which checkpoints are whole, in place of its own printing.

    Args:
        journal: Seals them.
        checkpoints: How many are kept.
    """

    def __init__(self, journal: Journal, checkpoints: int) -> None:
        self._journal, self._checkpoints = journal, checkpoints

    def attach(self, trainer: Any, others: Sequence[Any] = ()) -> None:
        """Take part in a trainer's training, after other callbacks."""
        from transformers.trainer_callback import PrinterCallback, ProgressCallback

        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        for callback in (*others, self):
            trainer.add_callback(callback)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Nothing is begun where all steps are made."""
        if state.global_step >= state.max_steps:
            raise AlreadyMadeError

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The checkpoint is whole as soon as every process has written its part of it."""
        PartialState().wait_for_everyone()
        if state.is_world_process_zero:
            self._journal.seal(state.global_step, self._checkpoints)


class WarmingUp(Sealing):
    """The same of a warm-up, with its bar.

    Args:
        journal: Seals checkpoints.
        checkpoints: How many are kept.
        progress: Told of the steps.
        before: Called before the first step of all.
    """

    def __init__(self, journal: Journal, checkpoints: int, progress: Progress, before: Callable[[], None]) -> None:
        super().__init__(journal, checkpoints)
        self._progress, self._before = progress, before

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The policy before it learns, where it is not known yet."""
        super().on_train_begin(args, state, control)
        if state.global_step == 0:
            self._before()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A step further."""
        self._progress("warming up", state.global_step, state.max_steps)


class Watcher(Sealing):
    """What watches a training.

    Args:
        keep: When to evaluate.
        journal: Where lines go.
        evaluator: Evaluates.
        training: Knows the questions of the step.
        tell: Told of checkpoints and stops.
        before: Given the trainer before the first step of all.

    Attributes:
        stopped: Why training stopped early; empty where it did not.
    """

    def __init__(
        self,
        keep: KeepConfig,
        journal: Journal,
        evaluator: Evaluator,
        training: SearchTraining,
        tell: Callable[[str], None],
        before: Callable[[Any], None] = lambda _: None,
    ) -> None:
        super().__init__(journal, keep.checkpoints)
        self._deciding = {"collapse": keep.collapse, "dead": keep.dead}
        self._keep, self._evaluator, self._training = keep, evaluator, training
        self._tell, self._before = tell, before
        self._flat = FlatSteps(keep, journal)
        self._trainer: Any = None
        self._started = 0.0
        self._saved = time.monotonic()
        self._seconds = 0.0
        self._progress: Any = None
        self._steps = 0
        self.stopped = ""

    def stopped_before(self) -> str:
        """Why an earlier start of the run stopped, where it would do so again; empty where it would not."""
        return self._journal.stopped(self._deciding)

    def attach(self, trainer: Any, others: Sequence[Any] = ()) -> None:
        """See :class:`Sealing`."""
        self._trainer = trainer
        super().attach(trainer, others)

    @contextmanager
    def bar(self, steps: int) -> Iterator[None]:
        """Show progress."""
        self._steps = steps
        with progress_bars(one_bar=True, shown=self._trainer.accelerator.is_main_process) as self._progress:
            yield

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The policy before training, where it is not known yet."""
        self._progress("training", state.global_step, self._steps)
        self._flat.start()
        if self.stopped:
            raise AlreadyMadeError
        super().on_train_begin(args, state, control)
        if state.global_step == 0:
            self._before(self._trainer)
            self._evaluator.evaluate(self._trainer)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Time it."""
        self._started = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Evaluate when it is time, and stop where the policy collapsed."""
        self._seconds = time.perf_counter() - self._started
        if state.global_step % self._keep.evaluate_every == 0 or state.global_step == args.max_steps:
            self._evaluator.evaluate(self._trainer)
            if self._evaluator.collapsed:
                self._stop(self._evaluator.collapsed, state, control)
        if self._keep.save_minutes and any_of(
            self._trainer.accelerator, time.monotonic() - self._saved > 60 * self._keep.save_minutes
        ):
            control.should_save = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        """A line for the step; a signal that is dead ends the run."""
        if "loss" not in logs:
            return  # the summary at the end
        # By every process: figures are means over all of them, so that they agree.
        dead = self._flat.see(logs.get("agent/flat groups"), state.global_step, state.max_steps)
        if dead:
            self._stop(dead, state, control)
        if not state.is_world_process_zero:
            return
        # TRL takes a stream that ends with </answer> for a truncated one; "contexts cut" says what was cut.
        known = {name: value for name, value in logs.items() if not ("clipped" in name or "terminated" in name)}
        row = {name.removeprefix("agent/"): value for name, value in known.items()}
        row = {"step": state.global_step, "asked": self._training.asked, **row, "seconds": self._seconds}
        self._journal.add("steps.jsonl", row)
        shown = [f"reward {logs.get('reward') or 0:.3f}"]
        shown += [f"{short} {logs[f'agent/{name}']:.2f}" for name, short in _SHOWN.items() if f"agent/{name}" in logs]
        self._progress(", ".join(shown), state.global_step, self._steps)

    def _stop(self, why: str, state: Any, control: Any) -> None:
        self.stopped = why
        control.should_training_stop = control.should_save = True
        if state.is_world_process_zero:
            self._journal.stop(state.global_step, why, self._deciding)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """See :class:`Sealing`."""
        self._saved = time.monotonic()
        super().on_save(args, state, control)


_SHOWN = {
    "reward spread": "spread",
    "exact match": "EM",
    "searches": "searches",
    "malformed turns": "malformed",
    "query overlap": "overlap",
}
