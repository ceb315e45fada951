"""Rollouts over a real vLLM server (CPU build) with a tiny model, two client processes at a time.

The model is random but for one thing that it is taught in seconds: where a turn begins it mostly searches.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccs.agent.trajectory import STOPS
from ccs.rollouts.file import read_trajectories
from tests import tiny_models
from tests.ccs.taught import teach
from tests.servers import retrieve_api, vllm
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.skipif(vllm.python() is None, reason=vllm.HOW_TO_INSTALL),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("vllm")
    model = teach(tiny_models.causal_lm(folder / "model", max_position_embeddings=8192), _BEFORE, [_SAYS])
    # vLLM 0.31 on a CPU dies of a seeded request whose prompt is read in chunks ("CPU Generator does not use offset").
    whole_prompts = ["--no-enable-chunked-prefill", "--max-model-len", "4096", "--max-num-batched-tokens", "16384"]
    with vllm.serve(model, ["--served-model-name", "tiny", *whole_prompts], folder / "server.log") as url:
        yield url


_SAYS = "<search>head coach of the club</search>"
_BEFORE = (
    "<|im_start|>assistant\n",
    "Who leads club number {}?\n",
    "</information>\n\n",
    "<answer>the answer</answer>.\n\n",
)


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    rows = [{"id": f"q{n}", "question": f"Who leads club number {n}?", "answers": ["x"]} for n in range(200)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def start(url: str, retriever: str, questions: Path, out: Path, *more: object) -> subprocess.Popen[str]:
    words = ["rollout", "--questions", questions, "--model", f"{url}/v1#tiny", "--retriever", retriever, "--out", out]
    words += ["--max-tokens", 32, "--token-budget", 4096, "--concurrency", 32, *more]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    return subprocess.Popen(
        [sys.executable, "-m", "ccs", *map(str, words)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_hundred_questions_four_samples_two_processes(server: str, questions: Path, tmp_path: Path) -> None:
    with retrieve_api.serve(lambda query, k: [f"On {query}"] * k) as retriever:
        one = start(server, retriever.url, questions, tmp_path / "a.jsonl", "--samples", 4)
        other = start(*(server, retriever.url, questions, tmp_path / "b.jsonl"), "--samples", 1, "--api", "completions")
        said = [process.communicate(timeout=1800) for process in (one, other)]
    assert (one.returncode, other.returncode) == (0, 0), said
    for name, samples in (("a", 4), ("b", 1)):
        trajectories = read_trajectories(tmp_path / f"{name}.jsonl")
        assert [(each.question_id, each.sample) for each in trajectories] == [
            (f"q{n}", sample) for n in range(200) for sample in range(samples)
        ]
        assert {each.stop for each in trajectories} <= set(STOPS) - {"error"}
        assert all(turn.prompt_tokens and turn.completion_tokens for each in trajectories for turn in each.turns)
        searches = [turn for each in trajectories for turn in each.searches]
        assert len(searches) > 200 * samples
        assert all([hit.contents for hit in turn.hits] == [f"On {turn.query}"] * 3 for turn in searches)
        assert all(turn.text.endswith("</search>") for turn in searches)


def test_an_assistant_message_is_gone_on_with(server: str, questions: Path, tmp_path: Path) -> None:
    with retrieve_api.serve(lambda query, k: [f"On {query}"] * k) as retriever:
        process = start(
            *(server, retriever.url, questions, tmp_path / "c.jsonl", "--limit", 3), "--api", "continue", "--seed", 2
        )
        _, err = process.communicate(timeout=2 * PATIENCE)
    assert process.returncode == 0, err
    first = read_trajectories(tmp_path / "c.jsonl")[0]
    # Each turn's context is the whole of the one before, and what was told: it grows by more than was generated.
    sizes = [turn.prompt_tokens or 0 for turn in first.turns]
    assert sizes == sorted(sizes)
    assert len(sizes) == 5
