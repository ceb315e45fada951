"""The command as a user runs it: a process of its own, its two streams, its exit code and its files."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import ir_measures
import pandas as pd
import pytest

from tests import commands
from tests.waiting import PATIENCE, wait_until

ROWS = {"reranker", "task", "kind", "metric", "value", "ci_low", "ci_high", "n"}
QUICK = ("--benchmark", "mini", "--limit", "40", "--resamples", "50")


def fresco(*arguments, cwd):
    return commands.run("fresco", *arguments, cwd=cwd, env=environment(cwd))


def start(*arguments, cwd):
    return subprocess.Popen(
        [sys.executable, "-m", "fresco", *arguments],
        cwd=cwd,
        env=environment(cwd),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stored(store):
    """How many scores a store holds."""
    try:
        with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True, timeout=PATIENCE)) as database:
            return database.execute("SELECT COUNT(*) FROM scores").fetchone()[0]
    except sqlite3.OperationalError:  # not made yet
        return 0


def environment(cwd):
    root = str(Path(__file__).parents[1])
    return {**os.environ, "PYTHONPATH": root, "FRESCO_STORE": str(Path(cwd) / "scores.sqlite")}


def files_of(folder):
    """Every file that must be the same bytes after the same command: all but the record with its times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and path.name != "run.json"
    }


