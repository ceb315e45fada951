"""TRL's trainer around our rollouts: what is masked has no gradient; what cannot be used stops with a clear line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs TRL: pip install -e '.[train]'")

from ccs.agent.question import Question
from ccs.agent.trajectory import Hit
from ccs.rollouts.file import as_trajectories
from ccs.training.config import TrainConfig, read_train_config
from ccs.training.demo.model import PROMPT
from ccs.training.rewards import RewardMix
from ccs.training.rollout import BatchedRollouts
from ccs.training.run import train
from ccs.training.trainer import SearchTraining, build_trainer
from fresco.errors import FrescoError
from tests.ccs.training.worlds import Scripted, warm_model


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, Path]:
    """A configuration over a world with an untrained model."""
    folder = tmp_path_factory.mktemp("run")
    warm_model(folder, 0)
    config = read_train_config(
        "demo",
        [
            "demo=null",
            f"model.path={folder / 'model'}",
            f"agent.prompt={folder / 'prompt.txt'}",
            f"data={{train: [{folder / 'train.jsonl'}], held_out: [{folder / 'held_out.jsonl'}], "
            f"held_out_limit: 4, retriever: {folder / 'index'}}}",
            "optimization.steps=3",
            "optimization.questions_per_step=2",
            "optimization.group=3",
            "optimization.micro_batch=3",
            "optimization.kl=0.01",
            "agent.turn_tokens=16",
            "keep.evaluate_every=2",
            "keep.save_every=1",
        ],
    )
    return config, folder


class Length:
    """More searches, more reward: a group's members differ."""

    name = fingerprint = "length"
    needs_gold = signed = False

    def score(self, batch: Any, questions: Any = None) -> list[float | None]:
        return [float(len(each.turns)) + each.sample / 10 for each in batch]


@pytest.mark.parametrize("kl", [0.0, 0.1])
def test_the_gradient_of_observations_is_exactly_zero(run: tuple[TrainConfig, Path], tmp_path: Path, kl: float) -> None:
    """By the derivative of the loss to each token's logits: zero where the environment wrote, elsewhere not."""
    import torch

    config, folder = run
    config = replace(config, optimization=replace(config.optimization, kl=kl))
    from ccs.questions import load_questions
    from ccs.retrieve.index import open_index
    from ccs.training.run import open_tokenizer

    tokenizer = open_tokenizer(config)
    questions = {each.id: each for each in load_questions(list(config.data.train))}

    def say(context: str, turn: int) -> str:
        return "<search> plum bread</search>" if turn < 1 else "<answer> plum</answer>"

    engine = Scripted(tokenizer, say)
    roller = BatchedRollouts(engine, open_index(folder / "index"), tokenizer, config.agent, template=PROMPT)
    mix = RewardMix([(1.0, Length())], questions)
    training = SearchTraining(roller, mix, questions, config.optimization.group)
    trainer = build_trainer(config, tmp_path / "c", training, list(questions), tokenizer)
    if kl:  # the first policy is the present one: move away from it, else the divergence has no gradient either
        with torch.no_grad():
            trainer.model.lm_head.weight.mul_(1.5)
    trainer.model.train()
    names = list(questions)[:2]
    inputs = trainer._generate_and_score_completions([{"prompt": name} for name in names for _ in range(3)])
    mask = inputs["completion_mask"] * inputs["tool_mask"]
    assert 0 < mask.sum() < inputs["completion_mask"].sum()

    seen: list[torch.Tensor] = []
    whole = trainer._get_per_token_logps_and_entropies

    def watched(*arguments: Any, **options: Any) -> Any:
        logps, entropies, loss = whole(*arguments, **options)
        if logps.requires_grad:
            logps.retain_grad()
            seen.append(logps)
        return logps, entropies, loss

    trainer._get_per_token_logps_and_entropies = watched
    trainer.current_gradient_accumulation_steps = 1
    trainer._compute_loss(trainer.model, inputs).backward()
    [logps] = seen
    assert logps.grad is not None
    assert (logps.grad[mask == 0] == 0).all()
    moved = inputs["advantages"].abs() > 0
    assert moved.any()
    assert (logps.grad[(mask == 1) & moved[:, None]] != 0).all()
    mix.close()


