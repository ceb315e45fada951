"""What is drawn as one: subjects, or whole relations; and no verdict where these are few."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import fresco
from fresco.cli import main
from fresco.metrics.catalog import FEWEST_SUBJECTS
from fresco.metrics.compare import compare_all

QUICK = {"resamples": 200, "progress": False}


def figure(result: fresco.Result, metric: str) -> pd.Series:
    frame = result.to_frame().set_index(["reranker", "task", "kind", "metric"])
    row: pd.Series = frame.loc[("bm25", "EK", "all", metric)]
    return row


def test_relations_are_the_coarser_unit(tmp_path: Path) -> None:
    store = tmp_path / "s.sqlite"
    asked = {"what": ["bm25", "newest"], "baselines": False, "store": store, "limit": 150, **QUICK}
    by_subject = fresco.score(**asked)
    by_relation = fresco.score(**asked, out=tmp_path / "b", unit="relation")
    for metric in ("MAP", "stale@1"):
        fine, coarse = figure(by_subject, metric), figure(by_relation, metric)
        assert fine["value"] == coarse["value"]
        assert coarse["ci_high"] - coarse["ci_low"] > fine["ci_high"] - fine["ci_low"]
    compared = compare_all(by_relation.per_query(), "MAP", unit="relation", resamples=200)
    pd.testing.assert_frame_equal(by_relation.evaluation.comparisons, compared)
    # A dozen relations are too few to call, as they are in `fresco compare --unit relation`.
    evolving = by_relation.per_query().query("task == 'EK'")
    assert evolving["relation"].nunique() < FEWEST_SUBJECTS <= evolving["subject"].nunique()
    assert len(by_subject.verdict("bm25")) > 3
    (said,) = fresco.load(tmp_path / "b").verdict("bm25")
    assert "no verdict below 20 relations" in said
    assert "interval over relations" in by_relation._repr_html_()
    assert by_relation.record["identity"] != by_subject.record["identity"]


def test_few_subjects_get_no_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["score", "--reranker", "bm25", "--limit", "12", "--resamples", "20"]
    assert main([*arguments, "--store", str(tmp_path / "s"), "--out", str(tmp_path / "run")]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "bm25: no verdict below 20 subjects whose answer changed; there are" in said
    assert "puts the current passage on top" not in said


def test_there_are_two_units() -> None:
    with pytest.raises(fresco.FrescoError, match=r"^--unit page: choose subject or relation$"):
        fresco.score("bm25", limit=4, unit="page", **QUICK)
