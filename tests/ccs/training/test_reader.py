"""The demo's own reconstruction: batches equal single texts, and the preset trains with it from end to end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs torch: pip install -e '.[test]'")

import torch

from ccs.agent.trajectory import Hit, Trajectory, Turn
from ccs.cli import main
from ccs.rewards.bottleneck import CHARACTERS, Step, Trace
from ccs.rewards.likelihood import BEFORE_QUESTION, Request
from ccs.training.config import read_train_config
from ccs.training.demo import prepare
from ccs.training.demo.model import make_model, make_tokenizer
from ccs.training.demo.reader import FOLDER, Reader, Reconstruction, open_reconstruction
from ccs.training.demo.world import Fact, make_world
from ccs.training.run import train
from fresco.errors import FrescoError

SMALL = ("optimization.steps=2", "demo.warm_up_steps=5", "demo.people=12", "demo.held_out=2", "keep.preflight=0")

FEW = (
    "keep.evaluate_every=2",
    "optimization.questions_per_step=2",
    "optimization.group=4",
    "optimization.micro_batch=8",
)


def trace(*pages: str) -> Trace:
    return Trace((Step("[PERSON]", tuple(Hit(page, page, None) for page in pages)),))


def test_scores_in_batches_are_those_of_single_texts() -> None:
    world = make_world(12, 4, 0)
    tokenizer = make_tokenizer(world)
    model = make_model(tokenizer, 1).eval()
    requests = [
        Request(BEFORE_QUESTION, trace(*(fact.page for fact in world.facts[:number])), fact.question)
        for number, fact in enumerate(world.facts[:7])
    ]
    together = Reader(model, tokenizer).score([*requests, requests[2]], CHARACTERS)
    assert list(together) == requests
    for request, (mean, count) in together.items():
        before = tokenizer.encode(request.template.replace("{trace}", request.trace.render(CHARACTERS)))
        after = tokenizer.encode(request.text)
        with torch.no_grad():
            logprobs = model(input_ids=torch.tensor([before + after])).logits[0].log_softmax(-1)
        wanted = [float(logprobs[len(before) - 1 + place, token]) for place, token in enumerate(after)]
        assert count == len(after)
        assert mean == pytest.approx(sum(wanted) / len(wanted), abs=1e-5)


def test_the_preset_trains_with_the_reader_from_end_to_end(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    config = read_train_config("demo-reconstruction", [*SMALL, *FEW])
    outcome = train(config, tmp_path / "run")
    assert outcome.steps == 2
    assert (tmp_path / "run" / "demo" / FOLDER / "config.json").exists()
    rows = [json.loads(line) for line in (tmp_path / "run" / "steps.jsonl").read_text().splitlines()]
    assert all(row["agent/reward/mean"] is not None for row in rows if "agent/reward/mean" in row)
    assert "ccs.training.demo.reader:Reconstruction" in (tmp_path / "run" / "card.md").read_text()


def test_without_a_demo_the_reward_says_what_to_take(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FrescoError, match="take the preset demo-reconstruction"):
        Reconstruction(tmp_path / "rewards.sqlite")
    config = tmp_path / "reward.yaml"
    config.write_text("reward: ccs.training.demo.reader:Reconstruction\n")
    (tmp_path / "t.jsonl").write_text("")
    assert main(["reward", "--trajectories", str(tmp_path / "t.jsonl"), "--config", str(config), "--out", "x"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_the_right_page_tells_of_the_question_and_no_other_does(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    config = prepare(read_train_config("demo-reconstruction", ["demo.warm_up_steps=500"]), tmp_path, print)
    assert config.demo is not None
    world = make_world(config.demo.people, config.demo.held_out, config.demo.seed)
    reward = open_reconstruction(tmp_path / FOLDER)
    told = {"right": 0.0, "same person": 0.0, "another": 0.0}
    facts = world.held_out[:60]
    for number, fact in enumerate(facts):
        other = next(each for each in facts if each.name != fact.name and each.relation == fact.relation)
        same = next(each for each in facts[number // 3 * 3 :] if each.name == fact.name and each != fact)
        values = reward.score([found(fact, page) for page in (fact.page, same.page, other.page)])
        for name, value in zip(told, values, strict=True):
            assert value is not None
            told[name] += value / len(facts)
    assert told["right"] > told["same person"] + 0.3 and told["right"] > told["another"] + 0.3, told


def found(fact: Fact, page: str) -> Trajectory:
    hit = Hit(page, page, None)
    turns = (Turn("<search>", query=f"{fact.name} {fact.relation}", hits=(hit,)), Turn("<answer>", answer="x"))
    return replace(Trajectory("q", fact.question, 0, (), "answer"), turns=turns)
