"""``ccs warmup`` in two processes, one of which is killed: ``warmed_up.py FOLDER DIES ...``.

What torch.distributed.run starts processes with starts these, too, forked, so that torch and transformers are imported
once. The second one is killed while the checkpoint of the update DIES is written, and then both are started again.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from ccs.cli import main
from ccs.training.callback import WarmingUp


def work(folder: Path, dies: int, arguments: list[str]) -> None:
    """One process, which writes down what it was at each checkpoint."""
    save = WarmingUp.on_save

    def watched(self: WarmingUp, args: Any, state: Any, control: Any, **more: Any) -> None:
        group = torch.distributed
        rank, died = group.get_rank(), folder / "died"
        record = {"step": state.global_step, "world": group.get_world_size(), "backend": group.get_backend()}
        with (folder / f"rank-{rank}.jsonl").open("a") as stream:
            stream.write(json.dumps({**record, "pid": os.getpid()}) + "\n")
        if rank == 1 and state.global_step == dies and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        save(self, args, state, control, **more)

    WarmingUp.on_save = watched  # type: ignore[method-assign]
    if code := main(["warmup", *arguments]):
        sys.exit(code)


def launch(name: str) -> LaunchConfig:
    """Two processes of this machine, of whom the loss of one ends both."""
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=2,
        run_id=name,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        start_method="fork",
    )


if __name__ == "__main__":
    chosen = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    try:
        elastic_launch(launch("first"), work)(*chosen)
    except ChildFailedError:
        elastic_launch(launch("again"), work)(*chosen)
