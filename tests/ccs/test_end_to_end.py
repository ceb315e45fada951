"""Every command of ``ccs`` as a user runs them, one on the output of the other, each a process of its own.

The model alone is scripted, behind OpenAI's wire format. By its seed it is a good agent, which reads the town in what
its first search returned and searches for that; one that stops half-way; one that looks for something else; or one
that makes its information up.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx
import pytest

from ccs.agent.trajectory import Trajectory
from ccs.cli import main
from ccs.rollouts.file import read_trajectories
from tests import commands
from tests.ccs.retrieve.corpora import write_rows
from tests.ccs.scripted import as_vllm
from tests.servers import chat_api
from tests.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]
SAMPLES = 4
KINDS = ("good", "half", "astray", "forger")
_FIRST = ("Ada", "Bruno", "Cleo", "Dario", "Edda", "Femke", "Goran", "Hilda", "Ivo", "Juno", "Karel", "Livia")
_LAST = ("Quillfeather", "Marsh", "Tolland", "Birch", "Ostrow", "Vane", "Penrose", "Haldane", "Ludd", "Sorrel")
_TOWN = ("Brindle", "Crow", "Dun", "Elder", "Fen", "Gold", "Hare", "Iron", "Juniper", "Kest", "Lark", "Moss")
#: Person, town, county.
FACTS = [
    (f"{first} {_LAST[n % len(_LAST)]}", f"{_TOWN[n]}moor", f"{_TOWN[-1 - n]}shire") for n, first in enumerate(_FIRST)
]


def script(body: dict[str, Any]) -> dict[str, Any]:
    return as_vllm(_says(body), body)


def _says(body: dict[str, Any]) -> str:
    asked, *told = [message["content"] for message in body["messages"] if message["role"] == "user"]
    person = re.findall(r"birthplace of (.+) in\?", asked)[-1]
    seen, kind = "\n".join(told), KINDS[body["seed"] % len(KINDS)]
    if kind == "forger":
        return f"<information>{person} was born in Atlantis.</information><answer>Atlantis</answer>" * (not told)
    if not told:
        return f"<think>Who?</think>\n<search>{'cheese and bread' if kind == 'astray' else person}</search>"
    town = re.search(rf"{person} was born in (\w+)", seen)
    if kind == "good" and town and len(told) == 1:
        return f"<think>Where is {town[1]}?</think>\n<search>county of {town[1]}</search>"
    county = re.search(rf"{town[1]} is a town in (\w+)", seen) if town else None
    return f"<think>That is all.</think>\n<answer>{county[1] if county else 'Atlantis'}</answer>"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus and the questions on it."""
    folder = tmp_path_factory.mktemp("world")
    pages = [(person, f"{person} was born in {town}. The painter has nine sisters.") for person, town, _ in FACTS]
    pages += [(town, f"{town} is a town in {county}. Its market is on Mondays.") for _, town, county in FACTS]
    pages += [(f"Cheese {n}", f"Cheese {n} goes well with bread and wine.") for n in range(40)]
    write_rows(folder / "corpus.jsonl", [{"id": f"p{n}", "title": t, "text": x} for n, (t, x) in enumerate(pages)])
    rows = [
        {
            "id": f"q{n}",
            "question": f"Which county is the birthplace of {person} in?",
            "answers": [county],
            "passages": [{"title": title, "gold": True} for title in (person, town)],
        }
        for n, (person, town, county) in enumerate(FACTS)
    ]
    write_rows(folder / "questions.jsonl", rows)
    return folder


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ccs", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ccs(*arguments: object) -> str:
    done = commands.run("ccs", *arguments, cwd=ROOT, env={**os.environ, "NO_PROXY": "127.0.0.1"})
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def retriever(world: Path) -> Iterator[str]:
    """The address of ``ccs serve`` on the index of ``ccs index``."""
    said = ccs("index", "--corpus", world / "corpus.jsonl", "--out", world / "index")
    assert f"index of {2 * len(FACTS) + 40} passages" in said
    process = start("serve", "--index", world / "index", "--port", 0)
    assert process.stderr is not None
    address = re.search(r"http://[\d.]+:\d+", process.stderr.readline())
    assert address
    yield address[0]
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err


@pytest.fixture(scope="module")
def model() -> Iterator[chat_api.ChatApi]:
    with chat_api.serve(script) as running:
        yield running


def rollout(model: chat_api.ChatApi, retriever: object, world: Path, out: Path) -> list[object]:
    words = ["rollout", "--questions", world / "questions.jsonl", "--model", f"{model.url}#tiny/chat", "--out", out]
    return [*words, "--retriever", retriever, "--samples", SAMPLES, "--seed", 3, "--concurrency", 4]


@pytest.fixture(scope="module")
def rollouts(model: chat_api.ChatApi, retriever: str, world: Path) -> Path:
    out = world / "rollouts.jsonl"
    said = ccs(*rollout(model, retriever, world, out))
    assert f"{SAMPLES * len(FACTS)} trajectories" in said
    return out


