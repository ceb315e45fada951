"""The output folder: what is kept of a training run, and where it goes on.

    config.yaml            what was asked for; a run with another configuration is refused
    stopped.json           why training stopped early, where it did
    steps.jsonl            a line a step: the questions, everything watched, seconds
    evaluations.jsonl      a line an evaluation on the held-out questions
    held-out/step-N.jsonl  its trajectories
    checkpoints/           to go on from; those that were torn by a kill are removed
    tensorboard/           where keep.report_to names it: curves, one folder over all starts
    best/, final/          the policy with the best held-out metric, and the last one
    card.md, curves.png    written at the end

After a kill the run goes on from the newest whole checkpoint, and the lines of later steps are dropped: these steps are
made again, with the same questions and the same draws.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ccs.training.config import TrainConfig, dump_train_config
from fresco.errors import FrescoError
from fresco.io.files import recover, sync, write_atomically
from fresco.io.secrets import redacted
from fresco.io.state import read_state, write_state

_WHOLE = "whole.json"  # written last into a checkpoint
_STOPPED = "stopped.json"
_MEND = "give another --out, or remove this folder"


class Journal:
    """Reads and writes the folder.

    Args:
        folder: Made where absent.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoints = folder / "checkpoints"

    def claim(self, config: TrainConfig) -> None:
        """Take a new folder, or one of the same configuration.

        Raises:
            FrescoError: it holds another run.
        """
        path = self.folder / "config.json"
        mine = redacted(json.loads(json.dumps(config.fingerprint_fields)))
        if not path.exists():
            write_state(path, mine)
        elif (found := read_state(path, {}, _MEND)) != mine:
            changed = ", ".join(_changed(found, mine))
            raise FrescoError(
                f"--out {self.folder}: holds a run with another {changed}; give another folder, or remove this one"
            )
        write_atomically(self.folder / "config.yaml", dump_train_config(config))

    def resume(self) -> Path | None:
        """The newest whole checkpoint; what is later, or torn, is removed, and what was being published is."""
        for name in ("best", "final", "model"):
            recover(self.folder / name)
        whole = self._whole()
        for path in list(self.checkpoints.glob("checkpoint-*")):
            if path not in whole:
                shutil.rmtree(path)
        newest = max(whole, key=_order, default=None)
        last = step_of(newest) or 0
        for name in ("steps.jsonl", "evaluations.jsonl"):
            kept = [row for row in self.rows(name) if newest and row["step"] <= last]
            if (self.folder / name).exists():
                write_atomically(self.folder / name, "".join(f"{json.dumps(row)}\n" for row in kept))
        stopped = self.folder / _STOPPED
        if stopped.exists() and read_state(stopped, {"step": int}, _MEND)["step"] > last:
            stopped.unlink()
        return newest

    def stop(self, step: int, why: str, settings: Mapping[str, Any]) -> None:
        """Keep that training stopped early.

        Args:
            step: After which.
            why: In words.
            settings: That decided so.
        """
        write_state(self.folder / _STOPPED, {"step": step, "why": why, "settings": dict(settings)})

    def stopped(self, settings: Mapping[str, Any]) -> str:
        """Why training stopped early; empty where it did not, or other settings decide now."""
        path = self.folder / _STOPPED
        if not path.exists():
            return ""
        found = read_state(path, {"step": int, "why": str, "settings": dict}, _MEND)
        return str(found["why"]) if found["settings"] == dict(settings) else ""

    def seal(self, step: int, keep: int | None = None) -> None:
        """Say that the checkpoint of a step is whole, and only then remove those that it replaces.

        Args:
            step: Of the checkpoint.
            keep: How many whole ones stay; None: all.
        """
        folder = self.checkpoints / f"checkpoint-{step}"
        sync(*(path for path in folder.rglob("*") if path.is_file()))
        write_atomically(folder / _WHOLE, f'{{"step": {step}}}\n')
        if keep is not None:
            for old in sorted(self._whole(), key=_order)[:-keep]:
                (old / _WHOLE).unlink()  # first: what is half removed is not whole
                shutil.rmtree(old)

    def _whole(self) -> list[Path]:
        return [path for path in self.checkpoints.glob("checkpoint-*") if (path / _WHOLE).exists()]

    def held_out(self, step: int) -> Path:
        """Where the trajectories of an evaluation are."""
        return self.folder / "held-out" / f"step-{step}.jsonl"

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The lines of a file; half a line at its end is none."""
        path = self.folder / name
        content = path.read_bytes() if path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        return [json.loads(line) for line in whole.splitlines()]

    def add(self, name: str, row: Mapping[str, Any]) -> None:
        """Append a line; NaN becomes null."""
        clean = {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()}
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / name).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(clean, ensure_ascii=False) + "\n")


def step_of(checkpoint: Path | None) -> int | None:
    """The step that a checkpoint was made after; None of none."""
    return None if checkpoint is None else int(checkpoint.name.rpartition("-")[2])


def _order(checkpoint: Path) -> int:
    return step_of(checkpoint) or 0


def _changed(found: Mapping[str, Any], mine: Mapping[str, Any], path: str = "") -> Iterator[str]:
    for key in {**found, **mine}:
        one, other = found.get(key), mine.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _changed(one, other, f"{path}{key}.")
        elif one != other:
            yield f"{path}{key}"
