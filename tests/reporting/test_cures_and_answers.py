"""Results of `fresco tune` and `fresco answer`: read back as they were, refused where damaged, and on the page."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import fresco
from fresco.cli import main
from fresco.errors import FrescoError
from fresco.reporting.answers import answers_data
from fresco.reporting.cures import tuning_data
from fresco.reporting.material import read_material
from tests.reporting.material import answered, tuned


@pytest.fixture(scope="module")
def tuning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tuned(tmp_path_factory.mktemp("tuned") / "tune")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return answered(tmp_path_factory.mktemp("answered") / "answer")


def test_both_are_loaded_as_they_were_written(tuning: Path, answers: Path) -> None:
    cured, told = fresco.load(tuning), fresco.load(answers)
    assert cured.card == (tuning / "card.md").read_text(encoding="utf-8")
    assert told.table == (answers / "answers.md").read_text(encoding="utf-8")
    assert len(told.answers) == len((answers / "answers.jsonl").read_text(encoding="utf-8").splitlines())


def test_the_card_is_on_the_page_with_cost_on_top_of_the_base(tuning: Path) -> None:
    result = fresco.load(tuning)
    shown = tuning_data(result)
    rows = {row["name"]: row for row in shown["rows"]}
    spent = result.record["milliseconds"]
    assert rows["half-life"]["cost"] == pytest.approx(spent["base"] + spent["half-life"])
    assert rows["base"]["cost"] == spent["base"]
    assert rows["newest"]["cost"] is None
    assert {name: row["kind"] for name, row in rows.items()}["newest"] == "control"
    assert [name for name, row in rows.items() if row["on_front"]] == [
        name for name in result.content["test"] if name in result.content["front"]
    ]
    for name, row in rows.items():
        assert row["test"][0]["value"] == result.content["test"][name]["EK"]["value"]
        assert row["validation"][2]["ci_low"] == result.content["validation"][name]["NEK"]["ci_low"]


def test_each_question_stands_once_and_each_answer_where_it_belongs(answers: Path) -> None:
    result = fresco.load(answers)
    shown, block = answers_data(result, "answers-0")
    assert len(block["questions"]) == sum(result.content["queries"].values())
    assert {row["name"] for row in shown["rows"] if row["control"]} == {"(no passages)", "(positives only)"}
    for row in shown["rows"]:
        own = block["said"][row["name"]]
        stale = [named == "stale" for at, _, named in own if block["questions"][at]["task"] == "EK"]
        assert row["shares"][shown["kinds"].index("stale")]["value"] == pytest.approx(sum(stale) / len(stale))
    named_current = [(at, answer) for at, answer, named in block["said"]["positive first"] if named == "current"]
    assert named_current
    assert all(answer == block["questions"][at]["expected"] for at, answer in named_current)


def test_folders_and_their_files_are_taken_alike(tuning: Path, answers: Path, tmp_path: Path) -> None:
    by_folder = read_material([tuning, answers])
    by_file = read_material([tuning / "tuning.json", answers / "answers.json"])
    assert [each.content for each in by_folder.tunings] == [each.content for each in by_file.tunings]
    assert [each.content for each in by_folder.answers] == [each.content for each in by_file.answers]
    pages = [tmp_path / f"{number}.html" for number in range(2)]
    assert main(["report", str(tuning), str(answers), "--out", str(pages[0])]) == 0
    assert fresco.report(tuning, answers, out=pages[1]) == pages[1]


def _changed(content: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    own: Any = content
    *folders, last = path.split("/")
    for each in folders:
        own = own[int(each)] if isinstance(own, list) else own[each]
    own[last] = value
    return content


DAMAGE = [
    ("tuning.json", "test/half-life", None),
    ("tuning.json", "test/base/EK", {"value": "1"}),
    ("tuning.json", "test/base/EK/value", 1e999),
    ("tuning.json", "test", {}),
    ("tuning.json", "cures", [3]),
    ("tuning.json", "cures/0/name", ["a"]),
    ("tuning.json", "gate/test", 1),
    ("tuning.json", "queries", {}),
    ("tuning.json", "front", "base"),
    ("tuning.json", "models", [{}]),
    ("tuning.json", "schema_version", 99),
    ("answers.json", "rows/positive first/EK stale", []),
    ("answers.json", "rows", []),
    ("answers.json", "queries", {"EK": 1}),
    ("answers.json", "schema_version", True),
    ("run.json", "milliseconds", 4),
    ("run.json", "schema_version", "1"),
]


@pytest.mark.parametrize(("name", "path", "value"), DAMAGE)
def test_what_is_damaged_is_one_line_that_names_the_file(
    name: str, path: str, value: Any, tuning: Path, answers: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(answers if name == "answers.json" else tuning, tmp_path / "own")
    content = _changed(json.loads((folder / name).read_text(encoding="utf-8")), path, value)
    (folder / name).write_text(json.dumps(content), encoding="utf-8")
    assert main(["report", str(folder), "--out", str(tmp_path / "page.html")]) == 2
    said = capsys.readouterr().err
    assert str(folder) in said
    assert said.count("\n") == 1
    assert "again" in said


@pytest.mark.parametrize("name", ["run.json", "answers.jsonl"])
def test_what_is_missing_is_said(name: str, answers: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(answers, tmp_path / "own")
    (folder / name).unlink()
    with pytest.raises(FrescoError, match=name):
        fresco.load(folder)


def test_answers_of_an_earlier_version_go_by_their_ids(answers: Path) -> None:
    result = fresco.load(answers)
    old = [{key: row[key] for key in ("reranker", "query", "answer", "named")} for row in result.answers]
    _, block = answers_data(replace(result, answers=old), "answers-0")
    assert [each["text"] for each in block["questions"]] == list(dict.fromkeys(row["query"] for row in old))
