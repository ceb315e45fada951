"""The library's trainer, whose checkpoints hold the trained weights alone: what is frozen lies in the start's files."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sentence_transformers.cross_encoder import CrossEncoderTrainer
from transformers import TrainerCallback

from fresco.errors import FrescoError
from fresco.tuning.look import METRIC

BEST = f"eval_{METRIC}"
_WEIGHTS = "trained.safetensors"


class PlainTrainer(CrossEncoderTrainer):  # type: ignore[misc]  # the library has no types
    """Low-rank updates inside a model have no files of their own that the library would load again."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        from safetensors.torch import save_file

        folder = Path(output_dir or self.args.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        own = {name: each.detach().contiguous() for name, each in self.model.named_parameters() if each.requires_grad}
        save_file(own, folder / _WEIGHTS)

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        from safetensors.torch import load_file

        weights = load_file(Path(checkpoint_path) / _WEIGHTS)
        unknown = self.model.load_state_dict(weights, strict=False).unexpected_keys
        if unknown:
            raise RuntimeError(f"{checkpoint_path} is of another model: {unknown[0]}")

    def load_checkpoint(self, folder: Path) -> None:
        """Put the weights of a checkpoint into the model."""
        self._load_from_checkpoint(str(folder))

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Nothing: the card is ours."""


def has_stopped(state: dict[str, Any], patience: int) -> bool:
    """Whether so many looks in a row found no larger area."""
    areas = [row[BEST] for row in state["log_history"] if BEST in row]
    return bool(areas) and len(areas) - 1 - areas.index(max(areas)) >= patience


class Watch(TrainerCallback):  # type: ignore[misc]  # the library has no types
    """Tells of each step, stops when the looks say so, and refuses a loss that is no number."""

    def __init__(self, patience: int, tell: Callable[[int, int], None]) -> None:
        self._patience, self._tell = patience, tell

    # What each hook is told is in transformers.TrainerCallback.
    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: D102
        self._tell(state.global_step, state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:  # noqa: D102
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            raise FrescoError("--train: the loss is no number any more; lower --learning-rate")

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: D102
        if has_stopped({"log_history": state.log_history}, self._patience):
            control.should_training_stop = True