def test_a_run_leaves_its_journal_card_and_models(run: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from ccs.training.journal import Journal

    said: list[str] = []
    outcome = train(run[0], tmp_path / "out", rewards=[(1.0, Length())], tell=said.append)
    assert outcome.steps == 3
    journal = Journal(tmp_path / "out")
    steps = journal.rows("steps.jsonl")
    assert [row["step"] for row in steps] == [1, 2, 3]
    asked = [name for row in steps for name in row["asked"]]
    assert len(asked) == len(set(asked)) == 6
    for name in (
        "reward",
        "reward spread",
        "searches",
        "malformed turns",
        "tokens masked",
        "kl",
        "seconds of generation",
    ):
        assert steps[0][name] is not None, name
    evaluations = journal.rows("evaluations.jsonl")
    assert [row["step"] for row in evaluations] == [0, 2, 3]
    for row in evaluations:  # the trajectories are those that the figures are of
        greedy = as_trajectories(str(journal.held_out(row["step"])))
        assert len(greedy) == row["questions"] == 4
        assert sum(len(each.searches) for each in greedy) / 4 == row["searches"]
    assert (tmp_path / "out" / "held_out.jsonl").read_text() == journal.held_out(3).read_text()
    card = (tmp_path / "out" / "card.md").read_text()
    assert "3 steps" in card and "| exact match |" in card and "steps: 3" in card
    assert (tmp_path / "out" / "curves.png").stat().st_size > 10_000
    for name in ("best", "final"):
        AutoModelForCausalLM.from_pretrained(tmp_path / "out" / name)
    assert any("step 2: held-out reward" in line for line in said)
    with pytest.raises(FrescoError, match=r"another optimization\.group"):
        other = replace(run[0].optimization, group=2, micro_batch=2)
        train(replace(run[0], optimization=other), tmp_path / "out")


def test_a_policy_is_not_audited_where_nobody_asks_for_it(run: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config = replace(run[0], keep=replace(run[0].keep, audited=0), optimization=replace(run[0].optimization, steps=1))
    train(config, tmp_path / "out", rewards=[(1.0, Length())])
    assert (tmp_path / "out" / "sampled.jsonl").read_text() == ""
    assert "Not audited" in (tmp_path / "out" / "card.md").read_text()


class Empty:
    def search(self, queries: Any, k: int) -> list[list[Hit]]:
        return [[] for _ in queries]


class Broken:
    def search(self, queries: Any, k: int) -> list[list[Hit]]:
        raise FrescoError("the retriever is gone")


class NoReward(Length):
    def score(self, batch: Any, questions: Any = None) -> list[float | None]:
        raise FrescoError("the judge is gone")


@pytest.mark.parametrize(
    ("retriever", "reward", "said"),
    [
        (Empty(), Length(), "returned no passage for the last 36 searches"),
        (Broken(), Length(), r"every rollout ended with an error \(the retriever is gone\)"),
        (None, NoReward(), "no rollout of this step could be rewarded: the judge is gone"),
    ],
)
def test_what_cannot_teach_anything_stops_with_a_line(
    run: tuple[TrainConfig, Path], retriever: Any, reward: Any, said: str
) -> None:
    from types import SimpleNamespace

    from ccs.retrieve.index import open_index
    from ccs.training.run import open_tokenizer

    config, folder = run
    tokenizer = open_tokenizer(config)
    engine = Scripted(
        tokenizer, lambda _, turn: "<search> instrument</search>" if turn < 1 else "<answer> plum</answer>"
    )
    roller = BatchedRollouts(
        engine, retriever or open_index(folder / "index"), tokenizer, config.agent, template=PROMPT
    )
    questions = {name: Question(name, f"What is {name}?") for name in "ab"}
    mix = RewardMix([(1.0, reward)], questions)
    training = SearchTraining(roller, mix, questions, 3)
    trainer = SimpleNamespace(state=SimpleNamespace(global_step=4))
    with pytest.raises(FrescoError, match=said):
        for _ in range(6):
            engine.turn = 0
            made = training.roll(["a"] * 3 + ["b"] * 3, trainer)
            training.reward(made["completion_ids"], lambda *_: None)
    mix.close()


def test_some_rewards_that_fail_are_none_and_counted(run: tuple[TrainConfig, Path]) -> None:
    from types import SimpleNamespace

    from ccs.retrieve.index import open_index
    from ccs.training.run import open_tokenizer

    class Half(Length):
        def score(self, batch: Any, questions: Any = None) -> list[float | None]:
            return [None if each.question_id == "a" else 1.0 for each in batch]

    config, folder = run
    tokenizer = open_tokenizer(config)
    engine = Scripted(tokenizer, lambda *_: "<answer> plum</answer>")
    roller = BatchedRollouts(engine, open_index(folder / "index"), tokenizer, config.agent, template=PROMPT)
    questions = {name: Question(name, f"What is {name}?") for name in "ab"}
    training = SearchTraining(roller, RewardMix([(1.0, Half())], questions), questions, 2)
    made = training.roll(["a", "a", "b", "b"], SimpleNamespace(state=SimpleNamespace(global_step=0)))
    logged: dict[str, float] = {}
    assert training.reward(made["completion_ids"], logged.__setitem__) == [None, None, 1.0, 1.0]
    assert logged["agent/rewards failed"] == 0.5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"micro_batch": 4}, "micro_batch is 4: 6 rollouts"),
        ({"questions_per_step": 100}, "there are 24 training questions, fewer"),
    ],
)
def test_sizes_that_do_not_fit(run: tuple[TrainConfig, Path], tmp_path: Path, change: Any, said: str) -> None:
    config = replace(run[0], optimization=replace(run[0].optimization, **change))
    with pytest.raises(FrescoError, match=said):
        train(config, tmp_path / "out")


