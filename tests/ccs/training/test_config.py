"""The configuration of a training run: read, checked, printed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccs.cli import main
from ccs.training.config import PRESETS, TrainConfig, dump_train_config, presets, read_train_config
from ccs.training.settings import UNSEEN
from fresco.errors import FrescoError


@pytest.mark.parametrize("name", presets())
def test_presets_are_valid_and_printed_whole(name: str, tmp_path: Path) -> None:
    config = read_train_config(name)
    path = tmp_path / "config.yaml"
    path.write_text(dump_train_config(config))
    assert read_train_config(str(path)) == config


def test_every_key_is_explained() -> None:
    lines = dump_train_config(TrainConfig()).splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        assert line.lstrip().startswith("#") or before.lstrip().startswith("# "), line


def test_the_recipe_is_search_r1s() -> None:
    config = read_train_config("ccs-qwen2.5-7b")
    chosen, agent = config.optimization, config.agent
    assert (chosen.steps, chosen.group, chosen.learning_rate, chosen.warmup, chosen.kl) == (300, 5, 1e-6, 0.285, 0.001)
    assert (agent.turns, agent.top_k, agent.turn_tokens) == (4, 3, 500)
    assert chosen.questions_per_step == 512


@pytest.mark.parametrize("name", [name for name in presets() if not name.startswith("demo")])
def test_the_table_of_presets_is_true(name: str) -> None:
    config = read_train_config(name)
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:-1]]
        for line in (PRESETS / "README.md").read_text().splitlines()
        if line.startswith("| `")
    ]
    assert len(rows) == 14
    for key, _, _, value, _ in rows:
        section, _, field = key.partition(".")
        assert getattr(getattr(config, section), field) == float(value), key


@pytest.mark.parametrize("name", [name for name in presets() if not name.startswith("demo")])
def test_presets_agree_with_each_other_and_with_verl(name: str) -> None:
    """One recipe: questions, rollouts, room for every turn, checkpoints; and nothing is chosen on a reported set."""
    from importlib.resources import files

    import yaml

    from ccs.questions import DATASETS

    config = read_train_config(name)
    verl = yaml.safe_load((files("ccs.training.verl") / "config.yaml").read_text())
    chosen, agent = config.optimization, config.agent
    rollout = verl["actor_rollout_ref"]["rollout"]
    assert (chosen.questions_per_step, chosen.group) == (verl["data"]["train_batch_size"], rollout["n"]) == (512, 5)
    assert agent.context_tokens == rollout["max_model_len"]
    room = 1024 + (agent.turns + 1) * agent.turn_tokens + agent.turns * agent.observation_characters // 4
    assert agent.context_tokens >= room
    assert (config.keep.save_every, config.keep.checkpoints) == (
        verl["trainer"]["save_freq"],
        verl["trainer"]["max_actor_ckpt_to_keep"],
    )
    assert config.keep.metric == UNSEEN and config.keep.unseen is None
    for source in config.data.held_out:
        dataset, _, split = source.partition("@")
        assert split and split != DATASETS[dataset]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("optimization.grup=5", "unknown key optimization.grup"),
        ("optimization.group=1", "optimization.group is 1"),
        ("optimization.group=many", "optimization.group is 'many'; int is wanted"),
        ("generation.engine=vllm", "it is one of transformers"),
        ("generation.engine=vllm-server", "needs generation.server"),
        ("rewards=[]", "at least one reward"),
        ("rewards=[{reward: cycle, weight: 0}]", r"rewards\[0\].weight is 0"),
        ("rewards=[{reward: circle}]", r"rewards\[0\]: reward is 'circle'"),
        ("rewards=[cycle]", r"rewards\[0\] is 'cycle'"),
        ("keep.metric=accuracy", "keep.metric is 'accuracy'"),
        ("keep.unseen={reward: circle}", r"keep.unseen: reward is 'circle'"),
        ("agent.observation_characters=10", "hold no 1 passages"),
        ("demo=null", "model.path is missing"),
        ("demo=", "model.path is missing"),
        ("steps", "section.key=value is wanted"),
        ("rewards.x=1", "holds no keys"),
        ("data.train=[1]", r"data.train\[0\] is 1; str is wanted"),
    ],
)
def test_bad_values_are_refused(change: str, said: str) -> None:
    with pytest.raises(FrescoError, match=said):
        read_train_config("demo", [change])


def test_a_small_rate_without_a_point_is_a_number(tmp_path: Path) -> None:
    assert read_train_config("demo", ["optimization.learning_rate=1e-6"]).optimization.learning_rate == 1e-6


def test_no_such_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config", "nowhere.yaml", "--out", "x"]) == 2
    assert "nowhere.yaml: no such file, nor a preset; presets are ccs-qwen2.5-7b" in capsys.readouterr().err


def test_print_config(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--config", "demo", "--print-config", "--set", "optimization.steps=7"]) == 0
    printed = capsys.readouterr().out
    assert "# updates of the policy\n  steps: 7\n" in printed


def test_what_may_change_between_start_and_resume() -> None:
    config = read_train_config("demo")
    longer = read_train_config("demo", ["optimization.steps=200", "generation.timeout=5"])
    other = read_train_config("demo", ["optimization.group=4"])
    assert config.fingerprint_fields == longer.fingerprint_fields != other.fingerprint_fields


def test_paths_are_relative_to_the_file_of_the_configuration(tmp_path, monkeypatch):
    (tmp_path / "conf").mkdir()
    for name in ("train.jsonl", "prompt.txt", "titles.txt"):
        (tmp_path / "conf" / name).write_text("x")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "conf" / "train.yaml"
    path.write_text(
        "model: {path: org/model}\nagent: {prompt: prompt.txt}\n"
        "data: {train: [train.jsonl, nq@train], held_out: [nq], retriever: 'http://127.0.0.1:8001'}\n"
        "rewards: [{reward: cycle, similarity: token-f1, mask: {masker: 'gazetteer:titles.txt'}}]\n"
    )
    config = read_train_config(str(path), ["agent.turns=2"])
    folder = tmp_path / "conf"
    assert config.agent.prompt == str(folder / "prompt.txt") and config.model.path == "org/model"
    assert config.data.train == (str(folder / "train.jsonl"), "nq@train")
    assert config.data.retriever == "http://127.0.0.1:8001"
    assert config.reward_terms[0][1].mask.masker == f"gazetteer:{folder / 'titles.txt'}"
    with pytest.raises(FrescoError, match="the key 'a' is there twice"):
        read_train_config(str(path), ["agent={a: 1, a: 2}"])
