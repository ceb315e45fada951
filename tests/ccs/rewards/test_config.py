"""The configuration: defaults, unknown keys, values that are not allowed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from ccs.rewards.base import Reward
from ccs.rewards.config import RewardConfig, dump_config, open_reward, parse_config, read_config
from ccs.rewards.gates import Gates
from ccs.rewards.registry import REWARDS
from fresco.errors import FrescoError
from fresco.io.config_file import load_yaml
from tests.ccs.rewards.trails import gold, trail


def test_what_is_printed_is_read_again(tmp_path):
    path = tmp_path / "reward.yaml"
    path.write_text(dump_config(RewardConfig()))
    assert read_config(path) == replace(RewardConfig(), gates=Gates())
    path.write_text("")
    assert read_config(path) == RewardConfig() == parse_config({})


def test_baselines_have_no_gates_unless_asked():
    assert open_reward(parse_config({"reward": "exact-match"})).score([trail(answer="Wexmere")], gold()) == [1.0]
    gated = parse_config({"reward": "exact-match", "gates": {"search": 1}})
    assert open_reward(gated).score([trail(answer="Wexmere")], gold()) == [0.0]
    assert open_reward().score([trail(answer="Wexmere")]) == [0.0]


def test_whole_numbers_are_weights_too():
    assert parse_config({"gates": {"form": 1}, "evidence": {"floor": 0}}).gates.form == 1.0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"reward": "cyclone"}, "reward is 'cyclone'; it is one of cycle, gain, likelihood"),
        ({"maks": {}}, "unknown key maks; known are reward, server, mask"),
        ({"gates": {"answr": 1}}, "unknown key gates.answr; known are gates.answer, gates.search"),
        ({"gates": {"answer": 2}}, "gates.answer is 2.0; 0 to 1 is wanted"),
        ({"gates": {"answer": True}}, "gates.answer is True; float is wanted"),
        ({"gates": 1}, "gates is 1; keys with values"),
        ({"reconstruct": {"samples": 0}}, "reconstruct.samples is 0; 1 to 64"),
        ({"reconstruct": {"samples": 1.5}}, "reconstruct.samples is 1.5; int is wanted"),
        ({"reconstruct": {"temperature": float("nan")}}, "reconstruct.temperature is nan"),
        ({"reconstruct": {"kind": "gpt"}}, "reconstruct.kind is 'gpt'; it is one of identity, llm"),
        ({"reconstruct": {"kind": "llm"}}, "give reconstruct.server: URL#MODEL"),
        ({"reconstruct": {"kind": "llm", "server": "http://h/v1#m"}}, "give similarity: cosine:MODEL"),
        ({"reward": "likelihood"}, "the reward likelihood asks a model; give server: URL#MODEL"),
        ({"server": 3}, "server is 3; str or nothing is wanted"),
        ([1], "the file is [1]; keys with values"),
        ({3: 4}, "unknown key 3"),
    ],
)
def test_mistakes_are_one_clear_line(content, words):
    with pytest.raises(FrescoError) as caught:
        parse_config(content, "reward.yaml")
    assert words in str(caught.value) and str(caught.value).startswith("reward.yaml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\t- x", "!!python/object/apply:os.system ['true']", "\x00"])
def test_files_that_are_no_yaml(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(FrescoError, match=r"bad\.yaml: no valid YAML") as caught:
        read_config(path)
    assert "\n" not in str(caught.value)


def test_absent_file_and_unknown_similarity(tmp_path):
    with pytest.raises(FrescoError, match=r"absent\.yaml: cannot be read"):
        read_config(tmp_path / "absent.yaml")
    with pytest.raises(FrescoError, match="similarity rouge: unknown"):
        open_reward(parse_config({"similarity": "rouge"}))


@pytest.mark.parametrize("name", list(REWARDS.parts()))
def test_every_reward_opens_and_has_a_fingerprint_of_its_own(name):
    server = "http://127.0.0.1:9/v1#tiny"
    needed = {"server": server} if "server!" in REWARDS.parts()[name].columns["settings"] else {}
    reward = open_reward(parse_config({"reward": name, **needed}))
    assert isinstance(reward, Reward)
    gated = open_reward(parse_config({"reward": name, **needed, "gates": {"form": 1}}))
    assert reward.fingerprint != gated.fingerprint


SERVER = {"server": "http://127.0.0.1:9/v1#tiny"}
LLM = {"reconstruct": {"kind": "llm", **SERVER}, "similarity": "token-f1"}


@pytest.mark.parametrize(
    ("content", "path"),
    [
        ({"mask": {"masker": "patterns"}}, "mask.masker"),
        ({"mask": {"blank": True}}, "mask.blank"),
        ({"reconstruct": {"samples": 2}}, "reconstruct.samples"),
        ({"reconstruct": {"aggregate": "mean"}}, "reconstruct.aggregate"),
        ({"characters": 100}, "characters"),
        ({"prompt": "/nonexistent"}, "prompt"),
        (SERVER, "server"),
        ({"similarity": "token-f1", "evidence": {"pages": 1}}, "evidence.pages"),
        ({"similarity": "token-f1", "reconstruct": {"prompt": "x"}}, "reconstruct.prompt"),
        ({"similarity": "token-f1", "characters": 100}, "characters"),
        ({**LLM, "mask": {"blank": True, "masker": "patterns"}}, "mask.masker"),
        ({**LLM, "evidence": {"floor": 0.5}}, "evidence.floor"),
        ({"reward": "likelihood", **SERVER, "prompt": "/nonexistent"}, "prompt"),
        ({"reward": "likelihood", **SERVER, "similarity": "token-f1"}, "similarity"),
        ({"reward": "likelihood", **SERVER, "reconstruct": {"temperature": 1}}, "reconstruct.temperature"),
        ({"reward": "self-confidence", **SERVER, "mask": {"numbered": True}}, "mask.numbered"),
        ({"reward": "constitution", **SERVER, "evidence": {"pages": 1}}, "evidence.pages"),
        ({"reward": "f1", **SERVER}, "server"),
        ({"reward": "majority-vote", "characters": 100}, "characters"),
        ({"reward": "my_rewards:Mine,2", "prompt": "x"}, "prompt"),
    ],
)
def test_a_setting_that_the_reward_does_not_read_is_refused(content, path):
    with pytest.raises(FrescoError, match=rf"x\.yaml: the reward .* does not read {path}; take it out") as caught:
        parse_config(content, "x.yaml")
    assert "\n" not in str(caught.value) and "reads ," not in str(caught.value)


def test_every_setting_is_read_by_some_reward_and_the_defaults_by_all():
    for name in REWARDS.parts():
        needed = SERVER if "server!" in REWARDS.parts()[name].columns["settings"] else {}
        config = parse_config({"reward": name, **needed})
        assert parse_config(yaml.safe_load(dump_config(config))).reward == name
    parse_config({**LLM, "mask": {"masker": "patterns", "numbered": True}, "characters": 100})
    parse_config({"evidence": {"pages": 1}, "gates": {"form": 1}})
    parse_config({"reward": "likelihood", **SERVER, "mask": {"shared_words": True}, "characters": 100})
    parse_config({"reward": "constitution", **SERVER, "prompt": "x", "characters": 100})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("reward: f1\nreward: cycle\n", "bad.yaml:2: the key 'reward' is there twice"),
        ("mask: {blank: true, blank: false}", "bad.yaml:1: the key 'blank' is there twice"),
        ("gates:\n  form: 1\n  search: 1\n  'form': 0\n", "bad.yaml:4: the key 'form' is there twice"),
    ],
)
def test_a_key_twice_is_refused_with_its_line(tmp_path, text, words):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(FrescoError) as caught:
        read_config(path)
    assert words in str(caught.value)


def test_a_merge_is_no_key_twice(tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text("gates: &some {form: 1}\nmask: {}\n")
    assert read_config(path).gates.form == 1
    assert load_yaml("a: &x {b: 1}\nc: {<<: *x, b: 2}\n", "x")["c"] == {"b": 2}


def test_paths_are_relative_to_the_file_of_the_configuration(tmp_path, monkeypatch):
    (tmp_path / "conf").mkdir()
    for name in ("titles.txt", "prompt.txt"):
        (tmp_path / "conf" / name).write_text("Old Kent Road for {trace}\n")
    (tmp_path / "here.txt").write_text("Old Kent Road\n")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "conf" / "reward.yaml"
    path.write_text(
        "reconstruct: {kind: llm, server: 'http://127.0.0.1:9/v1#m', prompt: prompt.txt}\n"
        "similarity: token-f1\nmask: {masker: 'patterns+gazetteer:titles.txt'}\n"
    )
    config = read_config(path)
    assert config.reconstruct.prompt == str(tmp_path / "conf" / "prompt.txt")
    assert config.mask.masker == f"patterns+gazetteer:{tmp_path / 'conf' / 'titles.txt'}"
    assert config.reconstruct.server == "http://127.0.0.1:9/v1#m"
    assert isinstance(open_reward(config), Reward)
    path.write_text("similarity: token-f1\nmask: {masker: 'gazetteer:here.txt'}\n")
    assert read_config(path).mask.masker == "gazetteer:here.txt"  # of the current folder, as before
