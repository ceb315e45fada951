"""A re-ranker family, a measure, a relation: each added as one file, used by the command, refused when wrong.

Rewards, maskers and retrievers: ``tests/ccs/test_extending.py``.
"""

from __future__ import annotations

import json
import os
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests import commands
from tests.builder.own_pages import club_rows, write

ROOT = Path(__file__).parents[1]
FAMILY = """
from fresco.rerank.registry import RERANKERS

class Shouts:
    takes_instruction = False

    def __init__(self, weight):
        self.weight, self.name = weight, f"shouts:{weight:g}"

    def score(self, query, passages, instruction=None):
        print("a family that speaks")
        return [self.weight * sum(letter.isupper() for letter in passage.text) for passage in passages]

@RERANKERS.register("shouts:WEIGHT", "capital letters", example="2", instruction="no")
def _open(weight):
    return Shouts(float(weight))
"""
MEASURE = """
from dataclasses import dataclass
from fresco.metrics.measures import MEASURES, Relevance

@MEASURES.register("worst", "a relevant passage stands last")
@dataclass(frozen=True)
class Worst(Relevance):
    names = ("worst",)
    lower_is_better = True

    def expectation(self, tiers):
        return float(tiers.positive[-1] / tiers.size[-1])
"""
QUICK = ("score", "--limit", "12", "--resamples", "20", "--no-baselines")


def fresco(folder: Path, *arguments: str, run: Any = commands.run) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "FRESCO_PARTS": str(folder / "parts"),
        "PYTHONPATH": str(ROOT),
        "FRESCO_STORE": str(folder / "scores.sqlite"),
    }
    found: subprocess.CompletedProcess[str] = run("fresco", *arguments, cwd=folder, env=environment)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "parts").mkdir()
    return tmp_path


def test_a_family_of_rerankers_is_one_file(folder: Path) -> None:
    (folder / "parts" / "shouts.py").write_text(FAMILY)
    done = fresco(folder, *QUICK, "--reranker", "shouts:2", "--reranker", "half-life:shouts:2,365", "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]  # what the family prints is not in between
    assert {row["reranker"] for row in rows} == {"shouts:2", "half-life:shouts:2,365"}
    assert "shouts:WEIGHT" in fresco(folder, "parts").stdout


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("shouts", "shouts"),
        ("shouts:loud", "could not convert string to float: 'loud'"),
        ("shout:2", "did you mean"),
    ],
)
def test_a_family_is_refused_well(folder: Path, spec: str, said: str) -> None:
    (folder / "parts" / "shouts.py").write_text(FAMILY)
    done = fresco(folder, *QUICK, "--reranker", spec)
    assert done.returncode == 2
    assert said in done.stderr
    assert f"--reranker {spec}" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_of_parts_that_fails_takes_nothing_else_down(folder: Path) -> None:
    (folder / "parts" / "shouts.py").write_text(FAMILY)
    (folder / "parts" / "broken.py").write_text("raise KeyError('gone')\n")
    assert fresco(folder, *QUICK, "--reranker", "shouts:2").returncode == 0
    done = fresco(folder, *QUICK, "--reranker", "nothing")
    assert done.returncode == 2
    assert "broken.py" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_measure_is_one_file(folder: Path) -> None:
    (folder / "parts" / "worst.py").write_text(MEASURE)
    done = fresco(folder, *QUICK, "--reranker", "bm25", "--measure", "worst", "--out", "run", run=commands.run_afresh)
    assert done.returncode == 0, done.stderr
    rows = json.loads((folder / "run" / "metrics.json").read_text())["rows"]
    assert {row["metric"] for row in rows} >= {"worst", "MAP"}
    refused = fresco(folder, *QUICK, "--reranker", "bm25", "--measure", "wurst")
    assert refused.returncode == 2
    assert "wurst" in refused.stderr
    assert refused.stderr.count("\n") == 1


BENCHMARK = """
import dataclasses
from fresco.benchmarks import open_benchmark

def half(seed=0):
    whole = open_benchmark("mini", seed=seed)
    return dataclasses.replace(whole, name="half", pools=whole.pools[::2], fingerprint="half:1")
"""


def test_a_benchmark_is_one_file(folder: Path) -> None:
    (folder / "own_benchmarks.py").write_text(BENCHMARK)
    quick = ("score", "--limit", "12", "--resamples", "20", "--no-baselines", "--reranker", "bm25")
    done = fresco(folder, *quick, "--benchmark", "own_benchmarks:half", "--out", "run")
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "run" / "run.json").read_text())["benchmark"]["name"] == "half"
    refused = fresco(folder, *quick, "--benchmark", "own_benchmarks:third")
    assert refused.returncode == 2
    assert "--benchmark own_benchmarks:third: module own_benchmarks has no third" in refused.stderr


def test_every_kind_is_listed(folder: Path) -> None:
    shown = fresco(folder, "parts").stdout
    for part in ("run:FILE", "mini", "nDCG[@k]", "clauses[:SAMPLER]", "infobox", "wikidata", "head_coach"):
        assert part in shown


def test_a_relation_is_one_file(folder: Path) -> None:
    pytest.importorskip("mwparserfromhell", reason="pip install 'fresco-ccs[build]'")
    text = (resources.files("fresco.builder.templates") / "head_coach.toml").read_text(encoding="utf-8")
    (folder / "relations").mkdir()
    own = text.replace('name = "head coach"', 'name = "trainer"').replace('property = "P286"', 'property = ""')
    (folder / "relations" / "trainer.toml").write_text(own)
    write(folder / "pages.jsonl", club_rows())
    command = ("build", "--facts", "infobox", "--mirror", "pages.jsonl", "--reference", "2025-01-01T23:59:59Z")
    done = fresco(folder, *command, "--relations", "relations", "--relation", "trainer", "--out", "built")
    assert done.returncode == 0, done.stderr
    score = fresco(folder, "score", "--benchmark", "built", "--resamples", "20", "--out", "run")
    assert score.returncode == 0, score.stderr
    manifest = (folder / "built" / "manifest.jsonl").read_text(encoding="utf-8")
    assert '"relation": "trainer"' in manifest
    (folder / "relations" / "trainer.toml").write_text(own.replace("explicit = [", "explizit = ["))
    refused = fresco(folder, *command, "--relations", "relations", "--relation", "trainer", "--out", "other")
    assert refused.returncode == 2
    assert "trainer.toml" in refused.stderr
    assert "Traceback" not in refused.stderr
