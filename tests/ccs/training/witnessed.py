"""``ccs train`` that writes down which process it was, and what it did there: ``witnessed.py PREFIX ...``."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from ccs.cli import main
from ccs.training import run
from ccs.training.trainer import SearchTraining


def _witness(prefix: str) -> None:
    asked: list[list[str]] = []
    rollouts = 0
    roll, save = SearchTraining.roll, run.save_policy

    def watched(self: SearchTraining, prompts: Any, trainer: Any) -> Any:
        nonlocal rollouts
        asked.append(list(dict.fromkeys(prompts)))
        made = roll(self, prompts, trainer)
        rollouts += len(made["completion_ids"])
        return made

    def saved(trainer: Any, *arguments: Any, **named: Any) -> None:
        import torch

        group = torch.distributed.group.WORLD
        options = group._get_backend(torch.device("cpu")).options
        weights = hashlib.sha256()
        for value in trainer.model.parameters():
            full = value.full_tensor() if hasattr(value, "full_tensor") else value
            weights.update(full.detach().contiguous().numpy().tobytes())
        record = {
            "rank": torch.distributed.get_rank(),
            "world": torch.distributed.get_world_size(),
            "backend": torch.distributed.get_backend(),
            "seconds": options._timeout.total_seconds(),
            "sharded": any(hasattr(value, "full_tensor") for value in trainer.model.parameters()),
            "asked": asked,
            "rollouts": rollouts,
            "weights": weights.hexdigest(),
        }
        Path(f"{prefix}-{record['rank']}.json").write_text(json.dumps(record))
        save(trainer, *arguments, **named)

    SearchTraining.roll, run.save_policy = watched, saved  # type: ignore[method-assign]


if __name__ == "__main__":
    _witness(sys.argv[1])
    sys.exit(main(["train", *sys.argv[2:]]))
