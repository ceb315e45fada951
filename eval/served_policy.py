"""A vLLM server of a study's own that samples from the policy which the study trains, its weights renewed by folder.

vLLM lives in a virtualenv of its own (its CPU build pins other versions), so it is started by that one's ``python``. It
does not reload the head of a model whose embeddings are tied to it; so such a model is served, and trained, untied.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from fresco.io.files import fresh_folder, publish

NAME = "policy"
_PATIENCE = 900.0  # seconds until it is up, on a machine that is busy
_GRACE = 30.0  # seconds that it has to end


def untied(model: Path, folder: Path) -> Path:
    """The model with a head of its own, of the same weights; the model itself where it has one.

    Args:
        model: Folder of it.
        folder: Where the other one goes, once.
    """
    if folder.is_dir():
        return folder
    policy = AutoModelForCausalLM.from_pretrained(model, dtype="auto")
    if not policy.config.tie_word_embeddings:
        return model
    policy.config.tie_word_embeddings = False
    head = policy.get_output_embeddings()
    head.weight = torch.nn.Parameter(policy.get_input_embeddings().weight.detach().clone())
    fresh = fresh_folder(folder)
    policy.save_pretrained(fresh)
    AutoTokenizer.from_pretrained(model).save_pretrained(fresh)
    publish(fresh, folder)
    return folder


@contextmanager
def serve(python: str, model: Path, log: Path, *, dtype: str, tokens: int) -> Iterator[dict[str, Any]]:
    """Run a server on a free port of this machine, and end it with its engine.

    Args:
        python: Of a virtualenv with vLLM.
        model: Folder of the policy.
        log: Where its output goes.
        dtype: Of the weights.
        tokens: Of a context.

    Yields:
        The section ``generation`` of a training's configuration.

    Raises:
        SystemExit: it does not come up.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--served-model-name", NAME]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", dtype, "--enforce-eager"]
    command += ["--max-model-len", str(tokens), "--logprobs-mode", "processed_logprobs", "--max-logprobs", "-1"]
    # vLLM 0.31 on a CPU dies of a seeded request whose prompt is read in chunks.
    command += ["--no-enable-chunked-prefill", "--max-num-batched-tokens", str(16 * tokens), "--max-num-seqs", "16"]
    environment = {**os.environ, "VLLM_SERVER_DEV_MODE": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1"}
    environment.pop("PYTHONPATH", None)  # of this virtualenv
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True, cwd=log.parent
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(process, url, log)
            yield {"engine": "vllm-server", "server": f"{url}/v1#{NAME}", "concurrency": 16}
        finally:
            _end(process)


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit(f"the vLLM server did not come up; its log is {log}")
        time.sleep(0.5)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the whole group: the engine is a child that would outlive the server."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(_GRACE)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait()