def test_a_held_out_question_that_is_trained_on_is_refused(run: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config = replace(run[0], data=replace(run[0].data, held_out=run[0].data.train))
    with pytest.raises(FrescoError, match="is also trained on"):
        train(config, tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"lora_rank": 4}},
        {"model": {"gradient_checkpointing": True}},
        {"model": {"dtype": "bfloat16"}, "optimization": {"bf16": True}},
    ],
    ids=["lora", "gradient checkpointing", "bfloat16"],
)
def test_ways_to_save_memory(run: tuple[TrainConfig, Path], tmp_path: Path, changes: Any) -> None:
    config = run[0]
    for section, values in changes.items():
        config = replace(config, **{section: replace(getattr(config, section), **values)})
    config = replace(config, optimization=replace(config.optimization, steps=2))
    assert train(config, tmp_path / "out", rewards=[(1.0, Length())]).steps == 2
    assert any((tmp_path / "out" / "final").glob("*.safetensors"))


def test_tensorboard_gets_what_is_watched(run: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = replace(run[0], keep=replace(run[0].keep, report_to=("tensorboard",)))
    train(config, tmp_path / "out", rewards=[(1.0, Length())])
    [events] = list((tmp_path / "out").rglob("events.out.tfevents.*"))
    accumulator = EventAccumulator(str(events.parent))
    accumulator.Reload()
    tags = accumulator.Tags()["scalars"]
    assert {"train/agent/searches", "train/agent/malformed turns", "train/reward"} <= set(tags)
    [held_out] = [tag for tag in tags if tag.endswith("held-out/reward")]
    rows = [json.loads(line) for line in (tmp_path / "out" / "evaluations.jsonl").read_text().splitlines()]
    shown = {event.step: event.value for event in accumulator.Scalars(held_out)}
    assert shown == {row["step"]: pytest.approx(row["reward"], abs=1e-6) for row in rows} and len(rows) > 1


def test_tensorboard_has_one_folder_however_often_a_run_is_gone_on_with(
    run: tuple[TrainConfig, Path], tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = replace(run[0], keep=replace(run[0].keep, report_to=("tensorboard",)))
    out = tmp_path / "out"
    train(config, out, rewards=[(1.0, Length())])
    shutil.rmtree(out / "checkpoints" / "checkpoint-3")  # as after a kill: step 3 is made again
    for _ in range(2):  # goes on, and then only evaluates again
        train(config, out, rewards=[(1.0, Length())])
    assert {path.parent for path in out.rglob("events.out.tfevents.*")} == {out / "tensorboard"}
    accumulator = EventAccumulator(str(out / "tensorboard"))
    accumulator.Reload()
    assert [event.step for event in accumulator.Scalars("train/reward")] == [1, 2, 3]
    [held_out] = [tag for tag in accumulator.Tags()["scalars"] if tag.endswith("held-out/reward")]
    assert [event.step for event in accumulator.Scalars(held_out)] == [0, 2, 3]


def test_a_run_whose_steps_are_all_made_makes_no_other(run: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    """As after a kill between the last checkpoint and the card; three steps are no whole pass over the questions."""
    out = tmp_path / "out"
    outcome = train(run[0], out, rewards=[(1.0, Length())])
    weights = (out / "final" / "model.safetensors").read_bytes()
    shutil.rmtree(out / "final")
    (out / "card.md").unlink()
    assert train(run[0], out, rewards=[(1.0, Length())]) == outcome
    assert (out / "final" / "model.safetensors").read_bytes() == weights
    assert (out / "card.md").exists() and len((out / "steps.jsonl").read_text().splitlines()) == 3


def test_minutes_save_between_the_steps_that_do(run: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    keep = replace(run[0].keep, save_every=10**6, save_minutes=1e-9, checkpoints=9)
    train(replace(run[0], keep=keep), tmp_path / "out", rewards=[(1.0, Length())])
    saved = {path.parent.name for path in (tmp_path / "out" / "checkpoints").glob("checkpoint-*/whole.json")}
    assert saved == {f"checkpoint-{step}" for step in range(1, run[0].optimization.steps + 1)}


def test_vllm_is_asked_for_as_configured(run: tuple[TrainConfig, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    import trl

    seen: list[Any] = []
    monkeypatch.setattr(trl, "GRPOTrainer", lambda **given: seen.append(given["args"]) or Trainerless())
    training: Any = SimpleNamespace(roll=None)
    inside = {"engine": "vllm-colocate", "memory": 0.6, "tensor_parallel": 2, "sleep": True}
    for changes in (inside | {"correction": "token_truncate"}, {"correction": "none"}):
        config = replace(run[0], generation=replace(run[0].generation, **changes))
        build_trainer(config, Path("x"), training, ["q"], None)
    one, other = seen
    assert (one.vllm_gpu_memory_utilization, one.vllm_tensor_parallel_size) == (0.6, 2)
    assert one.vllm_enable_sleep_mode and one.vllm_importance_sampling_mode == "token_truncate"
    assert one.vllm_importance_sampling_correction and not other.vllm_importance_sampling_correction


class Trainerless:
    """What is asked of a trainer once it is there."""

    accelerator = SimpleNamespace(state=SimpleNamespace(), num_processes=1)


class Flat:
    """Gives every rollout the same."""

    name = fingerprint = "flat"
    needs_gold = signed = False

    def score(self, batch: Any, questions: Any = None) -> list[float | None]:
        return [0.0 for _ in batch]


def test_a_run_does_not_start_where_all_groups_are_flat(run: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    config = replace(run[0], keep=replace(run[0].keep, preflight=2))
    with pytest.raises(FrescoError, match=r"2 groups of 3, 100% of them flat.*warm the policy up"):
        train(config, tmp_path / "out", rewards=[(1.0, Flat())])
    assert not (tmp_path / "out" / "steps.jsonl").exists()
    said: list[str] = []
    assert train(config, tmp_path / "out", rewards=[(1.0, Length())], tell=said.append).steps == 3
    assert any(line.startswith("preflight: 2 groups of 3, 0% of them flat") for line in said)


@pytest.mark.slow
def test_a_preflight_changes_no_draw(run: tuple[TrainConfig, Path], tmp_path: Path) -> None:
    """The same weights with it and without."""
    ended = []
    for count in (0, 2):
        config = replace(run[0], keep=replace(run[0].keep, preflight=count))
        train(config, tmp_path / str(count), rewards=[(1.0, Length())])
        ended.append((tmp_path / str(count) / "final" / "model.safetensors").read_bytes())
    assert ended[0] == ended[1]


def test_a_signal_that_is_dead_ends_the_run_and_says_so(
    run: tuple[TrainConfig, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep = replace(run[0].keep, dead=2, preflight=0)
    config = replace(run[0], keep=keep, optimization=replace(run[0].optimization, steps=9))
    outcome = train(config, tmp_path / "out", rewards=[(1.0, Flat())])
    assert outcome.steps == 2
    assert "in 2 steps in a row no group's rewards differed" in outcome.stopped
    # Begun again it stays where it stopped; with the stop taken away it goes on.
    assert train(config, tmp_path / "out", rewards=[(1.0, Flat())]) == outcome
    assert train(replace(config, keep=replace(keep, dead=0)), tmp_path / "out", rewards=[(1.0, Flat())]).steps == 9
    # A run that is shorter than that is no success either.
    short = replace(config, optimization=replace(config.optimization, steps=1))
    assert "in 1 steps in a row" in train(short, tmp_path / "short", rewards=[(1.0, Flat())]).stopped
    import ccs
    from ccs.commands.train import run_train

    monkeypatch.setattr(ccs, "train", lambda *_, **__: outcome)
    options = SimpleNamespace(config="demo", set=[], print_config=False, out=str(tmp_path / "x"))
    assert run_train(options) == 1  # type: ignore[arg-type]
