"""The reward, the figures and the command under verl's own classes; see :mod:`tests.ccs.training.test_verl_inside`."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verl", reason="these run in verl's own virtualenv, by tests/ccs/training/test_verl.py")

import numpy as np
from omegaconf import OmegaConf
from verl import DataProto
from verl.experimental.reward_loop.reward_loop import RewardLoopWorker

from ccs.rewards.config import open_reward, parse_config
from ccs.training.verl.check import check_config
from ccs.training.verl.reward import compute_score
from ccs.training.verl.settings import RECORD
from fresco.errors import FrescoError
from tests.ccs.training.test_verl_inside import (
    ANSWER,
    NILE,
    SEARCH,
    base,
    configure,
    data,
    model,
    record,
    response,
    retriever,
    roll,
    runs,
    script,
    worker,
)

__all__ = ["base", "configure", "data", "model", "retriever"]  # fixtures


def scored(config: Any, out: DataProto, row: int = 0) -> dict[str, Any]:
    """A rollout through verl's reward worker, as its agent loop worker hands it on."""
    single = out[row : row + 1]
    fields = {RECORD: single.non_tensor_batch[RECORD][0], "turn_scores": [], "tool_rewards": []}
    single.non_tensor_batch["tool_extra_fields"] = np.array([fields], dtype=object)

    async def score() -> dict[str, Any]:
        result: dict[str, Any] = await RewardLoopWorker(config).compute_score(single)
        return result

    return asyncio.run(score())


@pytest.mark.parametrize(
    "rewards",
    [
        "null",
        "[{reward: exact-match}]",
        "[{reward: cycle, weight: 0.7}, {reward: f1, weight: 0.3}]",
        "[{reward: cycle, mask: {blank: true}, similarity: token-f1}]",
    ],
)
def test_the_reward_under_verls_worker_is_our_reward(configure: Callable[..., Any], rewards: str) -> None:
    config = configure(f"ccs.rewards={rewards}")
    check_config(config)
    made, _ = worker(config, script(SEARCH, ANSWER))
    out = roll(config, made)
    result = scored(config, out)
    terms = OmegaConf.to_container(OmegaConf.create({"r": config.ccs.rewards}))["r"] or [{"reward": "cycle"}]
    expected = 0.0
    for term in terms:
        weight = term.pop("weight", 1.0)
        (value,) = open_reward(parse_config(term)).score([record(out)], {NILE.id: NILE})
        expected += weight * value
    assert result["reward_score"] == pytest.approx(expected)
    assert result["reward_score"] > 0
    extra = result["reward_extra_info"]
    assert (extra["em"], extra["f1"], extra["searches"], extra["malformed_turns"]) == (1.0, 1.0, 1.0, 0.0)
    assert extra["query_overlap"] == pytest.approx(1 / 3)  # of "lake", "Nile", "flow"


def test_what_the_policy_writes_is_not_what_is_rewarded(configure: Callable[..., Any]) -> None:
    config = configure("ccs.rewards=[{reward: exact-match}]")
    made, _ = worker(config, script("<answer>Lake Tana</answer>"))
    out = roll(config, made)
    answer = {"target": ["Lake Victoria"]}
    extra = {RECORD: out.non_tensor_batch[RECORD][0]}
    lied = asyncio.run(compute_score("toy", ANSWER, answer, extra, rewards=config.ccs.rewards))
    assert (lied["score"], lied["em"]) == (0.0, 0.0)


def test_a_reward_that_cannot_be_had_raises(configure: Callable[..., Any]) -> None:
    made, _ = worker(configure(), script(ANSWER))
    extra = {RECORD: roll(configure(), made).non_tensor_batch[RECORD][0]}
    with pytest.raises(FrescoError, match="no reward to be had"):  # no gold answer is known
        asyncio.run(compute_score("toy", "", {"target": []}, extra, rewards=[{"reward": "exact-match"}]))
    failed = json.loads(extra[RECORD]) | {"stop": "error", "error": "the retriever is down", "turns": []}
    with pytest.raises(FrescoError, match="no reward to be had"):
        asyncio.run(compute_score("toy", "", None, {RECORD: json.dumps(failed)}))
    served = [{"reward": "constitution", "server": "http://127.0.0.1:9/v1#judge"}]
    with pytest.raises(FrescoError):
        asyncio.run(compute_score("toy", "", None, extra, rewards=served))


def test_many_rollouts_at_once_are_each_their_own(configure: Callable[..., Any]) -> None:
    config = configure("ccs.rewards=[{reward: exact-match}]")
    made, engine = worker(config, script(SEARCH, ANSWER))

    def says(turn: int, context: str) -> str:
        return SEARCH if turn == 0 else ANSWER if len(context) % 2 else "<answer>Lake Tana</answer>"

    engine.says = says
    out = roll(config, made, count=12)
    assert len({request for request, *_ in engine.calls}) == 12
    for row in range(12):
        ids, mask, _ = response(out, row)
        said = made.tokenizer.decode(runs(ids, mask)[-1][1])
        answer = record(out, row).answer
        assert answer is not None and answer in said


def test_the_command_says_in_one_line_what_stopped_it(
    model: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from ray.exceptions import RayTaskError
    from verl.trainer import main_ppo

    from ccs.training.verl import __main__ as command

    seen: list[Any] = []

    def train(config: Any) -> None:
        seen.append(config)
        # As Ray hands on what the trainer's process raised.
        raise RayTaskError("sample", "a long traceback", FrescoError("step 7: the retriever")).as_instanceof_cause()

    monkeypatch.setattr(main_ppo, "main", train)
    arguments = [f"data.train_files={data}", f"data.val_files={data}", f"actor_rollout_ref.model.path={model}"]
    monkeypatch.setattr(
        sys, "argv", ["ccs.training.verl", *arguments, "ccs.retriever=http://127.0.0.1:9", "hydra.run.dir=."]
    )
    monkeypatch.chdir(data.parent)
    assert command.main() == 2
    assert seen[0].actor_rollout_ref.rollout.agent.default_agent_loop == "ccs_search"
    assert capfd.readouterr().err.splitlines()[-1] == "error: step 7: the retriever"
    monkeypatch.setattr(sys, "argv", ["ccs.training.verl", *arguments, "hydra.run.dir=."])
    assert command.main() == 2
    assert "error: ccs.retriever is missing" in capfd.readouterr().err
    assert len(seen) == 1
