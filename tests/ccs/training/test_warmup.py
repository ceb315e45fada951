"""`ccs warmup`: what is imitated and what is not, tokens as in training, kill -9, adapters, bad input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs TRL: pip install -e '.[train]'")

import ccs
from ccs.agent.environment import Environment
from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.cli import main
from ccs.retrieve.index import open_index
from ccs.rewards.baselines import exact_match_reward
from ccs.training.config import read_train_config
from ccs.training.demo.model import PROMPT, make_tokenizer
from ccs.training.rollout import BatchedRollouts
from ccs.training.settings import AgentConfig
from ccs.training.traces import replay, select
from ccs.training.warmup import WarmUpPlan, _Run
from fresco.errors import FrescoError
from fresco.terminal.progress import no_progress
from tests.ccs.training import launch
from tests.ccs.training.worlds import Long, Scripted, small_world, warm_model

ROOT = Path(__file__).parents[3]
AGENT = AgentConfig(layout="plain", turns=2, top_k=1, turn_tokens=40, context_tokens=320)


def trajectory(index: Any, question: Question, sample: int, turns: list[str]) -> Trajectory:
    environment = Environment(index, AGENT.limits(), template=PROMPT)
    environment.reset(question, sample=sample)
    for text in turns:
        environment.step(text)
    return environment.trajectory


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A little model that asks badly, its configuration, and rollouts of somebody who asks well, and others."""
    folder = tmp_path_factory.mktemp("warmup")
    warm_model(folder, 20)
    index = open_index(folder / "index")
    facts, _ = small_world(folder)
    rows = []
    for number, fact in enumerate(facts.facts[:20]):
        question = Question(f"q{number}", fact.question)
        good = [f"<search> {fact.name} {fact.relation}</search>", f"<answer> {fact.value}</answer>"]
        rows += [
            trajectory(index, question, 0, ["<answer> plum</answer>"]),  # has not searched: gated to nothing
            trajectory(index, question, 1, good),
            trajectory(index, question, 2, ["<think> well", *good]),
        ]
    (folder / "rollouts.jsonl").write_text("".join(f"{each.to_json()}\n" for each in rows))
    content = {
        "model": {"path": "model"},
        "data": {"train": ["train.jsonl"], "held_out": ["held_out.jsonl"], "retriever": "index"},
        "agent": {"prompt": "prompt.txt", **{name: getattr(AGENT, name) for name in (
            "layout", "turns", "top_k", "turn_tokens", "context_tokens"
        )}},
        "optimization": {"micro_batch": 4},
        "rewards": [{"reward": "cycle", "evidence": {"pages": 1}}],
    }  # fmt: skip
    (folder / "config.yaml").write_text(json.dumps(content))
    return folder


def weights(folder: Path) -> bytes:
    return (folder / "model" / "model.safetensors").read_bytes()


def test_a_replayed_trace_has_the_tokens_of_a_rollout(world: Path) -> None:
    facts, index = small_world(world)
    tokenizer = make_tokenizer(facts)
    fact = facts.facts[0]

    def say(context: str, turn: int) -> str:
        told = ["<search> nobody at all</search>", f"<think> so</think><search> {fact.name}</search>"]
        return told[turn] if turn < 2 else "<answer> the harp</answer>"

    roller = BatchedRollouts(Scripted(tokenizer, say), index, tokenizer, AGENT, template=PROMPT)
    rollout = roller.roll([(Question("q", fact.question), 0)])[0]
    trace = replay(rollout.trajectory, 0.5, tokenizer, AGENT, PROMPT)
    assert not isinstance(trace, str) and len(rollout.trajectory.turns) == 3
    assert trace.ids == rollout.prompt_ids + rollout.ids
    assert trace.mask == [0] * len(rollout.prompt_ids) + rollout.mask
    said = tokenizer.decode([token for token, own in zip(trace.ids, trace.mask, strict=True) if own])
    assert "the harp" in said and fact.value not in said  # the page is read, never learned


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"turns": 0}, "more searches than agent.turns allows"),
        ({"context_tokens": 20}, "longer than agent.context_tokens"),
        ({"turn_tokens": 2}, "a turn is longer than agent.turn_tokens"),
    ],
)
def test_what_does_not_fit_the_training_is_left_out(world: Path, changes: dict[str, int], reason: str) -> None:
    facts, index = small_world(world)
    good = trajectory(index, Question("q", "Who?"), 0, ["<search> a</search>", "<answer> b</answer>"])
    assert replay(good, 1.0, make_tokenizer(facts), replace(AGENT, **changes), PROMPT) == reason


