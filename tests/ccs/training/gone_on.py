"""``ccs train`` undisturbed, killed amid a step, and gone on; a program of its own for `test_resume.py`.

A child is forked for each run: the libraries, which take longer to load than the runs last, load once.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path

from ccs.cli import main
from tests.waiting import wait_until

LOADED = ("trl", "transformers", "ccs.training.run", "ccs.training.trainer", "ccs.retrieve.index", "rich.progress")


def begin(config: str, out: Path) -> int:
    """A run in a child; its number."""
    child = os.fork()
    if not child:
        os._exit(main(["train", "--config", config, "--out", str(out)]))
    return child


def end(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def run(config: str, plain: Path, killed: Path) -> None:
    for name in LOADED:
        importlib.import_module(name)
    assert end(begin(config, plain)) == 0
    child, journal = begin(config, killed), killed / "steps.jsonl"
    wait_until(lambda: journal.exists() and journal.read_bytes().count(b"\n") >= 5)
    os.kill(child, signal.SIGKILL)
    assert end(child) == -signal.SIGKILL
    assert list((killed / "checkpoints").glob("checkpoint-*")), "nothing to go on from"
    # A checkpoint that the kill tore must not be taken.
    (killed / "checkpoints" / "checkpoint-7").mkdir(exist_ok=True)
    assert end(begin(config, killed)) == 0


if __name__ == "__main__":
    run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
