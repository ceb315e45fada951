"""Two real processes train one policy; and the demo must learn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs TRL: pip install -e '.[train]'")

from tests.ccs.training.launch import ROOT, launch
from tests.ccs.training.worlds import warm_model


def test_two_processes_share_the_work(tmp_path: Path) -> None:
    warm_model(tmp_path, 40)  # so that rollouts differ
    content = {
        "model": {"path": str(tmp_path / "model")},
        "data": {
            "train": [str(tmp_path / "train.jsonl")],
            "held_out": [str(tmp_path / "held_out.jsonl")],
            "held_out_limit": 5,  # not even: one process has more
            "retriever": str(tmp_path / "index"),
        },
        "agent": {"layout": "plain", "prompt": str(tmp_path / "prompt.txt"), "turns": 2, "top_k": 1, "turn_tokens": 16},
        "optimization": {
            "steps": 2,
            "questions_per_step": 4,
            "group": 4,
            "micro_batch": 4,
            "learning_rate": 1e-3,
        },
        "rewards": [{"reward": "tests.ccs.training.worlds:Long"}],
        "keep": {"save_every": 1, "evaluate_every": 1},
    }
    (tmp_path / "config.yaml").write_text(json.dumps(content))
    arguments = [ROOT / "tests" / "ccs" / "training" / "witnessed.py", tmp_path / "seen"]
    said = launch([*arguments, "--config", tmp_path / "config.yaml", "--out", tmp_path / "out"])
    seen = [json.loads((tmp_path / f"seen-{rank}.json").read_text()) for rank in range(2)]
    for rank, each in enumerate(seen):
        assert (each["rank"], each["world"], each["backend"]) == (rank, 2, "gloo")
        assert each["seconds"] > 900 + 1800, "they wait for each other no longer than for the rewards"
        assert each["rollouts"] > 0
    assert seen[0]["weights"] == seen[1]["weights"]
    assert said.count("step 0: held-out reward") == said.count("2 steps; held-out") == 1, "one process speaks"
    rows = [json.loads(line) for line in (tmp_path / "out" / "steps.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2]
    for number, row in enumerate(rows):
        assert len(row["asked"]) == len(set(row["asked"])) == 4
        for rank, each in enumerate(seen):
            assert each["asked"][number] == row["asked"][2 * rank : 2 * rank + 2]
    evaluations = [json.loads(line) for line in (tmp_path / "out" / "evaluations.jsonl").read_text().splitlines()]
    assert [(row["step"], row["questions"]) for row in evaluations] == [(0, 5), (1, 5), (2, 5)]
    assert (tmp_path / "out" / "card.md").exists()
    assert len((tmp_path / "out" / "held_out.jsonl").read_text().splitlines()) == 5
    assert len((tmp_path / "out" / "sampled.jsonl").read_text().splitlines()) == 20


@pytest.mark.slow
def test_the_demo_learns_without_gold(tmp_path: Path) -> None:
    """Three seeds side by side, each on one thread, by the command that the README shows."""

    def run(seed: int) -> Path:
        out = tmp_path / str(seed)
        command = [sys.executable, "-m", "ccs", "train", "--config", "demo", "--out", str(out)]
        command += ["--set", f"optimization.seed={seed}", "--set", f"demo.seed={seed}"]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=False,
            capture_output=True,
            text=True,
            timeout=1800,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return out

    with ThreadPoolExecutor() as pool:
        folders = list(pool.map(run, range(3)))
    for out in folders:
        evaluations = [json.loads(line) for line in (out / "evaluations.jsonl").read_text().splitlines()]
        first, last = evaluations[0], evaluations[-1]
        assert last["exact match"] >= first["exact match"] + 0.25
        assert last["reward"] > first["reward"]
        assert last["answered"] == 1.0
        card = (out / "card.md").read_text()
        assert "tells right from wrong: unknown" not in card
        assert "observations exchanged: good" in card