def test_the_best_are_chosen_and_the_others_counted(world: Path) -> None:
    index = open_index(world / "index")
    one, other = Question("one", "Who?"), Question("other", "What?")
    quick, slow = ["<answer> b</answer>"], ["<search> a</search>", "<answer> b</answer>"]
    rows = [
        trajectory(index, one, 0, slow),
        trajectory(index, one, 1, quick),  # as good, and shorter
        trajectory(index, one, 2, quick),
        trajectory(index, other, 0, ["<search>"] * 3),
        trajectory(index, other, 1, ["<search> a</search>"] * 3),
        replace(trajectory(index, other, 2, quick), stop="error"),
        trajectory(index, other, 3, quick),
        trajectory(index, other, 4, ["so?", "<answer> b</answer>"]),
    ]
    kept, left = select(rows, [0.9, 0.9, 0.5, 0.9, 0.9, 0.9, None, 0.9], best=1, least=None)
    assert [(each.question_id, each.sample, reward) for each, reward in kept] == [("one", 1, 0.9)]
    assert left == {
        "the reward is too low": 1,
        "without an answer": 2,
        "ended with an error": 1,
        "without a reward": 1,
        "with a malformed turn": 1,
        "others of their question are better": 1,
    }
    assert len(select(rows, [0.9] * 8, best=2, least=0.0)[0]) == 3


def test_a_policy_learns_the_good_traces_alone(world: Path, tmp_path: Path) -> None:
    options = {"epochs": 3, "learning_rate": 2e-3, "batch": 4, "progress": False}
    result = ccs.warmup(world / "config.yaml", world / "rollouts.jsonl", tmp_path / "out", **options)
    assert (result.traces, result.held_out) == (18, 2)
    assert result.left_out == {"the reward is too low": 20, "with a malformed turn": 20}
    assert result.loss_after < result.loss_before - 0.2  # on questions that were not learned from
    traces = [json.loads(line) for line in (tmp_path / "out" / "traces.jsonl").read_text().splitlines()]
    assert {each["sample"] for each in traces} == {1}
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["questions"] == 18 and record["loss_after"] == result.loss_after
    before = weights(tmp_path / "out")
    again = ccs.warmup(world / "config.yaml", world / "rollouts.jsonl", tmp_path / "out", **options)
    assert again == result and weights(tmp_path / "out") == before
    # The folder is a policy for `ccs train`.
    config = read_train_config(str(world / "config.yaml"), [f"model.path={result.model}", "optimization.steps=1"])
    config = replace(config, optimization=replace(config.optimization, questions_per_step=1, group=2, micro_batch=2))
    outcome = ccs.train(
        replace(config, keep=replace(config.keep, preflight=0)), tmp_path / "trained", rewards=[(1.0, Long())]
    )
    assert outcome.steps == 1


#: ``ccs``, which dies as soon as its first checkpoint is whole.
_DIES = """
import os, signal, sys
from ccs.cli import main
from ccs.training.journal import Journal
seal = Journal.seal
def sealed(*arguments):
    seal(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
Journal.seal = sealed
sys.exit(main())
"""


@pytest.mark.slow
def test_killed_and_gone_on_is_the_same_as_undisturbed(world: Path, tmp_path: Path) -> None:
    plain, killed = tmp_path / "plain", tmp_path / "killed"

    def warmed_up(out: Path, *program: str) -> int:
        command = [sys.executable, *program, "warmup", "--config", str(world / "config.yaml"), "--epochs", "5"]
        command += ["--trajectories", str(world / "rollouts.jsonl"), "--learning-rate", "1e-3", "--batch", "4"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        return subprocess.run([*command, "--out", str(out)], cwd=ROOT, env=environment, check=False).returncode

    assert warmed_up(plain, "-m", "ccs") == 0
    assert warmed_up(killed, "-c", _DIES) == -signal.SIGKILL
    assert not (killed / "run.json").exists()
    assert warmed_up(killed, "-m", "ccs") == 0
    assert weights(killed) == weights(plain)
    both = [json.loads((folder / "run.json").read_text()) for folder in (plain, killed)]
    assert both[0]["loss_after"] == both[1]["loss_after"]


@pytest.mark.slow
def test_two_processes_end_in_the_weights_of_one_also_where_one_of_them_is_killed(world: Path, tmp_path: Path) -> None:
    command = ["--config", str(world / "config.yaml"), "--trajectories", str(world / "rollouts.jsonl"), "--epochs", "4"]
    command += ["--learning-rate", "1e-3", "--batch", "6", "--set", "keep.checkpoints=1", "--out"]
    script = Path(__file__).with_name("killed.py")
    said = launch.run([script, tmp_path, "5", "warmup", *command, tmp_path / "two"])
    assert said.count("18 traces imitated") == 1, "one process speaks"
    assert said.count("holds a warm-up with another optimization") == 1
    assert "report it" not in said, "a process that lost the other took that for a fault of its own"
    pids = set()
    for rank in range(2):
        rows = [json.loads(line) for line in (tmp_path / f"rank-{rank}.jsonl").read_text().splitlines()]
        assert {(row["world"], row["backend"]) for row in rows} == {(2, "gloo")}
        # The checkpoint that was not whole is gone, and the one that it was to replace was still there.
        assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, *range(5, 13)]
        pids |= {row["pid"] for row in rows}
    assert len(pids) == 4
    assert [path.name for path in (tmp_path / "two" / "checkpoints").iterdir()] == ["checkpoint-12"]
    one = ccs.warmup(
        world / "config.yaml",
        world / "rollouts.jsonl",
        tmp_path / "one",
        epochs=4,
        learning_rate=1e-3,
        batch=6,
        progress=False,
    )
    first, alone, shared = (state(folder) for folder in (world / "model", one.model, tmp_path / "two" / "model"))
    moved, apart = (sum(float((alone[n] - own[n]).abs().sum()) for n in alone) for own in (first, shared))
    assert apart < 0.01 * moved, (apart, moved)  # the order of sums, which Adam makes more of
    record = json.loads((tmp_path / "two" / "run.json").read_text())
    assert record["loss_after"] == pytest.approx(one.loss_after, abs=1e-3)


