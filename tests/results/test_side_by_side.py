"""Any number of runs side by side: names, shared queries, letters, verdicts withheld, units, JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import fresco
from fresco.cli import main
from fresco.metrics.catalog import FEWEST_SUBJECTS
from fresco.metrics.compare import compare
from fresco.results.reader import read_run
from fresco.results.side_by_side import side_by_side


def short(query: str, passages: list[str]) -> list[float]:
    return [-float(len(passage)) for passage in passages]


def long(query: str, passages: list[str]) -> list[float]:
    return [float(len(passage)) for passage in passages]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    base = tmp_path_factory.mktemp("runs")
    asked = {"a": {"length": short}, "b": {"length": long}, "c": "half-life:bm25,365"}
    for name, what in asked.items():
        fresco.score(what, "mini", limit=120, resamples=20, out=base / name, store=base / "s.sqlite")
    return [base / name for name in asked]


def test_a_name_stands_once_unless_its_values_differ(folders: list[Path]) -> None:
    found = side_by_side([read_run(folder) for folder in folders], resamples=20)
    assert found.names.count("bm25") == found.names.count("newest") == 1
    assert {"length", "length (b)"} <= set(found.names)
    own = read_run(folders[0]).evaluation.rows
    for row in found.rows:
        if row["reranker"] == "length":
            (same,) = [
                each["value"]
                for each in own
                if all(each[key] == row[key] for key in ("reranker", "task", "kind", "metric"))
            ]
            assert row["value"] == same


def test_every_measure_shown_has_letters_where_subjects_suffice(folders: list[Path]) -> None:
    runs = [read_run(folder) for folder in folders]
    found = side_by_side(runs, resamples=20)
    subjects = runs[0].per_query().groupby("task")["subject"].nunique()
    assert subjects["EK"] >= FEWEST_SUBJECTS
    letters = found.groups.set_index(["metric", "task", "kind"])["letters"]
    for metric in ("MAP", "stale@1", "current>obsolete"):
        assert all(letters.loc[(metric, "EK", "all")])
    by_relation = side_by_side(runs, unit="relation", resamples=20)
    relations = runs[0].per_query().groupby("task")["relation"].nunique()
    assert relations["EK"] < FEWEST_SUBJECTS
    assert not any(by_relation.groups["letters"])
    assert max(by_relation.pairs["units"]) == max(relations)


def test_a_relation_is_flipped_as_one(folders: list[Path]) -> None:
    a, b = (read_run(folder).per_query() for folder in folders[:2])
    coarse = compare(a, b, unit="relation", resamples=20)
    as_subjects = compare(a.assign(subject=a["relation"]), b.assign(subject=b["relation"]), resamples=20)
    assert coarse.equals(as_subjects)
    assert (coarse["units"] < compare(a, b, resamples=20)["units"]).any()


def test_the_command_prints_json_and_withholds_verdicts(
    folders: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *map(str, folders), "--json", "--metric", "stale@1"]) == 0
    said = capsys.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert {row["metric"] for row in rows} == {"stale@1"}
    assert {"length", "length (b)", "newest"} <= {row[side] for row in rows for side in ("a", "b")}
    assert "3 runs" in said.err
    assert "no verdict" not in said.err
    assert all(0 < row["p"] <= row["p_holm"] <= 1 for row in rows if row["units"] >= FEWEST_SUBJECTS)
    assert main(["compare", *map(str, folders[:2]), "--unit", "relation", "--json"]) == 0
    said = capsys.readouterr()
    assert f"fewer than {FEWEST_SUBJECTS} relations" in said.err
    rows = [json.loads(line) for line in said.out.splitlines()]
    few = [row for row in rows if row["units"] < FEWEST_SUBJECTS]
    assert few
    assert all(row["p"] is None and row["p_holm"] is None and row["difference"] is not None for row in few)
