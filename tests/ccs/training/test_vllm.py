"""Training over a real vLLM server (CPU build): weights through a folder, the same log-probabilities at every step."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs TRL: pip install -e '.[train]'")

from ccs.agent.protocol import write_prompt
from ccs.questions import load_questions
from ccs.retrieve.index import open_index
from ccs.training.agreement import log_probabilities
from ccs.training.config import TrainConfig, read_train_config
from ccs.training.demo.model import PROMPT
from ccs.training.engines import TransformersEngine, VllmServerEngine
from ccs.training.rollout import BatchedRollouts
from ccs.training.run import open_tokenizer, train
from ccs.training.sync import FolderSync
from fresco.errors import FrescoError
from tests.ccs.training.worlds import Long, warm_model
from tests.servers import vllm
from tests.waiting import PATIENCE, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.vllm,
    pytest.mark.skipif(vllm.python() is None, reason=vllm.HOW_TO_INSTALL),
]

# vLLM 0.31 on a CPU dies of a seeded request whose prompt is read in chunks.
OPTIONS = ["--no-enable-chunked-prefill", "--max-model-len", "512", "--max-num-batched-tokens", "16384"]
STEPS = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world and a warmed-up model."""
    import torch

    folder = tmp_path_factory.mktemp("vllm")
    torch.set_num_threads(1)
    warm_model(folder, 60, num_attention_heads=3, num_key_value_heads=3)  # vLLM knows heads of 32 on a CPU
    return folder


@pytest.fixture(scope="module", autouse=True)
def development_mode() -> Iterator[None]:
    before = os.environ.get("VLLM_SERVER_DEV_MODE")
    os.environ["VLLM_SERVER_DEV_MODE"] = "1"
    yield
    os.environ.pop("VLLM_SERVER_DEV_MODE") if before is None else None


@pytest.fixture(scope="module")
def server(folder: Path, development_mode: None) -> Iterator[str]:
    with vllm.serve(folder / "model", ["--served-model-name", "policy", *OPTIONS], folder / "server.log") as url:
        yield url


def config_of(folder: Path, url: str, *changes: str) -> TrainConfig:
    return read_train_config(
        "demo",
        [
            "demo=null",
            f"model.path={folder / 'model'}",
            f"agent.prompt={folder / 'prompt.txt'}",
            f"data={{train: [{folder / 'train.jsonl'}], held_out: [{folder / 'held_out.jsonl'}], "
            f"held_out_limit: 6, retriever: {folder / 'index'}}}",
            f"generation={{engine: vllm-server, server: '{url}', tolerance: 1.0e-4, patience: {2 * PATIENCE}}}",
            f"optimization.steps={STEPS}",
            "optimization.questions_per_step=2",
            "optimization.group=4",
            "optimization.micro_batch=8",
            "optimization.learning_rate=1e-3",
            "agent.turn_tokens=24",
            "keep.evaluate_every=6",
            "keep.save_every=4",
            "keep.collapse=0",
            *changes,
        ],
    )


