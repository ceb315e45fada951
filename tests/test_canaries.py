"""Secrets planted in every option of every command: none is in an artefact, a log, a line on the screen."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import ccs.cli
import fresco.cli
from ccs.training.config import dump_train_config, read_train_config
from ccs.training.journal import Journal
from fresco.io import secrets
from fresco.terminal.arguments import address
from fresco.terminal.parser import AddCommand, make_parser
from tests.ccs.scripted import as_vllm, wanderer
from tests.servers import chat_api, rerank_api, retrieve_api

PASSWORD, TOKEN, SPELT = "Canary-Pw-4711", "canary.tok~0815", "Canary%2DPw%2D4711"
#: Addresses with secrets that nobody listens at, in the shapes of options: bare, of a part, of a database.
SHAPES = (
    f"http://user:{PASSWORD}@127.0.0.1:9/v1/rerank?token={TOKEN}",
    f"http:https://user:{SPELT}@127.0.0.1:9/v1/rerank?a=b&api_key={TOKEN}#model=m",
    f"llm:http://{PASSWORD}@127.0.0.1:9/v1?{TOKEN}#m&timeout=1",
    f"mysql+nothing://user:{PASSWORD}@127.0.0.1:9/x?sslkey={TOKEN}",
)
#: What makes each command go as far as it goes within a second or two; `{out}` is a new folder.
BASES = {
    "fresco score": "--limit 3 --resamples 5 --no-baselines --reranker random --out {out}/r --store {out}/s.sqlite",
    "fresco optimize": "--reranker tests.optimizer.obedient:Obedient --limit 8 --rounds 1 --population 2 --children 2 "
    "--seeds 1 --resamples 5 --no-baselines --out {out}/o --store {out}/s.sqlite",
    "fresco tune": "--reranker random --benchmark {out}/none --out {out}/t --store {out}/s.sqlite",
    "fresco answer": "--limit 3 --resamples 5 --no-baselines --reranker random "
    "--reader http://127.0.0.1:9/v1#m&retries=0 --out {out}/a --store {out}/s.sqlite",
    "fresco serve": "--reranker random --cure {out}/none.json",
    "fresco build": "--out {out}/b --mirror {out}/none.xml",
    "fresco audit": "mini --limit 3 --resamples 5 --out {out}/audit.json",
    "fresco attention": "{out}/none --limit 3",
    "fresco compare": "{out}/a {out}/b",
    "fresco report": "{out}/a --out {out}/page.html",
    "fresco parity": "random newest --limit 3 --store {out}/s.sqlite",
    "fresco parts": "measures",
    "fresco rerankers": "",
    "ccs index": "--corpus {out}/passages.jsonl --out {out}/index",
    "ccs serve": "--index {out}/none",
    "ccs rollout": "--questions {out}/questions.jsonl --model http://127.0.0.1:9/v1#m --retries 0 --timeout 1 "
    "--agent direct --out {out}/r.jsonl",
    "ccs reward": "--trajectories {out}/none.jsonl --out {out}/rewards.jsonl",
    "ccs evaluate": "--trajectories {out}/none.jsonl --questions {out}/questions.jsonl --out {out}/e",
    "ccs audit": "--trajectories {out}/none.jsonl --questions {out}/questions.jsonl --out {out}/e",
    "ccs train": "--config {out}/none.yaml --out {out}/train",
    "ccs warmup": "--config {out}/none.yaml --out {out}/warm",
    "ccs report": "{out}/none.jsonl --out {out}/page.html",
    "ccs parts": "rewards",
}


def subcommands() -> Iterator[tuple[str, argparse.ArgumentParser]]:
    commands: dict[str, Sequence[AddCommand]] = {"fresco": fresco.cli._COMMANDS, "ccs": ccs.cli._COMMANDS}
    for program, adding in commands.items():
        parser = make_parser(program, "", "", adding)
        (choices,) = (each.choices for each in parser._actions if isinstance(each, argparse._SubParsersAction))
        yield from ((f"{program} {name}", command) for name, command in choices.items())


def options() -> Iterator[tuple[str, str, str]]:
    """Every option and argument of every command that takes a value, with what is planted there.

    Those that take a server get every shape, the others one: they end at the parser.
    """
    for command, parser in subcommands():
        for number, action in enumerate(parser._actions):
            if action.nargs != 0:
                option = action.option_strings[0] if action.option_strings else action.dest
                shapes = SHAPES if action.type is address else SHAPES[number % len(SHAPES) :][:1]
                yield from ((command, option, shape) for shape in shapes)


def run(command: str, arguments: Sequence[str]) -> int:
    program, name = command.split()
    main = fresco.cli.main if program == "fresco" else ccs.cli.main
    try:
        return main([name, *arguments])
    except SystemExit as end:  # what argparse refuses
        return int(end.code or 0)


def assert_nothing_leaks(folder: Path, printed: str) -> None:
    for leaked in (PASSWORD, TOKEN, SPELT):
        assert leaked not in printed
        for path in folder.rglob("*"):
            assert not path.is_file() or leaked.encode() not in path.read_bytes(), f"{leaked} is in {path}"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where commands run that know of no secret of an earlier test, and write their logs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(secrets, "_known", set())
    monkeypatch.setenv("FRESCO_LOGS", str(tmp_path / "logs"))
    monkeypatch.setenv("FRESCO_STORE", str(tmp_path / "default.sqlite"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("FRESCO_DEBUG", raising=False)
    (tmp_path / "passages.jsonl").write_text('{"id": "1", "contents": "\\"A\\"\\nOf a."}\n')
    (tmp_path / "questions.jsonl").write_text('{"id": "q", "question": "Who?", "answers": ["A"]}\n')
    return tmp_path


def test_every_command_is_tried() -> None:
    assert {command for command, _ in subcommands()} == set(BASES)


@pytest.mark.parametrize(("command", "option", "shape"), list(options()))
def test_no_option_leaks_a_secret(
    command: str,
    option: str,
    shape: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    words = BASES[command].format(out=place).split()
    if not option.startswith("--"):
        given = [shape, *words[1:]]
    elif option in words:
        given = [*words[: words.index(option)], option, shape, *words[words.index(option) + 2 :]]
    else:
        given = [*words, option, shape]
    code = as_asked(monkeypatch, *command.split(), *given)
    printed = "".join(capfd.readouterr())
    assert code == 2, printed  # nobody listens there
    assert_nothing_leaks(place, printed)


def addresses(url: str) -> str:
    """The address of a server with secrets that it does not ask for."""
    return f"{url.replace('://', f'://user:{PASSWORD}@')}?token={TOKEN}"


def as_asked(monkeypatch: pytest.MonkeyPatch, *command: str) -> int:
    monkeypatch.setattr("sys.argv", list(command))
    return run(" ".join(command[:2]), command[2:])


@pytest.mark.slow
def test_a_scored_server_leaves_none(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with rerank_api.serve("jina") as api:
        spec = f"http:{addresses(api.url)}#model=tiny/reranker"
        base = ("--limit", "6", "--resamples", "5")
        score = ("fresco", "score", "--reranker", spec, *base, "--no-baselines", "--out", "run", "--json")
        assert as_asked(monkeypatch, *score) == 0
        asked = [headers for method, _, headers, _ in api.requests if method == "POST"]
        assert all("Authorization" in headers for headers in asked)  # the server was told
        for command in (
            ("fresco", "compare", "run", "run"),
            ("fresco", "report", "run", "--out", "page.html"),
            ("fresco", "parity", spec, "random", "--limit", "3"),
            ("fresco", "tune", "--reranker", spec, "--benchmark", "mini", "--resamples", "5", "--out", "tuned"),
        ):
            assert as_asked(monkeypatch, *command) in (0, 1), capfd.readouterr().err
        api.faults.append(rerank_api.status(400, {"detail": f"token {TOKEN} of user:{PASSWORD} is no good"}))
        assert as_asked(monkeypatch, *score[:-1], "--out", "other", "--store", "new.sqlite") == 2
    assert_nothing_leaks(place, "".join(capfd.readouterr()))
    assert "***" in (place / "run" / "run.json").read_text()


def test_an_agent_its_rewards_and_its_judge_leave_none(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [{"id": f"q{n}", "question": f"What is {n}?", "answers": [f"answer {n}"]} for n in range(4)]
    (place / "questions.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    script = lambda body: as_vllm(wanderer({"seed": 1, **body}), {"stop": [], **body})  # noqa: E731
    with chat_api.serve(script) as model, retrieve_api.serve(lambda query, k: [f'"T"\n{query}'] * k) as retriever:
        llm = f"{addresses(model.url)}#tiny/chat"
        (place / "reward.yaml").write_text(f"reconstruct: {{kind: llm, server: '{llm}'}}\nsimilarity: token-f1\n")
        files = ("--trajectories", "r.jsonl", "--questions", "questions.jsonl")
        for command in (
            ("rollout", *files[2:], "--model", llm, "--retriever", addresses(retriever.url), "--out", "r.jsonl"),
            ("reward", *files[:2], "--config", "reward.yaml", "--out", "rewards.jsonl", "--cache", "answers.sqlite"),
            ("evaluate", *files, "--judge", llm, "--out", "evaluated", "--resamples", "5"),
            ("audit", *files, "--config", "reward.yaml", "--out", "audited", "--resamples", "5"),
        ):
            assert as_asked(monkeypatch, "ccs", *command) in (0, 1), capfd.readouterr().err
    (place / "reward.yaml").unlink()  # the user's own
    assert (place / "rewards.jsonl").exists() and (place / "evaluated").exists()
    assert_nothing_leaks(place, "".join(capfd.readouterr()))


@pytest.mark.slow
def test_a_search_by_a_model_leaves_none(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with chat_api.serve(lambda body: '["prefer what is current", "new first"]') as model:
        words = BASES["fresco optimize"].format(out=place).replace("--limit 8", "--limit 60").split()
        words += ["--proposer", f"llm:{addresses(model.url)}#tiny/chat"]
        assert as_asked(monkeypatch, "fresco", "optimize", *words) == 0, capfd.readouterr().err
        assert (place / "o" / "study.db").exists() and model.requests
    assert_nothing_leaks(place, "".join(capfd.readouterr()))


def test_the_folder_of_a_training_run_holds_none(place: Path) -> None:
    changes = [f"data.retriever={addresses('http://127.0.0.1:9/retrieve')}"]
    config = read_train_config("demo", changes)
    assert TOKEN in config.data.retriever
    for _ in range(2):  # the second time the folder is compared with it
        Journal(place / "run").claim(config)
    assert "***" in (place / "run" / "config.yaml").read_text()
    assert_nothing_leaks(place, dump_train_config(config))


def test_a_traceback_that_is_asked_for_holds_none(tmp_path: Path) -> None:
    program = "import fresco.api as a, sys; a.score = lambda *_, **__: 1 / 0; from fresco.cli import main; main()"
    spec = f"http:{addresses('http://127.0.0.1:9/rerank')}"
    command = [sys.executable, "-c", program.replace("1 / 0", f"[][len({spec!r})]"), "score", "--reranker", spec]
    environment = {**os.environ, "FRESCO_DEBUG": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "IndexError" in done.stderr and done.returncode == 1
    assert_nothing_leaks(tmp_path, done.stdout + done.stderr)
