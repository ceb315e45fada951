"""Checkpoints are chosen by a reward that the policy was not trained on, and reads no gold."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ccs.agent.environment import Environment, Limits
from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory
from ccs.rewards.config import open_reward, parse_config
from ccs.training.config import TrainConfig
from ccs.training.settings import UNSEEN
from ccs.training.unseen import FALLBACKS, open_unseen
from fresco.errors import FrescoError

_TAGGED = ["<search> {}</search>", "<answer> b</answer>"]


def keeping(**changes: Any) -> TrainConfig:
    config = TrainConfig()
    return replace(config, keep=replace(config.keep, **changes))


def test_the_default_is_never_what_is_trained_on(tmp_path: Path) -> None:
    evidence, words = (open_reward(parse_config(dict(each))) for each in FALLBACKS)
    majority = open_reward(parse_config({"reward": "majority-vote"}))
    found = [open_unseen(keeping(), trained, tmp_path) for trained in ([majority], [evidence], [evidence, majority])]
    assert [each.fingerprint for each in found if each] == [evidence.fingerprint] + [words.fingerprint] * 2
    assert open_unseen(keeping(metric="reward"), [majority], tmp_path) is None


def test_one_that_is_trained_on_or_reads_gold_is_refused(tmp_path: Path) -> None:
    majority = open_reward(parse_config({"reward": "majority-vote"}))
    chosen = open_unseen(keeping(unseen={"reward": "majority-vote"}), [], tmp_path)
    assert chosen is not None and chosen.fingerprint == majority.fingerprint
    with pytest.raises(FrescoError, match="trained on majority"):
        open_unseen(keeping(unseen={"reward": "majority-vote"}), [majority], tmp_path)
    with pytest.raises(FrescoError, match=r"reads gold answers; set keep\.metric"):
        open_unseen(keeping(unseen={"reward": "exact-match"}), [majority], tmp_path)


class _Shelf:
    def search(self, queries: Any, k: int) -> list[list[Hit]]:
        about = '"Nile"\nThe Nile begins at Lake Victoria.'
        return [[Hit("p", about if "Nile" in each and "begin?" not in each else '"Tea"\nLeaves.')] for each in queries]


def _asking(query: str) -> Trajectory:
    environment = Environment(_Shelf(), Limits(turns=1, top_k=1))
    environment.reset(Question("q", "Where does the Nile begin?"))
    for text in _TAGGED:
        environment.step(text.format(query))
    return environment.trajectory


def test_a_pasted_question_earns_nothing_of_the_fallbacks() -> None:
    good, pasted = _asking("Nile source"), _asking("Where does the Nile begin?")
    for each in FALLBACKS:
        values = open_reward(parse_config(dict(each))).score([good, pasted], {})
        assert values[0] is not None and values[1] is not None and values[0] > values[1] + 0.1, each


def test_best_goes_by_it_and_the_card_says_so(tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="needs TRL: pip install -e '.[train]'")
    import ccs
    from tests.ccs.training.worlds import Long, warm_model

    warm_model(tmp_path, 20)

    class Falling(Long):
        """Earns less, the longer a policy was trained."""

        name = fingerprint = "falling"
        calls = 0

    content = {
        "model": {"path": str(tmp_path / "model")},
        "data": {
            "train": [str(tmp_path / "train.jsonl")],
            "held_out": [str(tmp_path / "held_out.jsonl")],
            "held_out_limit": 4,
            "retriever": str(tmp_path / "index"),
        },
        "agent": {"layout": "plain", "prompt": str(tmp_path / "prompt.txt"), "turns": 1, "top_k": 1, "turn_tokens": 16},
        "optimization": {"steps": 2, "questions_per_step": 1, "group": 2, "micro_batch": 2, "learning_rate": 1e-2},
        "keep": {"evaluate_every": 1, "collapse": 0, "preflight": 0, "dead": 0},
    }
    outcome = ccs.train(content, tmp_path / "out", rewards=[(1.0, Falling())])
    rows = [json.loads(line) for line in (tmp_path / "out" / "evaluations.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 1, 2] and all(UNSEEN in row for row in rows)
    assert outcome.best == max(rows, key=lambda row: row[UNSEEN])["step"]
    card = (tmp_path / "out" / "card.md").read_text()
    assert "a reward that the policy was not trained on" in card and f"| {UNSEEN} |" in card
    assert json.loads((tmp_path / "out" / "run.json").read_text())["unseen"].startswith("cycle")
