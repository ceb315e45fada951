"""Several real processes of one run, over gloo, as a launcher starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[3]


def launch(arguments: Sequence[str | Path], *, count: int = 2, **environment: str) -> str:
    """Run ``python -m MODULE ...`` or ``python FILE ...`` in so many processes; gives what they printed.

    ``accelerate launch --cpu`` would start one process only, whatever its ``--num_processes``.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
    done = subprocess.run(
        [*command, *map(str, arguments)],
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
    return done.stdout
