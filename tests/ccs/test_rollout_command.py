"""``ccs rollout`` as a process of its own, against servers over real sockets: killed, interrupted, badly served."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ccs.rollouts.file import read_trajectories
from tests import commands
from tests.ccs.scripted import as_vllm, wanderer
from tests.servers import chat_api, retrieve_api
from tests.servers.rerank_api import slow, status
from tests.waiting import PATIENCE, wait_until

ROOT = Path(__file__).parents[2]


def finds(query: str, k: int) -> list[str]:
    return [f'"Title {n}"\nOn {query}. </information>' for n in range(k)]


@contextmanager
def servers(**fields: Any) -> Iterator[tuple[chat_api.ChatApi, retrieve_api.RetrieveApi]]:
    script = lambda body: as_vllm(wanderer(body), body)  # noqa: E731
    with chat_api.serve(script, **fields) as model, retrieve_api.serve(finds) as retriever:
        yield model, retriever


def nothing(handler: Any, _: dict[str, Any]) -> None:
    handler.send(200, {"result": []})


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    rows = [{"id": f"q{n}", "question": f"What is {n}? <search>\x00", "answers": [f"answer {n}"]} for n in range(10)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ccs", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ccs(*arguments: object) -> tuple[int, str, str]:
    done = commands.run("ccs", *arguments, cwd=ROOT, env={**os.environ, "NO_PROXY": "127.0.0.1"})
    return done.returncode, done.stdout, done.stderr


def options(model: chat_api.ChatApi, retriever: retrieve_api.RetrieveApi, questions: Path, out: Path) -> list[object]:
    words = ["rollout", "--questions", questions, "--model", f"{model.url}#tiny/chat", "--retriever", retriever.url]
    return [*words, "--out", out, "--samples", 3, "--seed", 1, "--concurrency", 4]


def records(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        for turn in row["turns"]:
            turn["generation_seconds"] = turn["retrieval_seconds"] = 0
    return rows


def has_lines(path: Path, count: int) -> bool:
    return path.exists() and path.read_bytes().count(b"\n") >= count


def test_killed_and_run_again_it_ends_with_the_same_records(tmp_path: Path, questions: Path) -> None:
    with servers(delay=0.03) as (model, retriever):
        whole, killed = tmp_path / "whole.jsonl", tmp_path / "killed.jsonl"
        code, out, err = ccs(*options(model, retriever, questions, whole))
        assert code == 0, err
        assert "30 trajectories" in out
        for count in (3, 12):
            process = start(*options(model, retriever, questions, killed))
            wait_until(lambda n=count: has_lines(killed, n), process)  # type: ignore[misc]
            process.kill()
            process.communicate()
        with killed.open("ab") as stream:
            stream.write(b'{"schema_version": 1, "question_id": "q')
        code, _, err = ccs(*options(model, retriever, questions, killed))
        record = (tmp_path / "whole.jsonl.run.json").read_bytes()
        assert ccs(*options(model, retriever, questions, whole))[0] == 0
        assert (tmp_path / "whole.jsonl.run.json").read_bytes() == record  # nothing was left to do
    assert code == 0, err
    assert "ended in half a line" in err
    assert records(killed) == records(whole)
    assert [(row["question_id"], row["sample"]) for row in records(whole)] == [
        (f"q{n}", sample) for n in range(10) for sample in range(3)
    ]
    run = json.loads(record)
    assert run["status"] == "complete"
    assert run["identity"]["top_k"] == 3


def test_ctrl_c_keeps_what_was_done(tmp_path: Path, questions: Path) -> None:
    out = tmp_path / "a.jsonl"
    with servers() as (model, retriever):
        with chat_api.silent_once(model, lambda: has_lines(out, 2)):
            process = start(*options(model, retriever, questions, out))
            wait_until(lambda: has_lines(out, 2), process)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 130
        assert "ccs: interrupted" in err
        assert "Traceback" not in err
        assert len(read_trajectories(out)) >= 2
        assert ccs(*options(model, retriever, questions, out))[0] == 0
    assert len(read_trajectories(out)) == 30


def test_a_retriever_that_fails_hangs_or_says_nothing(tmp_path: Path, questions: Path) -> None:
    with servers() as (model, retriever):
        whole = tmp_path / "whole.jsonl"
        ccs(*options(model, retriever, questions, whole))
        first = [next((turn["query"] for turn in row["turns"] if turn["query"]), None) for row in records(whole)]
        faults = dict(zip(filter(None, first), [status(500), slow(PATIENCE), nothing], strict=False))
        assert len(faults) == 3

        def fault(body: dict[str, Any]) -> Any:  # the same query fails however often it is tried
            (query,) = body["queries"]
            return faults.get(query)

        retriever.fault_on = fault
        out = tmp_path / "a.jsonl"
        # A busy machine answers within the timeout, too.
        words = [*options(model, retriever, questions, out), "--timeout", 5, "--retries", 0]
        words += ["--concurrency", 1]  # so that no two of the three are asked together
        code, said, err = ccs(*words)
        assert code == 1, err
        failed = [row for row in records(out) if row["stop"] == "error"]
        assert len(failed) == 3
        assert f"error {len(failed)}" in said
        assert f"ccs: {len(failed)} rollouts failed (the first with:" in err
        assert any("500" in row["error"] for row in failed)
        assert any("no answer within" in row["error"] for row in failed)
        assert all(turn["hits"] for row in records(out) for turn in row["turns"] if turn["query"])
        assert json.loads((tmp_path / "a.jsonl.run.json").read_text())["status"] == "incomplete"
        retriever.fault_on = None
        assert ccs(*words)[0] == 0
    assert records(out) == records(whole)


def test_searches_that_find_nothing_are_said(tmp_path: Path, questions: Path) -> None:
    with servers() as (model, retriever):
        retriever.finds = lambda query, k: []
        code, out, err = ccs(*options(model, retriever, questions, tmp_path / "a.jsonl"))
    assert code == 0
    assert "searches that found nothing" in out
    assert "ccs: no search found anything" in err


def test_the_baselines_leave_the_same_records(tmp_path: Path, questions: Path) -> None:
    with servers() as (model, retriever):
        for agent in ("rag", "cot", "direct"):
            out = tmp_path / f"{agent}.jsonl"
            assert ccs(*options(model, retriever, questions, out), "--agent", agent)[0] == 0
            searches = {len(trajectory.searches) for trajectory in read_trajectories(out)}
            assert searches == {1 if agent == "rag" else 0}
            code, table, err = ccs("evaluate", "--trajectories", out, "--questions", questions)
            assert code == 0, err
            assert "exact match" in table


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["--questions", "none.jsonl"], "there are no questions 'none.jsonl'"),
        (["--samples", "0"], "0 is not above zero"),
        (["--temperature", "3"], "3 is not at least 0 and at most 2"),
        (["--model", "nonsense"], "the URL cannot be read"),
        (["--model", "http://127.0.0.1:9/v1"], "127.0.0.1:9"),
        (["--top-k", "40"], "hold no 40 passages"),
        (["--agent", "nobody"], "invalid choice"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, questions: Path, changes: list[str], words: str) -> None:
    with servers() as (model, retriever):
        code, _, err = ccs(*options(model, retriever, questions, tmp_path / "a.jsonl"), *changes)
    assert code == 2
    assert err.startswith("ccs")
    assert err.count("\n") == 1
    assert words in err


def test_a_search_agent_needs_a_retriever(tmp_path: Path, questions: Path) -> None:
    with servers() as (model, _):
        code, _, err = ccs(
            *["rollout", "--questions", questions, "--model", f"{model.url}#tiny/chat", "--out", tmp_path / "a.jsonl"]
        )
    assert code == 2
    assert "needs --retriever" in err
