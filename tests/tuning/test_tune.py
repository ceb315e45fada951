"""``fresco tune`` on mini: the folder it leaves, and whether its card tells the truth."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fresco
from fresco.benchmarks import limit_queries, select_split
from fresco.cli import main
from fresco.errors import FrescoError
from fresco.io.files import locked
from fresco.records import Task
from fresco.rerank.recency import load_recency
from fresco.stats.words import words
from fresco.tuning.card import rows_of, verdict
from fresco.tuning.gates import accuracy, gate_of
from fresco.tuning.priors import GRIDS, fit_priors


class Overlap:
    """Shared words: no statistics of a corpus, so that a split alone scores as it does inside the whole."""

    name, takes_instruction, pointwise, fingerprint = "overlap", False, True, "overlap"

    def score(self, query, passages, instruction=None):
        asked = set(words(query.content))
        return [float(len(asked & set(words(passage.body)))) for passage in passages]


@pytest.fixture(scope="module")
def mini():
    return fresco.open_benchmark("mini")


@pytest.fixture(scope="module")
def few(mini):
    return limit_queries(mini, 250, seed=0)


@pytest.fixture(scope="module")
def tuned(few, tmp_path_factory):
    return fresco.tune(Overlap(), few, out=tmp_path_factory.mktemp("tune"), resamples=50, progress=False)


def test_the_folder_holds_what_it_says(tuned):
    content = json.loads((tuned.folder / "tuning.json").read_text())
    assert content == json.loads(json.dumps(tuned.content))
    assert (tuned.folder / "card.md").read_text() == tuned.card
    assert {path.stem for path in (tuned.folder / "cures").iterdir()} == {each["name"] for each in content["cures"]}
    exported = load_recency(tuned.folder / "recency.json")
    assert exported == load_recency(tuned.folder / "cures" / f"{content['exported']}.json")
    assert tuned.record["milliseconds"].keys() == {"base", *(each["name"] for each in content["cures"])}
    assert content["verdict"] in tuned.card


def test_the_exported_cure_scores_as_the_card_says(tuned, few):
    """Through `fresco.score`, which knows nothing of tuning."""
    cured = load_recency(tuned.folder / "recency.json").over(Overlap())
    result = fresco.score(cured, few, baselines=False, split="test", progress=False, resamples=20)
    row = tuned.content["test"][tuned.content["exported"]]
    for task, kind in (("EK", "all"), ("NEK", "all")):
        (own,) = [
            each["value"]
            for each in result.evaluation.rows
            if (each["task"], each["kind"], each["metric"]) == (task, kind, "MAP")
        ]
        assert row[task]["value"] == pytest.approx(own, abs=1e-9)


@pytest.mark.slow
def test_the_same_command_ends_in_the_same_bytes(tuned, few):
    before = {path: path.read_bytes() for path in tuned.folder.rglob("*.json") if path.name != "run.json"}
    fresco.tune(Overlap(), few, out=tuned.folder, resamples=50, progress=False)
    assert {path: path.read_bytes() for path in before} == before


def test_a_folder_of_something_else_is_left_alone(tuned):
    with pytest.raises(FrescoError, match="holds something else than this run"):
        fresco.tune("newest", out=tuned.folder, resamples=50, progress=False)


def test_a_folder_that_is_held_is_refused(tmp_path: Path, capsys):
    with locked(tmp_path / "held"):
        assert main(["tune", "--reranker", "bm25", "--out", str(tmp_path / "held"), "--resamples", "20"]) == 2
    assert "another process is at work in this folder" in capsys.readouterr().err


def test_a_cure_that_only_sorts_by_date_is_recognisable(tuned):
    rows = tuned.content["test"]
    assert rows["newest"]["newer NEK"]["value"] == 1.0
    assert rows["newest"]["newer EK"]["value"] == 1.0
    assert abs(rows["random"]["newer NEK"]["value"] - 0.5) < 0.1


def test_the_choice_is_the_best_of_its_grid_on_validation(mini):
    validation = select_split(mini, "validation")
    scores = [np.arange(len(pool), dtype=np.float64) for pool in validation.pools]
    priors = fit_priors(_Base(), validation.pools, scores, None, resamples=20)
    for prior in priors:
        assert prior.cure.value in GRIDS[prior.name]
        best = max(prior.grid, key=lambda point: 2 * point[1] * point[2] / (point[1] + point[2]))
        assert prior.cure.value == best[0]
        assert prior.low <= prior.cure.value <= prior.high


class _Base:
    name, takes_instruction = "places", False

    def score(self, query, passages, instruction=None):
        return [float(place) for place in range(len(passages))]


def test_the_gate_tells_questions_of_mini_apart(mini):
    gate = gate_of(select_split(mini, "train").pools)
    told = accuracy(gate, select_split(mini, "test").pools)
    assert told["EK"]["value"] > 0.7
    assert told["NEK"]["value"] > 0.7


def test_the_verdict_needs_a_gain_and_no_loss():
    def row(ek: tuple[float, float], nek: tuple[float, float]):
        return {
            "EK gain": {"ci_low": ek[0], "ci_high": ek[1]},
            "NEK gain": {"ci_low": nek[0], "ci_high": nek[1]},
        }

    rows = {
        "good": row((0.1, 0.2), (-0.1, 0.1)),
        "dear": row((0.1, 0.2), (-0.2, -0.1)),
        "vain": row((-0.1, 0.2), (0, 0)),
    }
    assert "On test good gains EK MAP" in verdict(rows, ["good", "dear", "vain"])
    assert verdict(rows, ["dear", "vain"]).startswith("No cure beats the base")


def test_a_perfect_prior_is_found():
    """Where the newest passage is right on EK and the base is right on NEK, the gated prior has both."""
    mini = fresco.open_benchmark("mini")
    pools = select_split(mini, "validation").pools
    positive = [np.array([float(label == "positive") for label in pool.labels]) for pool in pools]
    base = [
        own if pool.query.task is Task.NEK else np.zeros(len(pool)) for pool, own in zip(pools, positive, strict=True)
    ]
    gate = gate_of(select_split(mini, "train").pools)
    priors = {each.name: each for each in fit_priors(_Base(), pools, base, gate, resamples=20)}
    rows, _ = rows_of(pools, {"base": base}, seed=0, resamples=20)
    assert priors["tempralm+gate"].balance > 2 * rows["base"]["EK"]["value"] / (1 + rows["base"]["EK"]["value"])


def test_a_benchmark_without_static_queries_is_one_line(mini):
    evolving = replace(mini, pools=tuple(pool for pool in mini.pools if pool.query.task is Task.EK))
    with pytest.raises(FrescoError, match=r"no NEK query is in the split 'train'.*--nek"):
        fresco.tune("bm25", evolving, progress=False)
