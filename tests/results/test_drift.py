"""Ranks over editions: what drifts, what chance explains, questions newer than a date."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

import fresco
from fresco import cli
from fresco.benchmarks.changes import changed_at
from fresco.cli import main
from fresco.errors import FrescoError
from fresco.records import format_timestamp, parse_timestamp
from fresco.results.drift import drift
from fresco.results.reader import read_run
from fresco.terminal.parser import make_parser


def short(query: str, passages: list[str]) -> list[float]:
    return [-float(len(passage)) for passage in passages]


@pytest.fixture(scope="module")
def editions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs over questions that they do not share."""
    base = tmp_path_factory.mktemp("runs")
    benchmark = fresco.open_benchmark("mini")
    subjects = sorted({pool.query.subject for pool in benchmark.pools if pool.query.task == "EK"})
    for name, own in (("2025-12", set(subjects[:40])), ("2026-12", set(subjects[40:80]))):
        part = replace(benchmark, pools=[pool for pool in benchmark.pools if pool.query.subject in own])
        fresco.score({"length": short}, part, resamples=20, out=base / name, store=base / "s.sqlite", progress=False)
    return [base / "2025-12", base / "2026-12"]


def test_ranks_are_those_of_the_values(editions: list[Path]) -> None:
    found = drift([read_run(folder) for folder in editions], "stale@1", resamples=50)
    assert found.editions == ["2025-12", "2026-12"]
    assert found.units == [40, 40]
    for edition in found.editions:
        rows = sorted((row for row in found.rows if row["edition"] == edition), key=lambda row: row["rank"])
        values = [row["value"] for row in rows]
        assert values == sorted(values)  # the smaller share of outdated passages on top is the better one
        assert {row["reranker"] for row in rows} == {
            "length",
            "random",
            "newest",
            "bm25",
            "latest",
            "half-life:bm25,365",
        }
        assert all(row["rank_low"] <= row["rank"] <= row["rank_high"] for row in rows)
    assert -1 <= found.tau[0] <= 1


def test_an_edition_beside_itself_does_not_drift_and_its_reverse_does(editions: list[Path]) -> None:
    run = read_run(editions[0])
    same = drift([run, run], resamples=200)
    assert same.tau == [pytest.approx(1.0)]
    assert not any(row["drifted"] for row in same.rows)
    frame = run.evaluation.per_query
    names = {"bm25": "newest", "newest": "bm25"}  # the best of them and the worst change places
    swapped = replace(run.evaluation, per_query=frame.assign(reranker=frame["reranker"].replace(names)))
    found = drift([run, type(run)(swapped, run.record, run.folder)], resamples=200)
    drifted = {row["reranker"] for row in found.rows if row["drifted"]}
    assert drifted == {"bm25", "newest"}
    assert found.tau[0] < 1


def test_too_few_subjects_give_no_verdict(editions: list[Path]) -> None:
    runs = [read_run(folder) for folder in editions]
    few = [set(run.per_query().drop_duplicates("subject")["query_id"][:5]) for run in runs]
    found = drift(runs, only=few, resamples=20)
    assert found.queries == [5, 5]
    assert {row["drifted"] for row in found.rows} == {None}


def built(folder: Path, run: Path, since: dict[str, str]) -> Path:
    """A benchmark's folder, of which only the manifest is looked at."""
    rows = [{"type": "benchmark"}]
    for query in read_run(run).per_query()["query_id"].unique():
        start = since.get(query, "2024-01-01T00:00:00Z")
        facts = [
            {"value": "now", "start": start, "end": None},
            {"value": "then", "start": "2020-01-01T00:00:00Z", "end": start},
        ]
        rows.append({"type": "query", "_id": query, "timestamp": "2026-12-01T00:00:00Z", "facts": facts})
    folder.mkdir()
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_questions_newer_than_a_date(editions: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newer = [list(read_run(run).per_query()["query_id"].unique()[:6]) for run in editions]
    folders = [
        built(tmp_path / run.name, run, dict.fromkeys(own, "2026-06-01T00:00:00Z"))
        for run, own in zip(editions, newer, strict=True)
    ]
    times = changed_at(folders[0])
    assert format_timestamp(times[newer[0][0]]) == "2026-06-01T00:00:00Z"
    assert min(times.values()) == parse_timestamp("2024-01-01T00:00:00Z")
    command = ["compare", *map(str, editions), "--editions", "--json", "--newer-than", "2026-01-01"]
    assert main([*command, "--built", str(folders[0])]) == 2
    assert "--built DIR for each of the 2 runs" in capsys.readouterr().err
    assert main([*command, *(part for folder in folders for part in ("--built", str(folder)))]) == 0
    out, err = capsys.readouterr()
    rows = [json.loads(line) for line in out.splitlines()]
    assert {row["questions"] for row in rows} == {"all questions", "answers that hold since 2026-01-01 or later"}
    assert len(rows) == 2 * 2 * 6
    assert "2026-12 (6)" in err
    assert "no verdict on drift" in err


def test_what_cannot_be_compared_is_one_line(
    editions: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = read_run(editions[0])
    with pytest.raises(FrescoError, match="two editions at least"):
        drift([run])
    with pytest.raises(FrescoError, match="has no EK query that is looked at"):
        drift([run, run], only=[(), ()])
    with pytest.raises(FrescoError, match=r"has no manifest.jsonl, which says since when"):
        changed_at(tmp_path)
    assert main(["compare", str(editions[0]), "--newer-than", "2026-01-01"]) == 2
    assert "--newer-than and --built belong to --editions" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["compare", str(editions[0]), "--editions", "--newer-than", "2026-13-01"])
    assert "--newer-than: '2026-13-01' is no date; write it as 2024-05-01" in capsys.readouterr().err
    (tmp_path / "manifest.jsonl").write_text(
        '{"type": "query", "_id": "q", "timestamp": "2026-12-01T00:00:00Z", "facts": []}\n'
    )
    with pytest.raises(FrescoError, match=r"line 1.*facts.*do not say what holds"):
        changed_at(tmp_path)


def test_the_example_of_a_scheduled_workflow_speaks_our_options() -> None:
    yaml = pytest.importorskip("yaml", reason="needs pyyaml (pip install '.[test]')")
    path = Path(__file__).parents[2] / "fresco" / "builder" / "living-edition.yml"
    (job,) = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()
    lines = [line.strip() for step in job["steps"] for line in step.get("run", "").splitlines()]
    commands = [line.partition(" | ")[0] for line in lines if line.startswith("fresco ")]
    parser = make_parser("fresco", "", "0", cli._COMMANDS)

    def filled(match: re.Match[str]) -> str:
        return "2026-12-01T00:00:00Z" if match[0].startswith("$(date") else ""

    asked = [parser.parse_args(shlex.split(re.sub(r"\$[({].*?[)}]", filled, each))[1:]) for each in commands]
    assert [each.command for each in asked] == ["build", "audit", "score", "compare"]
