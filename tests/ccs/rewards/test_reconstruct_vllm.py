"""Reconstruction by a real vLLM server (CPU build) with a tiny model.

The model is taught to ask one of two questions, each as likely as the other: so the samples of one trace differ.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from ccs.cli import main
from ccs.rewards.bottleneck import Bottleneck
from ccs.rewards.mask import open_masker
from ccs.rewards.reconstruct import LlmReconstructor
from ccs.rewards.similarity import TokenF1
from tests import tiny_models
from tests.ccs.rewards.trails import trail
from tests.ccs.taught import teach
from tests.servers import vllm

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.skipif(vllm.python() is None, reason=vllm.HOW_TO_INSTALL),
]
RIGHT, WRONG = "Who leads the club?", "Where is that blue lake?"
SAMPLES = 8
GROUP = [
    trail((f"Club {n}", [f'"Club {n}"\nClub {n} plays in a hall. It has a coach.']), question=RIGHT, name=f"q{n}")
    for n in range(60)
]
#: The same trace as the first's, and no trace.
FREE = [
    trail(("Club 0", [GROUP[0].searches[0].hits[0].contents]), question=RIGHT, name="q0", sample=1, answer="else"),
    trail(question=RIGHT, name="q0", sample=2),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("vllm")
    model = tiny_models.causal_lm(folder / "model", max_position_embeddings=8192)
    teach(model, ["<|im_start|>assistant\n"], [f"{RIGHT}<|im_end|>", f"{WRONG}<|im_end|>"])
    # vLLM 0.31 on a CPU dies of a seeded request whose prompt is read in chunks ("CPU Generator does not use offset").
    whole_prompts = ["--no-enable-chunked-prefill", "--max-model-len", "4096", "--max-num-batched-tokens", "16384"]
    with vllm.serve(model, ["--served-model-name", "tiny", *whole_prompts], folder / "server.log") as url:
        yield url


def finished(server: str) -> int:
    """Requests that the server has answered so far."""
    with urllib.request.urlopen(f"{server}/metrics") as answer:
        lines = re.findall(r"^vllm:request_success_total\{.*\} ([\d.e+]+)$", answer.read().decode(), re.MULTILINE)
    return int(sum(map(float, lines)))


def test_sixty_trajectories_eight_samples_best_mean_and_cache(server: str, tmp_path: Path) -> None:
    rollouts, cache = tmp_path / "rollouts.jsonl", tmp_path / "answers.sqlite"
    rollouts.write_text("".join(f"{each.to_json()}\n" for each in [GROUP[0], *FREE, *GROUP[1:]]))

    def reward(name: str, aggregate: str) -> tuple[bytes, int]:
        """The rewards as written, and what they asked of the server."""
        before, out, config = finished(server), tmp_path / name, tmp_path / f"{aggregate}.yaml"
        config.write_text(
            "mask: {masker: patterns}\nsimilarity: token-f1\nreconstruct: {kind: llm, temperature: 1.0, "
            f"server: '{server}/v1#tiny', samples: {SAMPLES}, aggregate: {aggregate}}}\n"
        )
        words = ["--trajectories", rollouts, "--config", config, "--cache", cache, "--out", out]
        assert main(["reward", *map(str, words)]) == 0
        return out.read_bytes(), finished(server) - before

    first, asked = reward("best.jsonl", "best")
    assert asked == SAMPLES * len(GROUP)
    assert reward("again.jsonl", "best") == (first, 0)
    second, asked = reward("mean.jsonl", "mean")
    assert asked == 0

    model = LlmReconstructor("http://127.0.0.1:9/v1#tiny", samples=SAMPLES, temperature=1.0, cache=cache)
    candidates = model.reconstruct(Bottleneck(open_masker("patterns"))(GROUP))
    model.close()
    # A seed draws much the same whatever was read, so it is the eight samples of a trace that differ.
    assert all(len(group or []) == SAMPLES and RIGHT in (group or []) for group in candidates)
    assert all(len(set(group or [])) > 1 for group in candidates)

    best, mean = ([json.loads(line)["reward"] for line in content.splitlines()] for content in (first, second))
    assert (best[1], best[2]) == (best[0], 0.0)
    f1 = [TokenF1().score([(each, RIGHT) for each in group or []]) for group in candidates]
    assert [best[0], *best[3:]] == pytest.approx([max(row) for row in f1], abs=1e-6)
    assert [mean[0], *mean[3:]] == pytest.approx([sum(row) / SAMPLES for row in f1], abs=1e-6)
