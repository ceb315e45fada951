"""Our commands as processes of their own, forked from one that has loaded their libraries once.

A command of a test works for a second and would load for longer. What it sees is a process like any other: its
arguments, working folder, environment, two streams and exit code. The start of the interpreter is left out, and so is
what libraries read of the environment when they load: whoever tests those takes :func:`run_afresh`.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.waiting import PATIENCE

_LOADED = [
    *("fresco.cli", "fresco.api", "fresco.commands.compare", "fresco.scoring.pipeline", "fresco.results.figure"),
    *("ccs.cli", "ccs.retrieve.index", "ccs.rollouts.file", "fresco.clients.llm", "tests.commands"),
    *("matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg", "pyarrow.parquet", "scipy.stats"),
    *("httpx", "optuna", "rich.progress", "rich.table", "sqlalchemy.dialects.sqlite"),
]
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(_LOADED)


def run(
    command: str, *arguments: object, cwd: Path, env: Mapping[str, str], seconds: float = PATIENCE
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m COMMAND ...`` to its end.

    Args:
        command: ``fresco`` or ``ccs``.
        arguments: Of the command.
        cwd: Its working folder.
        env: Its whole environment.
        seconds: After which it hangs.

    Raises:
        subprocess.TimeoutExpired: it does; it is killed.
    """
    words = [command, *map(str, arguments)]
    with TemporaryDirectory() as folder:
        streams = [Path(folder) / name for name in ("out", "err")]
        process = _CONTEXT.Process(target=_become, args=(words, str(cwd), dict(env), *map(str, streams)))
        process.start()
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, seconds)
        out, err = (stream.read_text(encoding="utf-8") if stream.exists() else "" for stream in streams)
        return subprocess.CompletedProcess(words, process.exitcode, out, err)


def run_afresh(command: str, *arguments: object, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """The same by an interpreter of its own, where libraries read the environment as they load (parts of measures)."""
    words = [sys.executable, "-m", command, *map(str, arguments)]
    return subprocess.run(words, cwd=cwd, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)


def _become(words: Sequence[str], cwd: str, environment: Mapping[str, str], out: str, err: str) -> None:
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in enumerate((out, err), 1):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.path[:0] = [cwd, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    cli = importlib.import_module(f"{words[0]}.cli")
    sys.argv = [str(Path(cli.__file__ or "").with_name("__main__.py")), *words[1:]]
    sys.exit(cli.main())
