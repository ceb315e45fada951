"""vLLM in the trainer's own process, on a CPU.

These run in vLLM's virtualenv, which needs TRL beside it; :mod:`tests.ccs.training.test_vllm` starts them there, each
in a process of its own, since vLLM leaves its process group behind.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("vllm", reason="these run in vLLM's own virtualenv, by tests/ccs/training/test_vllm.py")

from trl.generation.vllm_generation import VLLMGeneration

from ccs.training.agreement import TOLERANCES
from ccs.training.config import TrainConfig, read_train_config
from ccs.training.run import train
from fresco.errors import FrescoError
from tests.ccs.training.worlds import Long, warm_model

STEPS = 8


@pytest.fixture(autouse=True)
def _weights_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU with bfloat16 instructions packs vLLM's weights and drops what new ones are written to; a GPU keeps it."""
    monkeypatch.setattr("vllm._custom_ops._supports_onednn", False)
    monkeypatch.setattr("vllm.model_executor.layers.utils.check_cpu_sgl_kernel", lambda *_: False)


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    warm_model(tmp_path, 60, num_attention_heads=3, num_key_value_heads=3)  # vLLM knows heads of 32 on a CPU
    return read_train_config(
        "demo",
        [
            "demo=null",
            f"model.path={tmp_path / 'model'}",
            f"agent.prompt={tmp_path / 'prompt.txt'}",
            f"data={{train: [{tmp_path / 'train.jsonl'}], held_out: [{tmp_path / 'held_out.jsonl'}], "
            f"held_out_limit: 6, retriever: {tmp_path / 'index'}}}",
            "generation={engine: vllm-colocate}",
            f"optimization.steps={STEPS}",
            "optimization.questions_per_step=2",
            "optimization.group=4",
            "optimization.micro_batch=8",
            "optimization.learning_rate=1e-2",
            "agent.turn_tokens=24",
            "keep.evaluate_every=4",
            "keep.save_every=4",
            "keep.collapse=0",
        ],
    )


def test_the_weights_reach_vllm_at_every_step(config: TrainConfig, tmp_path: Path) -> None:
    outcome = train(config, tmp_path / "out", rewards=[(1.0, Long())])
    assert outcome.steps == STEPS
    assert (tmp_path / "out" / "card.md").exists()
    rows = [json.loads(line) for line in (tmp_path / "out" / "steps.jsonl").read_text().splitlines()]
    assert sum(row["grad_norm"] > 0 for row in rows) > STEPS / 2, "hardly a step moved the weights"
    # vLLM computes in bfloat16 here, the trainer in float32.
    assert max(row["sampling/sampling_logp_difference/max"] for row in rows) < TOLERANCES["bfloat16"]


def test_weights_that_do_not_arrive_are_refused(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(VLLMGeneration, "sync_weights", lambda self: None)
    with pytest.raises(FrescoError, match="vLLM holds other weights than the trainer after they were sent"):
        train(config, tmp_path / "out", rewards=[(1.0, Long())])
