"""Builds an index over and over, each time killed, until one build ends; a program of its own for `test_index.py`.

A child is forked for each build: the libraries load once, so that the kills fall into the work and not into imports.
"""

from __future__ import annotations

import importlib
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from ccs.cli import main
from ccs.retrieve import dense, lexical
from fresco.models.settings import Settings


def build(arguments: list[str], kill_at: int = 0, after: bool = False) -> int:
    """One build in a child, which kills itself at its n-th rename (none for 0); the child's status."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    done, replace = 0, Path.replace

    def counted(self: Path, target: Any) -> Path:
        nonlocal done
        done += 1
        if done == kill_at and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        found = replace(self, target)
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    Path.replace = counted  # type: ignore[assignment, method-assign]
    os._exit(main(arguments))


def killed_in_time(arguments: list[str], seconds: float) -> None:
    child = os.fork()
    if not child:
        os._exit(main(arguments))
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def run(out: Path, arguments: list[str]) -> None:
    dense._SHARD = lexical._SHARD = 8
    for name in ("ccs.retrieve.index", "fresco.results.table", "rich.progress"):
        importlib.import_module(name)
    if "dense" in arguments:
        dense.import_faiss()
        encoder = dense.Encoder(arguments[arguments.index("--model") + 1], Settings(device="cpu"))
        assert encoder.identity and len(encoder.passages(["x"])) == 1  # a hash of the weights is kept, too
    started = time.monotonic()
    assert build([*arguments, "--out", str(out / "whole")]) == 0
    lasts = time.monotonic() - started
    draw = random.Random(0)
    kills = 0
    while build([*arguments, "--out", str(out / "renames")], draw.randint(1, 4), draw.random() < 0.5) == signal.SIGKILL:
        kills += 1
    for _ in range(4):
        killed_in_time([*arguments, "--out", str(out / "times")], draw.uniform(0.1, 0.9) * lasts)
    assert build([*arguments, "--out", str(out / "times")]) == 0
    sys.stdout.write(f"{kills}\n")


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2:])
