"""The configuration: defaults, unknown keys, values that are not allowed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ccs.rewards.base import Reward
from ccs.rewards.config import REWARDS, RewardConfig, dump_config, open_reward, parse_config, read_config
from ccs.rewards.gates import Gates
from fresco.errors import FrescoError
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
        ({"reward": "cyclone"}, "reward is 'cyclone'; it is one of cycle, likelihood"),
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
    with pytest.raises(FrescoError, match="--similarity rouge: unknown"):
        open_reward(parse_config({"similarity": "rouge", "mask": {"blank": True}}))


@pytest.mark.parametrize("name", list(REWARDS))
def test_every_reward_opens_and_has_a_fingerprint_of_its_own(name):
    server = "http://127.0.0.1:9/v1#tiny"
    reward = open_reward(parse_config({"reward": name, "server": server, "mask": {"masker": "patterns"}}))
    assert isinstance(reward, Reward)
    assert (
        reward.fingerprint
        != open_reward(parse_config({"reward": name, "server": server, "gates": {"form": 1}})).fingerprint
    )