def kind(trajectory: Trajectory) -> str:
    assert trajectory.seed is not None
    return KINDS[trajectory.seed % len(KINDS)]


def test_the_agent_answers_from_what_it_found(rollouts: Path, retriever: str) -> None:
    assert httpx.get(f"{retriever}/health", timeout=PATIENCE).json() == {"status": "ok"}
    trajectories = read_trajectories(rollouts)
    assert [(each.question_id, each.sample) for each in trajectories] == [
        (f"q{n}", sample) for n in range(len(FACTS)) for sample in range(SAMPLES)
    ]
    assert {kind(each) for each in trajectories} == set(KINDS)
    for each in trajectories:
        person, town, county = FACTS[int(each.question_id[1:])]
        found = "\n".join(hit.contents for turn in each.searches for hit in turn.hits)
        if kind(each) == "good":
            assert each.answer == county
            assert [turn.query for turn in each.searches] == [person, f"county of {town}"]
            assert f"{town} is a town in {county}" in found
        elif kind(each) == "forger":
            assert not each.searches
            assert each.turns[0].fault == "own information"
            assert "Atlantis" not in each.turns[0].text
        else:
            assert (each.stop, each.answer, len(each.searches)) == ("answer", "Atlantis", 1)
            assert ("was born in" in found) == (kind(each) == "half")
    record = json.loads(rollouts.with_name("rollouts.jsonl.run.json").read_text())
    assert record["status"] == "complete"


def _timeless(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        for turn in row["turns"]:
            turn["generation_seconds"] = turn["retrieval_seconds"] = 0
    return rows


def test_killed_half_way_it_ends_with_the_same_trajectories(
    model: chat_api.ChatApi, retriever: str, world: Path, rollouts: Path, tmp_path: Path
) -> None:
    killed = tmp_path / "killed.jsonl"

    def reached() -> bool:
        return killed.exists() and killed.read_bytes().count(b"\n") >= 10

    with chat_api.silent_once(model, reached):
        process = start(*rollout(model, retriever, world, killed))
        wait_until(reached, process)
        process.kill()
        process.communicate()
    assert 10 <= killed.read_bytes().count(b"\n") < SAMPLES * len(FACTS)
    ccs(*rollout(model, retriever, world, killed))
    assert _timeless(killed) == _timeless(rollouts)


def test_an_index_in_the_same_process_finds_the_same(
    model: chat_api.ChatApi, world: Path, rollouts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    local = tmp_path / "local.jsonl"
    assert main([str(word) for word in rollout(model, world / "index", world, local)]) == 0
    assert _timeless(local) == _timeless(rollouts)


def test_reward_evaluation_and_audit_agree_with_the_script(world: Path, rollouts: Path, tmp_path: Path) -> None:
    trajectories = read_trajectories(rollouts)
    files = ["--trajectories", rollouts, "--questions", world / "questions.jsonl"]

    ccs("reward", "--trajectories", rollouts, "--out", tmp_path / "rewards.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "rewards.jsonl").read_text().splitlines()]
    assert [(row["question_id"], row["sample"]) for row in rows] == [(t.question_id, t.sample) for t in trajectories]
    mean = {
        name: fmean(row["reward"] for row, each in zip(rows, trajectories, strict=True) if kind(each) == name)
        for name in KINDS
    }
    assert mean["good"] > 1.2 * mean["half"] > mean["half"] > 2 * mean["astray"] >= 0 == mean["forger"]

    table = ccs("evaluate", *files, "--out", tmp_path / "evaluation")
    assert "exact match" in table
    metrics = json.loads((tmp_path / "evaluation" / "metrics.json").read_text())
    found = {row["metric"]: row["value"] for row in metrics["rows"] if row["dataset"] == "questions"}
    recall = {"good": 1.0, "half": 0.5, "astray": 0.0, "forger": 0.0}
    by_question = [trajectories[at : at + SAMPLES] for at in range(0, len(trajectories), SAMPLES)]
    assert found["exact match"] == pytest.approx(fmean(fmean(kind(t) == "good" for t in each) for each in by_question))
    assert found["gold recall"] == pytest.approx(fmean(recall[kind(each)] for each in trajectories))

    table = ccs("audit", *files, "--out", tmp_path / "audit", "--resamples", 100)
    audit = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert audit["verdict"] in table
    assert audit["counts"]["trajectories"] == len(trajectories)
    assert audit["figures"]["mean"]["value"] == pytest.approx(fmean(row["reward"] for row in rows), abs=1e-5)
    assert audit["figures"]["auroc correct"]["value"] > 0.95
    assert audit["figures"]["spearman recall"]["value"] > 0.8
    assert audit["cheats"]["information fabricated"]["gain"]["value"] <= 0
    assert (tmp_path / "audit" / "cheats.png").stat().st_size > 1000
