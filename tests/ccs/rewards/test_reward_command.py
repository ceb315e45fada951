"""``ccs reward`` as a user runs it: kill and resume, bad input, one line for each mistake."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from ccs.agent.trajectory import Trajectory
from ccs.cli import main
from ccs.rewards.reward_file import open_reward_file
from tests.ccs.rewards.trails import FILM, OFF_TOPIC, QUESTION, perfect, trail
from tests.servers import chat_api
from tests.servers.chat_api import words_of
from tests.waiting import wait_until

_ROOT = Path(__file__).parents[3]


def write(path: Path, trajectories: Sequence[Trajectory]) -> Path:
    path.write_text("".join(f"{each.to_json()}\n" for each in trajectories), encoding="utf-8")
    return path


@pytest.fixture
def rollouts(tmp_path: Path) -> Path:
    groups = [
        (perfect(name=f"q{n}"), trail(("x", [OFF_TOPIC]), name=f"q{n}", sample=1), trail(name=f"q{n}", sample=2))
        for n in range(40)
    ]
    return write(tmp_path / "rollouts.jsonl", [each for group in groups for each in group])


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_default_reward(rollouts, tmp_path, capsys):
    out = tmp_path / "rewards.jsonl"
    assert main(["reward", "--trajectories", str(rollouts), "--out", str(out)]) == 0
    found = rows(out)
    assert [(row["question_id"], row["sample"]) for row in found] == [(f"q{n}", s) for n in range(40) for s in range(3)]
    assert found[0]["reward"] > 0.5 > found[1]["reward"] > -1e-9 and found[2]["reward"] == 0.0
    assert "stand-in" in found[0]["name"] and "120 rewards by cycle: identity (stand-in)" in capsys.readouterr().out
    first, table = out.read_bytes(), tmp_path / "rewards.rows.parquet"
    inspected = pd.read_parquet(table)
    assert inspected["reward"].tolist() == [row["reward"] for row in found]
    assert OFF_TOPIC.splitlines()[-1] in inspected["trace"][1] and "<search>" not in inspected["trace"][2]
    kept = table.read_bytes()
    assert main(["reward", "--trajectories", str(rollouts), "--out", str(out)]) == 0
    assert out.read_bytes() == first and table.read_bytes() == kept


def test_gold_baseline_needs_questions(rollouts, tmp_path, capsys):
    out, questions = tmp_path / "em.jsonl", tmp_path / "questions.jsonl"
    arguments = ["reward", "--trajectories", str(rollouts), "--out", str(out), "--reward", "exact-match"]
    assert main(arguments) == 2
    assert "exact-match needs gold answers; give --questions" in capsys.readouterr().err
    questions.write_text(
        "".join(json.dumps({"id": f"q{n}", "question": QUESTION, "answers": ["Wexmere"]}) + "\n" for n in range(40))
    )
    assert main([*arguments, "--questions", str(questions)]) == 0
    assert [row["reward"] for row in rows(out)[:3]] == [1.0, 1.0, 1.0]
    questions.write_text(json.dumps({"id": "q0", "question": QUESTION, "answers": ["Wexmere"]}) + "\n")
    out.unlink()
    assert main([*arguments, "--questions", str(questions)]) == 2
    assert "'q1': the question is not among the questions" in capsys.readouterr().err


def test_torn_line_is_dropped_and_rewarded_again(rollouts, tmp_path, capsys):
    out = tmp_path / "rewards.jsonl"
    arguments = ["reward", "--trajectories", str(rollouts), "--out", str(out)]
    main(arguments)
    whole = out.read_bytes()
    out.write_bytes(whole[: len(whole) // 2])
    assert main(arguments) == 0
    assert "ended in half a line" in capsys.readouterr().err
    assert out.read_bytes() == whole


def test_another_config_or_trajectory_is_rewarded_anew(rollouts, tmp_path):
    out, config = tmp_path / "rewards.jsonl", tmp_path / "reward.yaml"
    main(["reward", "--trajectories", str(rollouts), "--out", str(out)])
    before = rows(out)
    config.write_text("gates: {search: 0}\nevidence: {pages: 4}\n")
    assert main(["reward", "--trajectories", str(rollouts), "--out", str(out), "--config", str(config)]) == 0
    assert rows(out)[0]["reward"] != before[0]["reward"] and len(rows(out)) == len(before)
    write(rollouts, [trail(("x", [FILM]), name="q0")])
    assert main(["reward", "--trajectories", str(rollouts), "--out", str(out), "--config", str(config)]) == 0
    (row,) = rows(out)
    assert row["trajectory"] not in {each["trajectory"] for each in before}


def test_kill_9_and_again_gives_the_same_bytes(rollouts, tmp_path):
    config = tmp_path / "reward.yaml"
    with chat_api.serve(lambda body: QUESTION if FILM[:10] in words_of(body) else "What is basalt?") as api:
        # Every trajectory its own trace: otherwise one answer would serve all groups.
        write(rollouts, [trail((f"x{n}", [FILM, OFF_TOPIC]), name=f"q{n}") for n in range(200)])
        config.write_text(
            "mask: {masker: patterns}\nsimilarity: token-f1\n"
            f"reconstruct: {{kind: llm, server: '{api.url}#tiny/chat&concurrency=4'}}\n"
        )

        def command(out: Path) -> list[str]:
            options = ["--trajectories", str(rollouts), "--config", str(config), "--out", str(out)]
            return [sys.executable, "-m", "ccs", "reward", *options]

        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        out = tmp_path / "killed.jsonl"

        def begun() -> bool:
            return out.exists() and out.stat().st_size > 0

        with chat_api.silent_once(api, begun):
            process = subprocess.Popen(command(out), cwd=_ROOT, env=environment, stderr=subprocess.DEVNULL)
            wait_until(begun, process)
            process.send_signal(signal.SIGKILL)
            process.wait()
        done = {row["question_id"] for row in rows(out)}
        assert 0 < len(done) < 200
        subprocess.run(command(out), cwd=_ROOT, env=environment, check=True, capture_output=True)
        times = Counter(map(words_of, api.bodies()))
        twice = {"q" + re.findall(r"\bx(\d+)\b", words)[-1] for words, count in times.items() if count > 1}
        assert len(times) == 200 and not twice & done  # what was done is not asked again
        clean = tmp_path / "clean.jsonl"
        subprocess.run(command(clean), cwd=_ROOT, env=environment, check=True, capture_output=True)
    assert out.read_bytes() == clean.read_bytes()
    assert all(row["reward"] is not None for row in rows(out))


def test_a_second_process_on_the_file_is_refused(rollouts, tmp_path, capsys):
    out = tmp_path / "rewards.jsonl"
    arguments = ["reward", "--trajectories", str(rollouts), "--out", str(out)]
    with open_reward_file(out, "other", "other"):
        other = subprocess.run(
            [sys.executable, "-m", "ccs", *arguments], cwd=_ROOT, capture_output=True, text=True, check=False
        )
    assert other.returncode == 2 and not out.exists()
    assert other.stderr == f"ccs: {out}: another process writes this file; wait for it or give another --out\n"
    assert main(arguments) == 0  # the lock ends with its holder


def test_failures_are_counted_and_tried_again(rollouts, tmp_path, capsys):
    config, out = tmp_path / "reward.yaml", tmp_path / "rewards.jsonl"
    write(rollouts, [perfect(), perfect(name="q2", answer="unreadable")])
    with chat_api.serve(lambda body: "eh" if "unreadable" in words_of(body) else "Score: 6") as api:
        config.write_text(f"reward: constitution\nserver: '{api.url}#tiny/chat'\n")
        arguments = ["reward", "--trajectories", str(rollouts), "--out", str(out), "--config", str(config)]
        assert main(arguments) == 1
        assert [row["reward"] for row in rows(out)] == [0.6, None]
        assert "1 trajectories could not be rewarded" in capsys.readouterr().err
        api.script = lambda body: "Score: 3"
        assert main(arguments) == 0
        assert [row["reward"] for row in rows(out)] == [0.6, 0.3]


def test_print_config(capsys):
    assert main(["reward", "--print-config"]) == 0
    assert "similarity: evidence" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--config", "CONFIG"], "unknown key rewrad"),
        (["--reward", "rlhf"], "--reward: reward is 'rlhf'; it is one of cycle"),
        (["--reward", "likelihood"], "give server: URL#MODEL"),
        (["--trajectories", "absent.jsonl"], "absent.jsonl: cannot be read"),
        (["--trajectories", "CONFIG"], "no valid JSON"),
        (["--out", "TRAJECTORIES"], "no line of `ccs reward`; give another --out"),
        (["--out", "/proc/nothing/x.jsonl"], "/proc/nothing/x.jsonl: cannot be used"),
        (["--reward", "f1", "--questions", "CONFIG"], "no valid JSON"),
    ],
)
def test_mistakes_are_one_line(rollouts, tmp_path, capsys, change, words):
    config = tmp_path / "reward.yaml"
    config.write_text("rewrad: cycle\n")
    names = {"CONFIG": str(config), "TRAJECTORIES": str(rollouts)}
    given = ["--trajectories", str(rollouts), "--out", str(tmp_path / "out.jsonl"), *(names.get(x, x) for x in change)]
    assert main(["reward", *given]) == 2
    error = capsys.readouterr().err.strip()
    assert words in error and len(error.splitlines()) == 1
    assert read_unchanged(rollouts)


def read_unchanged(path: Path) -> bool:
    return '"schema_version": 1' in path.read_text()[:40]