def state(folder: Path) -> dict[str, Any]:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


def test_a_batch_that_processes_cannot_share_is_refused(world: Path, tmp_path: Path) -> None:
    config = read_train_config(str(world / "config.yaml"))

    def run(batch: int) -> dict[str, int]:
        return _Run(config, tmp_path, WarmUpPlan(batch=batch), SimpleNamespace(num_processes=4), no_progress)._sizes(18)

    with pytest.raises(FrescoError, match="batch is 6: no multiple of 4 processes"):
        run(6)
    assert run(24) == {
        "micro": 3,
        "accumulation": 2,
        "steps": 2,
    }  # 4 at a time are allowed, and 6 are a process's share


def test_an_adapter_is_merged_into_a_plain_model(world: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="needs peft: pip install -e '.[train]'")
    from transformers import AutoModelForCausalLM

    changed = ["model.lora_rank=4"]
    result = ccs.warmup(
        world / "config.yaml",
        world / "rollouts.jsonl",
        tmp_path / "out",
        set=changed,
        learning_rate=1e-2,
        progress=False,
    )
    merged = AutoModelForCausalLM.from_pretrained(result.model).state_dict()
    first = AutoModelForCausalLM.from_pretrained(world / "model").state_dict()
    assert merged.keys() == first.keys()
    assert any(not merged[name].equal(first[name]) for name in first)


def test_a_damaged_file_is_one_line_and_no_secret_is_kept(world: Path, tmp_path: Path) -> None:
    server = "http://user:Canary-Pw-4711@127.0.0.1:9/v1?token=canary.tok~0815#m"
    changed = [f"rewards=[{{reward: likelihood, server: '{server}'}}]"]
    out = tmp_path / "out"
    options = {"set": changed, "rewards": [(1.0, Long())], "least": -1.0, "epochs": 1, "progress": False}
    result = ccs.warmup(world / "config.yaml", world / "rollouts.jsonl", out, **options)
    assert result.traces and json.loads((out / "run.json").read_text())["rewards"][0]["reward"] == "likelihood"
    for path in out.rglob("*"):
        if path.is_file():
            assert b"Canary-Pw-4711" not in path.read_bytes() and b"canary.tok~0815" not in path.read_bytes(), path
    for name in ("run.json", "identity.json"):
        (out / name).write_text("{")
        with pytest.raises(FrescoError, match=f"{name}: is damaged .*give another --out, or remove this folder"):
            ccs.warmup(world / "config.yaml", world / "rollouts.jsonl", out, **options)


def test_bad_input_is_one_line(world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, rollouts = world / "config.yaml", world / "rollouts.jsonl"
    with pytest.raises(FrescoError, match="reads gold answers"):
        ccs.warmup(config, rollouts, tmp_path / "a", rewards=[(1.0, exact_match_reward())], progress=False)
    with pytest.raises(FrescoError, match="the demo warms its own model up"):
        ccs.warmup("demo", rollouts, tmp_path / "a", progress=False)
    with pytest.raises(FrescoError, match=r"no trajectory is left to imitate \(40 the reward is too low"):
        ccs.warmup(config, rollouts, tmp_path / "b", least=5.0, progress=False)
    command = ["warmup", "--config", str(config), "--trajectories", str(rollouts), "--out", str(tmp_path / "b")]
    assert main(command) == 2
    assert "another plan" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([*command[:-1], str(tmp_path / "c"), "--learning-rate", "7"])
    assert "7 is not above 0 and at most 1" in capsys.readouterr().err
    with pytest.raises(FrescoError, match=r"learning_rate is 7\.0"):
        ccs.warmup(config, rollouts, tmp_path / "c", learning_rate=7.0, progress=False)
