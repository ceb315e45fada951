"""The command and the conformance kit accept and refuse the same plug-ins: one table, both ways."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from fresco.cli import main
from fresco.testing import ConformanceError, check_reranker

BASE = """
import os, subprocess, sys
import numpy as np

class Good:
    name = "own"
    takes_instruction = False

    def score(self, query, passages, instruction=None):
        return [float(len(passage.text)) for passage in passages]

"""

#: Bodies of a class `Own(Good)` that both must accept.
GOOD = {
    "plain": "pass",
    "generator": "def score(self, q, ps, i=None):\n        return (float(len(p.text)) for p in ps)",
    "numpy": "def score(self, q, ps, i=None):\n        return np.array([len(p.text) for p in ps], dtype=np.float32)",
    "torch": "def score(self, q, ps, i=None):\n"
    "        import torch\n"
    "        return torch.tensor([float(len(p.text)) for p in ps], requires_grad=True)",
    "half": "def score(self, q, ps, i=None):\n        return np.array([len(p.text) / 99 for p in ps], dtype='f2')",
    "scalars": "def score(self, q, ps, i=None):\n        return tuple(np.float32(len(p.text)) for p in ps)",
    "loud": 'def score(self, q, ps, i=None):\n        print(\'{"not": "ours"}\', flush=True)\n'
    "        os.write(1, b'nor this')\n        return [len(p.text) for p in ps]",
    "instructed": "takes_instruction = True",
    "pooled": "def score_pools(self, pools, i=None):\n        return (self.score(q, ps) for q, ps in pools)",
    "described": "def describe(self):\n        return {'path': object(), 'device': 1}",
    "fingerprinted": "fingerprint = 'own:1'\n    pointwise = True",
}

#: What both must refuse, and what both must say.
BAD = {
    "no_text": ("name = 3", "its name is no text"),
    "no_name": ("name = ' '", "its name is no text, or empty"),
    "two_lines": ("name = 'a\\nb'", "line break"),
    "other_line_break": ("name = 'a\\u2028b'", "line break"),
    "vague": ("takes_instruction = 'yes'", "neither True nor False"),
    "no_score": ("score = 3", "score cannot be called"),
    "no_text_fingerprint": ("fingerprint = 7", "fingerprint is no text"),
    "no_pools": ("pools_per_call = 0", "pools_per_call"),
    "bad_fit": ("fit = 3", "fit cannot be called"),
    "short": ("def score(self, q, ps, i=None):\n        return [1.0] * (len(ps) - 1)", "scores for"),
    "endless": ("def score(self, q, ps, i=None):\n        while True:\n            yield 1.0", "scores for"),
    "nan": ("def score(self, q, ps, i=None):\n        return [float('nan')] * len(ps)", "NaN"),
    "infinite": ("def score(self, q, ps, i=None):\n        return np.full(len(ps), np.inf)", "infinite"),
    "huge": ("def score(self, q, ps, i=None):\n        return [10 ** 400] * len(ps)", "no number"),
    "text": ("def score(self, q, ps, i=None):\n        return ['1.0'] * len(ps)", "no number"),
    "letters": ("def score(self, q, ps, i=None):\n        return '1' * len(ps)", "a str is no list of scores"),
    "nothing": ("def score(self, q, ps, i=None):\n        return None", "a NoneType is no list of scores"),
    "by_passage": ("def score(self, q, ps, i=None):\n        return {p.id: 1 for p in ps}", "a dict is no list"),
    "columns": ("def score(self, q, ps, i=None):\n        return np.zeros((len(ps), 2))", "no number"),
    "exits": ("def score(self, q, ps, i=None):\n        sys.exit(0)", "own failed: SystemExit: 0"),
    "exits_late": ("def score(self, q, ps, i=None):\n        yield 1.0\n        sys.exit(0)", "own failed: SystemExit"),
    "raises": ("def score(self, q, ps, i=None):\n        raise ValueError('two\\nlines')", "ValueError: two lines"),
    "no_instruction": ("def score(self, q, ps):\n        return [1.0] * len(ps)", "own failed: TypeError"),
    "fails_to_fit": ("def fit(self, passages):\n        sys.exit(0)", "own: fit() failed: SystemExit"),
    "moody": (
        "n = 0\n    def score(self, q, ps, i=None):\n        self.n += 9\n        return [self.n] * len(ps)",
        "again",
    ),
    "not_pointwise": ("pointwise = True\n    def score(self, q, ps, i=None):\n        return range(len(ps))", "order"),
    "other_pools": (
        "def score_pools(self, pools, i=None):\n        return [[0.5] * len(ps) for q, ps in pools]",
        "differ",
    ),
    "no_mapping": ("def describe(self):\n        return 3", "describe gives no mapping"),
}


def write(tmp_path, body):
    (tmp_path / "own_plug_in.py").write_text(f"{BASE}class Own(Good):\n    {body}\n")
    return tmp_path / "own_plug_in.py"


def make(path):
    namespace = {"__name__": "own_plug_in"}
    exec(compile(path.read_text(), str(path), "exec"), namespace)
    return namespace["Own"]()


def command(tmp_path, path, *more):
    own = ["score", "--reranker", f"{path}:Own", "--no-baselines", "--limit", "4", "--resamples", "20"]
    return main([*own, "--store", str(tmp_path / "s"), "--out", str(tmp_path / "out"), "--overwrite", *more])


@pytest.mark.parametrize("body", GOOD.values(), ids=GOOD)
def test_both_accept(body, tmp_path, capfd):
    path = write(tmp_path, body)
    check_reranker(make(path))
    assert command(tmp_path, path, "--json") == 0
    out, err = capfd.readouterr()
    assert {json.loads(line)["reranker"] for line in out.splitlines()} == {"own"}
    assert "own: scored " in err


@pytest.mark.parametrize(("body", "said"), BAD.values(), ids=BAD)
def test_both_refuse(body, said, tmp_path, capfd):
    path = write(tmp_path, body)
    with pytest.raises(ConformanceError) as caught:
        check_reranker(make(path))
    assert said in str(caught.value)
    capfd.readouterr()
    assert command(tmp_path, path) == 2
    out, err = capfd.readouterr()
    assert said in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("fresco: ")
    assert out == ""
    assert not (tmp_path / "out" / "run.json").exists()


def test_exit_in_a_plug_in_is_no_success(tmp_path):
    path = write(tmp_path, BAD["exits"][0])
    done = subprocess.run(
        [sys.executable, "-m", "fresco", "score", "--reranker", f"{path}:Own", "--limit", "4", "--no-baselines"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "own failed: SystemExit: 0" in done.stderr


WEIGHTS = """
    pointwise = True
    def score(self, q, ps, i=None):
        weight = float(open('weight.txt').read())
        return [weight * len(p.text) for p in ps]
