"""``vllm:`` in this process: what is said without it, and the same scores as transformers where it is."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.rerank.registry import open_reranker
from tests.servers import vllm


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed here")
def test_the_missing_extra_is_named():
    with pytest.raises(FrescoError, match=r"run pip install 'fresco-ccs\[vllm\]'$"):
        open_reranker("vllm:ORGANISATION/NAME", Settings())


@pytest.mark.slow
@pytest.mark.vllm
@pytest.mark.skipif(vllm.python() is None, reason=vllm.HOW_TO_INSTALL)
@pytest.mark.parametrize("name", ["language", "pairs", "decoder", "likelihood", "sorting", "fit"])
def test_inside(name):
    """The tests of test_vllm_inside.py, each in a process of its own."""
    python = str(vllm.python())
    if subprocess.run([python, "-c", "import pytest, sentence_transformers"], check=False).returncode:
        pytest.skip(f"vLLM's virtualenv needs this package beside it: {python} -m pip install -e '.[models]' pytest")
    here = Path(__file__)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    environment["PYTHONPATH"] = str(here.parents[2])
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts="]
    done = subprocess.run(
        [*command, "-k", name, str(here.with_name("test_vllm_inside.py"))],
        env=environment,
        cwd=here.parents[2],
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
