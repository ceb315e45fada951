"""The functions at the root of ``ccs``: what the commands can do, in Python, with objects in the place of files."""

from __future__ import annotations

import argparse
import inspect
import json
import multiprocessing
import runpy
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import ccs
from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.cli import _COMMANDS, main
from ccs.retrieve.index import Index
from ccs.rewards.baselines import exact_match_reward
from ccs.training.config import TrainConfig
from fresco.errors import FrescoError
from tests.ccs.scripted import NILE, Shelf, as_vllm, wanderer
from tests.servers import chat_api

ROOT = Path(__file__).parents[2]
ASKED = [Question(f"q{n}", f"What is {n}?", (f"answer {n}",), ("Title",), "toy") for n in range(4)]


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def rollouts() -> ccs.rollouts.run.Rollouts:
    with chat_api.serve(lambda body: as_vllm(wanderer(body), body)) as model:
        return ccs.rollout(ASKED, f"{model.url}#tiny/chat", Shelf(), samples=3, progress=False)


def test_the_package_is_imported_quickly_and_says_what_it_has():
    heavy = "'numpy', 'pandas', 'httpx', 'torch', 'rich', 'yaml'"
    assert python(f"import ccs, sys; print([each for each in ({heavy}) if each in sys.modules])") == "[]"
    assert {"index", "serve", "rollout", "reward", "audit", "evaluate", "train"} <= set(dir(ccs))
    with pytest.raises(AttributeError, match="no attribute 'trane'"):
        _ = ccs.trane


def test_every_command_is_a_function_with_its_options():
    commands = argparse.ArgumentParser().add_subparsers()
    for add in _COMMANDS:
        add(commands)
    for name, parser in commands.choices.items():
        if name == "parts":  # lists what there is; nothing to compute
            continue
        said = {action.dest for action in parser._actions} - {"help", "json", "print_config"}
        taken = set(inspect.signature(getattr(ccs, name)).parameters)
        if name == "serve":
            said = {each for each in said if not each.startswith("max_")}  # one parameter, `limits`
        assert said <= taken, name


def test_rollouts_in_memory(rollouts):
    assert len(rollouts) == len(ASKED) * 3 == len(list(rollouts)) and rollouts.path is None
    assert isinstance(rollouts[0], Trajectory) and rollouts.stops.keys() <= {"answer", "turns"}
    frame = rollouts.to_frame()
    assert list(frame["question_id"][:4]) == ["q0", "q0", "q0", "q1"] and "<table" in rollouts._repr_html_()


def test_a_file_is_the_same_as_no_file_and_goes_on(rollouts, tmp_path):
    out = tmp_path / "r.jsonl"
    with chat_api.serve(lambda body: as_vllm(wanderer(body), body)) as model:
        chosen = {"samples": 3, "progress": False}
        kept = ccs.rollout(ASKED, f"{model.url}#tiny/chat", Shelf(), out=out, **chosen)
        asked = len(model.requests)
        again = ccs.rollout(ASKED, f"{model.url}#tiny/chat", Shelf(), out=out, **chosen)
        assert len(model.requests) == asked
    assert kept.path == out and [each.answer for each in kept] == [each.answer for each in rollouts]
    assert list(again) == list(kept) and not again.counts
    assert json.loads((tmp_path / "r.jsonl.run.json").read_text())["status"] == "complete"


def test_a_reward_by_name_by_mapping_and_as_an_object(rollouts, tmp_path):
    default = ccs.reward(rollouts, progress=False)
    assert len(default) == len(rollouts) and list(default) == list(default.to_frame()["reward"])
    assert ccs.reward(list(rollouts), config={"reward": "cycle"}, out=tmp_path / "x", progress=False).values == [
        round(value, 6) for value in default.known
    ]
    by_name = ccs.reward(rollouts, "exact-match", questions=ASKED, progress=False)
    assert by_name.values == ccs.reward(rollouts, exact_match_reward(), questions=ASKED, progress=False).values
    with pytest.raises(FrescoError, match="needs gold answers"):
        ccs.reward(rollouts, "exact-match", progress=False)
    with pytest.raises(FrescoError, match="not both"):
        ccs.reward(rollouts, "f1", config={}, progress=False)


