"""Curves of a run in TensorBoard: one folder, however often the run is gone on with.

Transformers begins a folder of its own at each start, and keeps there what was logged of steps that are made again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers.integrations import TensorBoardCallback

from fresco.errors import FrescoError

_TENSORBOARD = "tensorboard"
FOLDER = "tensorboard"


class Curves(TensorBoardCallback):  # type: ignore[misc]  # transformers is not typed here
    """Writes into one folder; what an earlier start logged of steps that are made again is hidden.

    Args:
        folder: Where.
        step: That training goes on from; None where it begins.
    """

    def __init__(self, folder: Path, step: int | None) -> None:
        super().__init__()
        self.logging_dir = str(folder)
        self._again: int | None = 0 if step is None else step + 1

    def _init_summary_writer(self, args: Any) -> None:
        self.tb_writer = self._SummaryWriter(log_dir=self.logging_dir, purge_step=self._again)
        self._again = None  # a writer of the same start adds to it


def backends(names: tuple[str, ...]) -> list[str] | str:
    """The backends that transformers itself reports to, as it takes them."""
    return [name for name in names if name != _TENSORBOARD] or "none"


def add_curves(trainer: Any, names: tuple[str, ...], folder: Path, step: int | None) -> None:
    """Have a trainer report to TensorBoard where it is among ``keep.report_to``.

    Args:
        trainer: Before its other callbacks are added.
        names: Of backends.
        folder: Of the run.
        step: That it goes on from; None where it begins.

    Raises:
        FrescoError: TensorBoard is not installed.
    """
    if _TENSORBOARD not in names:
        return
    try:
        trainer.add_callback(Curves(folder / FOLDER, step))
    except (RuntimeError, ImportError):
        raise FrescoError("keep.report_to names tensorboard, which is not installed: pip install tensorboard") from None