def test_the_main_job(tmp_path):
    process = start("score", *QUICK, cwd=tmp_path)
    said, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    for name in ("random", "newest", "bm25", "latest", "half-life:bm25,365", "stale@1", "results:", "cross-encoder:"):
        assert name in said
    (folder,) = (tmp_path / "fresco-results").iterdir()
    record = json.loads((folder / "run.json").read_text())
    assert record["schema_version"] == 1
    assert record["benchmark"]["name"] == "mini"
    assert {row["name"] for row in record["rerankers"]} == {"random", "newest", "bm25", "latest", "half-life:bm25,365"}
    for plot in ("quality", "stale_by_age"):
        assert (folder / "plots" / f"{plot}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (folder / "plots" / f"{plot}.svg").read_text()
    per_query = pd.read_parquet(folder / "per_query.parquet")
    assert len(per_query) == 5 * record["benchmark"]["queries"]


def test_trec_files_give_the_same_figures_to_another_tool(tmp_path):
    """Another evaluator reads our run and qrels and finds our Hit@1 and MAP (a re-ranker without ties)."""
    fresco("score", *QUICK, "--out", "out", cwd=tmp_path)
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert [each["file"] for each in record["rerankers"] if each["name"] == "random"] == ["runs/random.trec"]
    run = list(ir_measures.read_trec_run(str(tmp_path / "out" / "runs" / "random.trec")))
    qrels = list(ir_measures.read_trec_qrels(str(tmp_path / "out" / "qrels.trec")))
    theirs = ir_measures.calc_aggregate([ir_measures.AP, ir_measures.Success @ 1], qrels, run)
    per_query = pd.read_parquet(tmp_path / "out" / "per_query.parquet").query("reranker == 'random'")
    assert per_query["MAP"].mean() == pytest.approx(theirs[ir_measures.AP], abs=1e-6)
    assert per_query["Hit@1"].mean() == pytest.approx(theirs[ir_measures.Success @ 1], abs=1e-6)


def test_json_is_alone_on_standard_output(tmp_path):
    done = fresco("score", *QUICK, "--json", cwd=tmp_path)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(set(row) - {"conflict"} == ROWS for row in rows)
    assert {(row["task"], row["kind"]) for row in rows} == {
        ("EK", "explicit"), ("EK", "implicit"), ("EK", "all"), ("NEK", "all"),
    }  # fmt: skip
    assert "results:" in done.stderr


def test_a_second_run_scores_nothing_and_writes_the_same_bytes(tmp_path):
    fresco("score", *QUICK, "--out", "one", cwd=tmp_path)
    fresco("score", *QUICK, "--out", "two", cwd=tmp_path)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    record = json.loads((tmp_path / "two" / "run.json").read_text())
    assert [row["pairs_scored"] for row in record["rerankers"]] == [0] * 5


SLOW_PLUG_IN = """
import time

class Slow:
    name = "slow"
    takes_instruction = False
    pointwise = True
    fingerprint = "slow-1"  # without one nothing is kept between runs

    def score(self, query, passages, instruction=None):
        time.sleep(0.02)
        return [float(len(set(passage.text) & set(query.text))) for passage in passages]
"""


def test_killed_and_run_again_it_ends_in_the_same_bytes(tmp_path):
    (tmp_path / "slow_plugin.py").write_text(SLOW_PLUG_IN)
    command = ("score", *QUICK, "--reranker", "slow_plugin:Slow", "--no-baselines")
    fresco(*command, "--out", "whole", "--store", "other.sqlite", cwd=tmp_path)
    for number in (1, 1500):  # more of this in tests/campaign
        process = start(*command, "--out", "killed", "--store", "killed.sqlite", cwd=tmp_path)
        wait_until(lambda n=number: stored(tmp_path / "killed.sqlite") >= n, process)
        process.kill()
        process.communicate()
    done = fresco(*command, "--out", "killed", "--store", "killed.sqlite", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / "killed") == files_of(tmp_path / "whole")


def test_interrupted_it_says_how_to_go_on(tmp_path):
    (tmp_path / "slow_plugin.py").write_text(SLOW_PLUG_IN.replace("0.02", "2"))  # it does not end before
    process = start("score", *QUICK, "--reranker", "slow_plugin:Slow", "--no-baselines", cwd=tmp_path)
    wait_until(lambda: stored(tmp_path / "scores.sqlite"), process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "the same command goes on from there" in errors
    assert "Traceback" not in errors


def test_hidden_dates_change_the_texts(tmp_path):
    fresco("score", *QUICK, "--out", "shown", cwd=tmp_path)
    fresco("score", *QUICK, "--out", "hidden", "--timestamps", "none", cwd=tmp_path)
    shown, hidden = files_of(tmp_path / "shown"), files_of(tmp_path / "hidden")
    assert shown["runs/newest.trec"] == hidden["runs/newest.trec"]  # it reads the date itself
    assert shown["runs/bm25.trec"] != hidden["runs/bm25.trec"]


def test_fail_if(tmp_path):
    failed = fresco("score", *QUICK, "--reranker", "bm25", "--fail-if", "stale@1>0", cwd=tmp_path)
    assert failed.returncode == 1
    assert "--fail-if stale@1>0: bm25 has" in failed.stderr
    passed = fresco("score", *QUICK, "--reranker", "bm25", "--fail-if", "stale@1>1", cwd=tmp_path)
    assert passed.returncode == 0, passed.stderr


def test_a_condition_holds_for_the_named_rerankers_alone(tmp_path):
    """random stands beside every model; its staleness must not fail somebody's pipeline."""
    done = fresco("score", *QUICK, "--reranker", "newest", "--fail-if", "stale@1>0.2", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_of_identical_runs_at_once_one_writes_and_the_others_say_so(tmp_path):
    environment = {**os.environ, "FRESCO_STORE": str(tmp_path / "scores.sqlite")}
    command = [sys.executable, "-m", "fresco", "score", *QUICK, "--out", "run"]
    runs = [
        subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
        for _ in range(3)
    ]
    said = [run.communicate()[1].decode() for run in runs]
    codes = [run.returncode for run in runs]
    assert 0 in codes
    for code, text in zip(codes, said, strict=True):  # one that comes when another has ended finds its own run
        assert code == 0 or (code == 2 and "another process is at work in this folder" in text), text
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())


def test_compare(tmp_path):
    fresco("score", *QUICK, "--out", "a", "--reranker", "bm25", "--no-baselines", cwd=tmp_path)
    fresco("score", *QUICK, "--out", "b", "--reranker", "half-life:bm25,365", "--no-baselines", cwd=tmp_path)
    done = fresco("compare", "a", "b", "--metric", "Hit@1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "half-life:bm25,365" in done.stdout
    assert "NEK all" in done.stdout


def test_rerankers_are_listed(tmp_path):
    done = fresco("rerankers", cwd=tmp_path)
    assert done.returncode == 0
    for spec in ("half-life:BASE,DAYS", "causal-lm:MODEL", "pip install 'fresco-ccs[models]'", "module:Class"):
        assert spec in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("score", "--benchmark", "maxi"), "mini"),
        (("score", "--reranker", "bm52"), "--reranker bm52: unknown"),
        (("score", "--reranker", "half-life:bm25"), "half-life:BASE,DAYS"),
        (("score", "--no-baselines"), "nothing to score"),
        (("score", "--fail-if", "stale>0.2"), "stale"),
        (("score", "--fail-if", "stale@1>high"), "high"),
        (("score", "--limit", "0"), "not above zero"),
        (("score", "--limit", "many"), "--limit"),
        (("score", "--seed", "-1"), "--seed: -1 is below zero"),
        (("score", "--instruction", "Prefer new."), "no re-ranker of this run takes one"),
        (("score", "--instruction", "@nowhere.txt"), "nowhere.txt"),
        (("score", "--split", "dev"), "--split"),
        (("score", "--out", "/proc/nowhere"), "/proc/nowhere"),
        (("score", "--store", "/proc/nowhere/s"), "--store"),
        (("score", "--benchmark", "mini", "--nek", "nowhere"), "nowhere"),
        (("compare", "nowhere", "nothing"), "nowhere"),
        (("sing",), "sing"),
        ((), "COMMAND"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(arguments, said, tmp_path):
    done = fresco(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_foreign_folder_is_not_overwritten(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.tex").write_text("years of work")
    done = fresco("score", *QUICK, "--out", "thesis", cwd=tmp_path)
    assert done.returncode == 2
    assert "holds something else" in done.stderr
    assert (tmp_path / "thesis" / "chapter1.tex").read_text() == "years of work"


def test_another_run_is_not_overwritten_unasked(tmp_path):
    fresco("score", *QUICK, "--out", "out", "--reranker", "bm25", "--no-baselines", cwd=tmp_path)
    other = ("score", *QUICK, "--out", "out", "--reranker", "newest", "--no-baselines")
    refused = fresco(*other, cwd=tmp_path)
    assert refused.returncode == 2
    assert "--overwrite" in refused.stderr
    assert fresco(*other, "--overwrite", cwd=tmp_path).returncode == 0
    assert [path.name for path in (tmp_path / "out" / "runs").glob("*.trec")] == ["newest.trec"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of its own with little room; mounting needs root on Linux."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root on Linux")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_loses_nothing(small_disk, tmp_path):
    done = fresco("score", *QUICK, "--out", str(small_disk / "out"), cwd=tmp_path)
    assert done.returncode == 2
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name for path in (small_disk / "out").iterdir()} == {".claim.json", ".lock"}
    again = fresco("score", *QUICK, "--out", "elsewhere", cwd=tmp_path)
    assert again.returncode == 0
    record = json.loads((tmp_path / "elsewhere" / "run.json").read_text())
    assert all(row["pairs_scored"] == 0 for row in record["rerankers"])


def test_a_full_disk_under_the_store(small_disk, tmp_path):
    done = fresco("score", *QUICK, "--store", str(small_disk / "s.sqlite"), cwd=tmp_path)
    assert done.returncode == 2
    assert "--store" in done.stderr
    assert "Traceback" not in done.stderr
