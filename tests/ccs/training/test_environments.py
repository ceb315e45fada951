"""The agent under other trainers' classes: verifiers and SkyRL-Gym, each the real package."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from ccs.agent.question import Question
from ccs.retrieve.index import build_index
from ccs.training.scorer import Scorer, read_alone
from fresco.errors import FrescoError
from tests.ccs.scripted import NILE
from tests.servers import chat_api
from tests.waiting import PATIENCE

REWARDS = [{"reward": "exact-match"}, {"reward": "cycle", "weight": 0.5, "evidence": {"pages": 1}}]
_SEARCH, _ANSWER = "<think>a river</think><search>Nile source</search>", "<answer>Lake Victoria</answer>"


@pytest.fixture
def world(tmp_path: Path) -> Path:
    (tmp_path / "questions.jsonl").write_text(
        json.dumps({"id": NILE.id, "question": NILE.text, "answers": list(NILE.answers)}) + "\n"
    )
    rows = [
        {"id": 1, "title": "The Nile", "text": "The Nile flows from Lake Victoria."},
        {"id": 2, "title": "Cairo", "text": "A city."},
    ]
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    build_index(str(tmp_path / "corpus.jsonl"), tmp_path / "index", {"method": "bm25"}, lambda *_: None)
    return tmp_path


def earned(world: Path, turns: list[str]) -> float:
    """What the same turns earn in our own environment."""
    from ccs.agent.environment import Environment
    from ccs.retrieve.index import open_index
    from ccs.rewards.config import open_reward

    environment = Environment(open_index(world / "index"))
    environment.reset(NILE)
    for turn in turns:
        environment.step(turn)
    total = 0.0
    for weight, config in read_alone(REWARDS, "rewards", "a test"):
        [value] = open_reward(config).score([environment.trajectory], {NILE.id: NILE})
        assert value is not None
        total += weight * value
    return total


def test_skyrl_acts_and_rewards_as_we_do(world: Path) -> None:
    skyrl_gym = pytest.importorskip("skyrl_gym", reason='needs SkyRL-Gym: pip install "skyrl-gym>=0.4,<0.5"')
    from ccs.training.environments.skyrl import NAME, register

    register()
    register()
    config = {"retriever": str(world / "index"), "rewards": REWARDS, "turns": 2}
    extras = {"question": NILE.text, "question_id": NILE.id, "answers": list(NILE.answers)}
    environment = skyrl_gym.make(NAME, env_config=config, extras=extras)
    prompt, _ = environment.init([{"role": "user", "content": "something else"}])
    assert NILE.text in prompt[0]["content"] and environment.get_metrics() == {}
    first = environment.step(f"{_SEARCH} and more")
    assert not first["done"] and first["reward"] == 0.0 and first["postprocessed_action"] == _SEARCH
    assert "<information>" in first["observations"][0]["content"]
    last = environment.step(_ANSWER)
    assert last["done"] and last["observations"] == []
    assert last["reward"] == pytest.approx(earned(world, [_SEARCH, _ANSWER])) and last["reward"] > 1
    assert environment.get_metrics() == {"searches": 1.0, "malformed_turns": 0.0, "answered": 1.0}
    assert json.loads(last["metadata"]["trajectory"])["question_id"] == NILE.id


@pytest.mark.parametrize(
    ("config", "extras", "said"),
    [
        ({}, {"question": "Who?"}, "retriever is missing"),
        ({"retriever": "x", "tpo_k": 3}, {"question": "Who?"}, "unknown key tpo_k"),
        ({"retriever": "x"}, {}, "question is missing"),
        ({"retriever": "x", "rewards": [{"reward": "majority-vote"}]}, {"question": "Who?"}, "SkyRL has each scored"),
        ({"retriever": "/nowhere"}, {"question": "Who?"}, "neither a URL nor a folder"),
    ],
)
def test_skyrl_refuses_in_one_line(config: Any, extras: Any, said: str) -> None:
    pytest.importorskip("skyrl_gym", reason='needs SkyRL-Gym: pip install "skyrl-gym>=0.4,<0.5"')
    from ccs.training.environments.skyrl import SearchEnvironment

    with pytest.raises(FrescoError, match=said):
        SearchEnvironment(config, extras)


def test_verifiers_acts_and_rewards_as_we_do(world: Path) -> None:
    vf = pytest.importorskip("verifiers", reason='needs verifiers: pip install "verifiers>=0.1.9,<0.2"')
    if not hasattr(vf, "MultiTurnEnv"):
        pytest.skip('needs verifiers 0.1: pip install "verifiers>=0.1.9,<0.2"')
    from openai import AsyncOpenAI

    from ccs.training.environments.verifiers import load_environment

    turns = [_SEARCH, _ANSWER]

    def say(body: dict[str, Any]) -> dict[str, Any]:
        assert body["stop"] == ["</search>", "</answer>"] and body["include_stop_str_in_output"] is True
        said = [each for each in body["messages"] if each["role"] == "assistant"]
        if said:
            assert re.search(r"Lake Victoria.*</information>", body["messages"][-1]["content"], re.DOTALL)
        message = {"role": "assistant", "content": turns[len(said)]}
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [{"index": 0, "finish_reason": "stop", "message": message, "logprobs": None}],
            "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
        }

    environment = load_environment([str(world / "questions.jsonl")], str(world / "index"), rewards=REWARDS, turns=2)
    with chat_api.serve(say) as model:
        client = AsyncOpenAI(base_url=model.url, api_key="none")
        client = vf.OpenAIChatCompletionsClient(client) if hasattr(vf, "OpenAIChatCompletionsClient") else client
        found = environment.evaluate_sync(
            client, "tiny/chat", num_examples=1, rollouts_per_example=3, state_columns=["record"]
        )
    outputs = found["outputs"]
    assert len(outputs) == 3 and len(model.requests) == 6
    for each in outputs:
        assert each["error"] is None and each["reward"] == pytest.approx(earned(world, turns))
        assert (each["metrics"]["searches"], each["metrics"]["answered"]) == (1.0, 1.0)
        assert json.loads(each["record"])["turns"][0]["query"] == "Nile source"


class _Half:
    name = fingerprint = "half"
    needs_gold = signed = False

    def score(self, batch: Any, questions: Any = None) -> list[float | None]:
        return [None if each.sample else 0.5 for each in batch]


def test_a_part_that_cannot_be_had_is_no_zero() -> None:
    from ccs.agent.trajectory import Trajectory

    scorer = Scorer([(2.0, _Half())])
    rows = [Trajectory("q", "Who?", sample, (), "answer") for sample in (0, 1)]
    values = [scorer.submit(row, Question("q", "Who?")).result(timeout=PATIENCE) for row in rows]
    assert values == [1.0, None]