def test_the_servers_log_probabilities_are_the_trainers_at_every_step(
    folder: Path, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a renewal the server holds the step before, which differs; after it the two agree."""
    after: list[float] = []
    before: list[float] = []
    push = FolderSync._push

    def watched(self: FolderSync, trainer: Any, *unchanged: Any) -> None:
        before.append(self._compare(log_probabilities(trainer, self._probe)))
        push(self, trainer, *unchanged)
        after.append(self.difference)

    monkeypatch.setattr(FolderSync, "_push", watched)
    outcome = train(config_of(folder, server), tmp_path / "out", rewards=[(1.0, Long())])
    assert outcome.steps == STEPS
    # The proof by the changed head, the first policy again, and one renewal a step.
    assert len(after) >= STEPS + 1
    assert max(after) < 1e-4
    assert before[0] > 1e-2 and before[1] > 1e-2, "the changed head was not seen"
    assert sum(difference > 1e-4 for difference in before) > STEPS / 2, "the weights hardly moved"
    rows = [json.loads(line) for line in (tmp_path / "out" / "steps.jsonl").read_text().splitlines()]
    differences = [row["sampling/sampling_logp_difference/max"] for row in rows]
    assert max(differences) < 1e-3, "tokens were sampled by other weights than those that are trained"


def test_raw_log_probabilities_at_another_temperature_stop_the_training(
    folder: Path, server: str, tmp_path: Path
) -> None:
    """This server gives them as the model has them, which the ratio of the loss would take for another policy."""
    config = config_of(folder, server, "generation.temperature=0.6")
    with pytest.raises(FrescoError, match="start vLLM with --logprobs-mode processed_logprobs"):
        train(config, tmp_path / "out", rewards=[(1.0, Long())])


def test_greedy_rollouts_agree_with_transformers(folder: Path, server: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    config = config_of(folder, server)
    tokenizer = open_tokenizer(config)
    model = AutoModelForCausalLM.from_pretrained(folder / "model")
    trainer: Any = _trainer(model)
    questions = [*load_questions(list(config.data.train)), *load_questions(list(config.data.held_out))]
    probe = tokenizer.encode(write_prompt("search", questions[0].text, PROMPT))
    sync = FolderSync(config.generation, tmp_path / "weights", probe)
    found = []
    for engine in (
        VllmServerEngine(tokenizer, config.generation, sync),
        TransformersEngine(tokenizer, replace(config.generation, batch=8)),
    ):
        engine.prepare(trainer)
        roller = BatchedRollouts(engine, open_index(folder / "index"), tokenizer, config.agent, template=PROMPT)
        found.append(roller.roll([(question, 0) for question in questions], greedy=True))
    for one, other in zip(*found, strict=True):
        assert one.ids == other.ids and one.mask == other.mask
        assert [turn.text for turn in one.trajectory.turns] == [turn.text for turn in other.trajectory.turns]
    assert any(rollout.trajectory.searches for rollout in found[0])


def _trainer(model: Any) -> Any:
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    return SimpleNamespace(
        model=model,
        model_wrapped=model,
        accelerator=accelerator,
        args=SimpleNamespace(ds3_gather_for_generation=True),
        state=SimpleNamespace(global_step=0),
    )


def test_another_model_is_refused(folder: Path, server: str, tmp_path: Path) -> None:
    """The server reloads nothing where it looks into another folder than the trainer writes to."""
    stale = tmp_path / "stale"
    import shutil

    shutil.copytree(folder / "model", stale)
    config = config_of(folder, server, f"generation.served_folder={stale}")
    with pytest.raises(FrescoError, match="holds other weights than the trainer after they were sent"):
        train(config, tmp_path / "out")


def test_a_server_that_dies_and_returns_is_waited_for(folder: Path, tmp_path: Path, monkeypatch: Any) -> None:
    said: list[str] = []
    with vllm.serve(folder / "model", ["--served-model-name", "policy", *OPTIONS], tmp_path / "one.log") as url:
        port = url.rpartition(":")[2]
        result: list[Any] = []
        out = tmp_path / "out"

        def work() -> None:
            try:
                result.append(
                    train(
                        config_of(folder, url, "optimization.steps=30"), out, rewards=[(1.0, Long())], tell=said.append
                    )
                )
            except BaseException as error:
                result.append(error)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        steps = out / "steps.jsonl"
        wait_until(lambda: result or (steps.exists() and len(steps.read_text().splitlines()) >= 5))
        assert not result, result
        pids = subprocess.check_output(["pgrep", "-f", "--", f"--port {port}"], text=True).split()
        for pid in pids:
            os.kill(int(pid), signal.SIGKILL)
        wait_until(lambda: any("waiting for" in line for line in said))
    monkeypatch.setattr(vllm, "_free_port", lambda: int(port))
    with vllm.serve(folder / "model", ["--served-model-name", "policy", *OPTIONS], tmp_path / "two.log"):
        thread.join(2 * PATIENCE)
    assert result and not isinstance(result[0], BaseException), (result, said)
    assert result[0].steps == 30
    rows = [json.loads(line) for line in (out / "steps.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 31))
    assert max(row["sampling/sampling_logp_difference/max"] for row in rows) < 1e-3


@pytest.mark.parametrize("name", ["weights_reach", "weights_that_do_not_arrive"])
def test_vllm_in_the_trainers_process(name: str) -> None:
    python = str(vllm.python())
    if subprocess.run([python, "-c", "import pytest, trl"], check=False, capture_output=True).returncode:
        pytest.skip(f"vLLM's virtualenv needs TRL beside it: {python} -m pip install -e '.[train]' pytest")
    here = Path(__file__)
    command = [python, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "-q", "-k", name]
    done = subprocess.run(
        [*command, str(here.with_name("test_vllm_inside.py"))],
        cwd=here.parents[3],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(here.parents[3])},
        capture_output=True,
        text=True,
        timeout=4 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "1 passed" in done.stdout, done.stdout[-500:]


def test_a_server_that_stays_away_stops_the_run(folder: Path, tmp_path: Path) -> None:
    config = config_of(folder, "http://127.0.0.1:9", "generation.patience=1")
    with pytest.raises(FrescoError, match="was away for 1 s"):
        train(config, tmp_path / "out")


if sys.platform != "linux":
    pytestmark.append(pytest.mark.skip(reason="ends servers by pgrep"))
