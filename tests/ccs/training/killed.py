"""``ccs COMMAND`` in two processes, one of which is killed: ``killed.py FOLDER DIES COMMAND ... --out OUT``.

The second process is killed while the checkpoint of the step DIES is written, then both are started again, and at last
with another seed, which is refused. What each of them was at each checkpoint is written into FOLDER. Where the command
is ``train``, the same is done undisturbed into ``OUT-plain``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from ccs.cli import main
from ccs.training.callback import Sealing
from tests.ccs.training.launch import fork


def work(folder: Path, dies: int, arguments: list[str]) -> None:
    """One process."""
    save = Sealing.on_save

    def watched(self: Sealing, args: Any, state: Any, control: Any, **more: Any) -> None:
        group = torch.distributed
        rank, died = group.get_rank(), folder / "died"
        record = {"step": state.global_step, "world": group.get_world_size(), "backend": group.get_backend()}
        with (folder / f"rank-{rank}.jsonl").open("a") as stream:
            stream.write(json.dumps({**record, "pid": os.getpid()}) + "\n")
        if rank == 1 and state.global_step == dies and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        save(self, args, state, control, **more)

    Sealing.on_save = watched  # type: ignore[method-assign]
    if code := main(arguments):
        sys.exit(code)


if __name__ == "__main__":
    chosen = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    first = fork(2, work, *chosen)
    assert not first, "nobody was killed"
    assert fork(2, work, *chosen), "it did not go on"
    refused = not fork(2, work, chosen[0], 0, [*chosen[2], "--set", "optimization.seed=9"])
    assert refused, "another run was gone on with"
    if chosen[2][0] == "train":
        (chosen[0] / "undisturbed").mkdir()
        assert fork(2, work, chosen[0] / "undisturbed", 0, [*chosen[2][:-1], f"{chosen[2][-1]}-plain"])
