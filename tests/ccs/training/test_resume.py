"""kill -9 amid a step: the same command goes on, and ends in the very weights of a run that nobody disturbed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs TRL: pip install -e '.[train]'")

from tests.ccs.training import launch
from tests.ccs.training.worlds import warm_model
from tests.waiting import PATIENCE

ROOT = Path(__file__).parents[3]
_STEPS = 8


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kill")
    warm_model(folder, 60)
    content = {
        "model": {"path": str(folder / "model")},
        "data": {
            "train": [str(folder / "train.jsonl")],
            "held_out": [str(folder / "held_out.jsonl")],
            "held_out_limit": 4,
            "retriever": str(folder / "index"),
        },
        "agent": {"layout": "plain", "prompt": str(folder / "prompt.txt"), "turns": 2, "top_k": 1, "turn_tokens": 16},
        "optimization": {
            "steps": _STEPS,
            "questions_per_step": 2,
            "group": 4,
            "micro_batch": 4,
            "learning_rate": 1e-3,
            "kl": 0.001,
        },
        # What the warmed-up model earns differs within groups, so that steps move the weights.
        "rewards": [{"reward": "majority-vote", "gates": {"answer": 0, "search": 0}}],
        "keep": {"save_every": 2, "evaluate_every": 3, "collapse": 0},
    }
    path = folder / "config.yaml"
    path.write_text(json.dumps(content))
    return path


def rows(out: Path, name: str) -> list[dict[str, Any]]:
    lines = (out / name).read_text().splitlines()
    return [
        {key: value for key, value in json.loads(line).items() if "seconds" not in key and key != "step_time"}
        for line in lines
    ]


def test_killed_and_gone_on_is_the_same_as_undisturbed(config: Path, tmp_path: Path) -> None:
    plain, killed = tmp_path / "plain", tmp_path / "killed"
    command = [sys.executable, "-m", "tests.ccs.training.gone_on", str(config), str(plain), str(killed)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=6 * PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    mine, other = rows(killed, "steps.jsonl"), rows(plain, "steps.jsonl")
    assert [row["step"] for row in mine] == list(range(1, _STEPS + 1))
    assert [row["asked"] for row in mine] == [row["asked"] for row in other]
    for one, two in zip(mine, other, strict=True):
        assert one == two
    assert sum(row["grad_norm"] > 0 for row in mine) > _STEPS / 2, "hardly a step moved the weights"
    assert rows(killed, "evaluations.jsonl") == rows(plain, "evaluations.jsonl")
    for name in ("final", "best"):
        weights = [(out / name / "model.safetensors").read_bytes() for out in (killed, plain)]
        assert weights[0] == weights[1], name


@pytest.mark.slow
def test_two_processes_of_which_one_is_killed_amid_a_save_end_in_the_same_weights(config: Path, tmp_path: Path) -> None:
    few = ("keep.checkpoints=1", "keep.preflight=0", "keep.audited=0", "optimization.steps=4")
    command = ["train", "--config", str(config), *(word for each in few for word in ("--set", each)), "--out"]
    script = Path(__file__).with_name("killed.py")
    said = launch.run([script, tmp_path, "4", *command, tmp_path / "killed"])
    assert "going on from checkpoint-2" in said
    assert said.count("holds a run with another optimization.seed") == 1, "each process says the same"
    for name in ("steps.jsonl", "evaluations.jsonl"):
        assert rows(tmp_path / "killed", name) == rows(tmp_path / "killed-plain", name)
    weights = [(tmp_path / name / "final" / "model.safetensors").read_bytes() for name in ("killed", "killed-plain")]
    assert weights[0] == weights[1]
    seen = [json.loads(line) for line in (tmp_path / "rank-1.jsonl").read_text().splitlines()]
    assert [row["step"] for row in seen] == [2, 4, 4] and {row["world"] for row in seen} == {2}
