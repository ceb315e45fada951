"""Several real processes of one run, over gloo, as a launcher starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[3]


def launch(arguments: Sequence[str | Path], *, count: int = 2, **environment: str) -> str:
    """Run ``python -m MODULE ...`` or ``python FILE ...`` in so many processes; gives what they printed.

    ``accelerate launch --cpu`` would start one process only, whatever its ``--num_processes``.
    """
    started = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
    return run([*started, *arguments], **environment)


def run(arguments: Sequence[str | Path], **environment: str) -> str:
    """Run ``python ...`` for processes on CPUs; gives what it printed."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "PYTHONPATH": str(ROOT),
            **environment,
        },
        check=False,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[:3500] + done.stderr[-1500:]
    return done.stdout + done.stderr


def fork(count: int, work: Callable[..., None], *arguments: Any) -> bool:
    """Have the agent of torch.distributed.run start processes of this one, whose imports they share.

    Returns:
        Whether all of them ended well; the loss of one ends the others.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id="tests",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        start_method="fork",
    )
    try:
        elastic_launch(config, work)(*arguments)
    except ChildFailedError:
        return False
    return True
