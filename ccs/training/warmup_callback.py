"""What happens beside each step of a warm-up: the bar, and checkpoints that are known to be whole."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from ccs.training.journal import Journal
from fresco.terminal.progress import Progress


class Sealing(TrainerCallback):  # type: ignore[misc]  # transformers is not typed here
    """Transformers' callback.

    Args:
        journal: Seals checkpoints.
        progress: Told of the steps.
    """

    def __init__(self, journal: Journal, progress: Progress) -> None:
        self._journal, self._progress = journal, progress

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A step further."""
        self._progress("warming up", state.global_step, state.max_steps)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The checkpoint is whole now."""
        if state.is_world_process_zero:
            self._journal.seal(state.global_step)