"""


def test_scores_of_a_plug_in_without_a_fingerprint_end_with_the_run(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, WEIGHTS.strip())
    for weight in ("1", "-1"):
        (tmp_path / "weight.txt").write_text(weight)
        assert command(tmp_path, path) == 0
        out, _ = capfd.readouterr()
        assert "own: scored " in out
        assert ", reused 0" in out
        assert "no fingerprint" in out
        runs = [line.split() for line in (tmp_path / "out" / "runs" / "own.trec").read_text().splitlines()]
        assert {float(line[4]) > 0 for line in runs} == {weight == "1"}


def test_a_fingerprint_that_promises_too_much_is_caught_by_the_canary(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path, f"fingerprint = 'own:1'\n{WEIGHTS}")
    (tmp_path / "weight.txt").write_text("1")
    assert command(tmp_path, path) == 0
    assert command(tmp_path, path) == 0
    assert "own: scored 0, reused " in capfd.readouterr().out
    (tmp_path / "weight.txt").write_text("1.01")
    assert command(tmp_path, path) == 2
    err = capfd.readouterr().err
    assert "own answers otherwise than when its stored scores were made" in err
    assert "another --store" in err
    # Other queries of which nothing is stored: new scores must not be laid beside the old ones either.
    assert command(tmp_path, path, "--seed", "7") == 2


def test_a_trec_run_is_a_re_ranker(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    options = ("--limit", "6", "--resamples", "20", "--store", "s", "--no-baselines", "--json")
    assert main(["score", "--reranker", "bm25", "--out", "one", *options]) == 0
    ours = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert main(["score", "--reranker", "run:one/runs/bm25.trec", "--out", "two", *options]) == 0
    theirs = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert theirs

    def values(rows):
        return {
            (row["metric"], row["task"], row["kind"]): pytest.approx(row["value"], abs=1e-6)
            for row in rows
            if row["metric"] in {"MRR", "Hit@1", "stale@1"}
        }

    assert values(theirs) == values(ours) != {}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (None, "nowhere.trec"),
        ("", "nowhere.trec"),
        ("q Q0 p 1 0.5 tag\nq Q0 p 2 0.4 tag\n", "line 2"),
        ("q Q0 p 1 nan tag\n", "line 1"),
        ("q Q0 p 1 high tag\n", "line 1"),
        ("q Q0 p\n", "line 1"),
        ("q Q0 p 1 0.5 tag\n", "scores no passage of the benchmark"),
    ],
)
def test_a_bad_run_is_one_line(lines, said, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    if lines is not None:
        (tmp_path / "nowhere.trec").write_text(lines)
    assert main(["score", "--reranker", "run:nowhere.trec", "--no-baselines", "--store", "s", "--limit", "6"]) == 2
    err = capfd.readouterr().err
    assert said in err
    assert len(err.strip().splitlines()) == 1