def test_audit_and_evaluate_give_tables_and_folders(rollouts, tmp_path):
    report = ccs.audit(rollouts, ASKED, resamples=50, out=tmp_path / "audit", progress=False)
    assert report.verdict and "gain: question pasted" in set(report.to_frame()["name"])
    assert json.loads((tmp_path / "audit" / "audit.json").read_text())["verdict"] == report.verdict
    evaluation = ccs.evaluate(rollouts, ASKED, resamples=50, out=tmp_path / "measured", progress=False)
    frame = evaluation.to_frame()
    assert isinstance(frame, pd.DataFrame) and set(frame["dataset"]) == {"toy"}
    assert json.loads((tmp_path / "measured" / "metrics.json").read_text())["rows"] == evaluation.rows
    assert "<table" in evaluation._repr_html_() and "<table" in report._repr_html_()


def test_an_index_is_a_retriever(tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(json.dumps({"id": 1, "title": "The Nile", "text": "It flows from Lake Victoria."}) + "\n")
    made = ccs.index(corpus, tmp_path / "index", progress=False)
    assert isinstance(made, Index) and made.search(["Nile"], 3)[0][0].id == "1"
    with pytest.raises(FrescoError, match="--method dense needs a model"):
        ccs.index(corpus, tmp_path / "other", method="dense", progress=False)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"agent": "poet"}, "there is no agent 'poet'"),
        ({"api": "morse"}, "api is 'morse'"),
        ({"retriever": None}, "needs --retriever"),
        ({"retriever": "/nowhere"}, "neither a URL nor a folder"),
        ({"questions": []}, "there is no question"),
        ({"questions": [NILE, NILE]}, "'q1' is in several"),
    ],
)
def test_bad_input_is_refused_as_by_the_command(given, said):
    chosen = {"questions": [NILE], "retriever": Shelf(), **given}
    with pytest.raises(FrescoError, match=said):
        ccs.rollout(model="http://127.0.0.1:1/v1#m", progress=False, **chosen)


def test_train_is_a_function_and_a_module_that_runs(capsys):
    before = ccs.train
    for _ in range(2):  # one after the other, in one process
        with pytest.raises(SystemExit) as ended:
            argv, sys.argv = sys.argv, ["ccs.train", "--print-config"]
            try:
                runpy.run_module("ccs.train", run_name="__main__")
            finally:
                sys.argv = argv
        assert ended.value.code == 0 and "optimization:" in capsys.readouterr().out
        assert ccs.train is before
    with pytest.raises(ImportError, match=r"package is ccs\.training"):
        __import__("ccs.train")
    assert ccs.train is before and callable(before)
    assert "ccs.training" in python("import ccs.training.config as c, ccs; print(c.__name__, ccs.train.__name__)")
    assert main(["train", "--config", "demo", "--print-config"]) == 0


def test_processes_that_a_training_run_spawns_start(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, multiprocessing, ccs.cli\n"
        "def main(arguments):\n"
        "    process = multiprocessing.get_context('spawn').Process(target=print, args=('child is up',))\n"
        "    process.start(); process.join()\n"
        "    return process.exitcode\n"
        "ccs.cli.main = main\n"
        "import runpy; runpy._run_module_as_main('ccs.train')\n"
    )
    assert multiprocessing.get_context("spawn")
    done = subprocess.run([sys.executable, script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "child is up"), done.stderr


def test_train_takes_a_mapping_and_refuses_what_the_command_refuses(tmp_path):
    with pytest.raises(FrescoError, match="unknown key"):
        ccs.train({"modell": {}}, tmp_path)
    with pytest.raises(FrescoError, match=r"model\.path is missing"):
        ccs.train({}, tmp_path)
    with pytest.raises(FrescoError, match="no such file, nor a preset"):
        ccs.train("nothing", tmp_path)
    with pytest.raises(FrescoError, match=r"dataclasses\.replace"):
        ccs.train(TrainConfig(), tmp_path, set=["optimization.steps=1"])
