"""Whatever stands in a result's files, `fresco report` makes a page or says one line."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fresco
from fresco.benchmarks import limit_queries, open_benchmark
from fresco.cli import main
from fresco.io.files import digest
from tests.reporting.material import answered, tuned

VALUES = (None, 3, -1, "x", [], {}, True, 1e308, [1], {"a": 1}, "\x1b[31m", "a" * 5000, [[]], {"value": "x"})
CHANGES = 4


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of each kind."""
    base = tmp_path_factory.mktemp("results")
    few = limit_queries(open_benchmark("mini"), 60, seed=0)
    shared: dict[str, Any] = {"store": base / "s.sqlite", "resamples": 20, "progress": False, "baselines": False}
    fresco.score(["newest"], "mini", limit=8, out=base / "run", **shared)
    fresco.optimize(
        "tests.optimizer.obedient:Obedient",
        few,
        rounds=1,
        population=2,
        children=2,
        seeds=1,
        out=base / "search",
        **shared,
    )
    tuned(base / "tune")
    answered(base / "answer")
    return base


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in plain data, long lists only at their beginning."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, own in list(value.items() if isinstance(value, dict) else enumerate(value))[:40]:
            yield from places(own, (*path, key))


def change(content: Any, draw: random.Random) -> str:
    """Remove something, or put something else in its place; says what."""
    *above, last = draw.choice(list(places(content)))
    for key in above:
        content = content[key]
    if draw.random() < 0.2:
        del content[last]
        return f"{(*above, last)} removed"
    content[last] = draw.choice(VALUES)
    return f"{(*above, last)} is {content[last]!r:.60}"


@pytest.mark.parametrize(
    "file",
    [
        *("run/metrics.json", "run/run.json", "search/front.json", "search/run.json"),
        *("tune/tuning.json", "tune/run.json", "answer/answers.json", "answer/run.json", "answer/answers.jsonl"),
    ],
)
def test_a_page_or_one_line(file: str, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    draw = random.Random(file)
    whole = (results / file).read_text(encoding="utf-8")
    folder = shutil.copytree(results / Path(file).parent, tmp_path / "own", ignore=shutil.ignore_patterns("plots"))
    changed = folder / Path(file).name
    for _ in range(CHANGES):
        rows = [json.loads(line) for line in whole.splitlines()] if changed.suffix == ".jsonl" else json.loads(whole)
        if isinstance(rows, dict):
            rows.pop("checksum", None)  # as a file of an earlier version, which is believed
        what = change(rows, draw)
        text = "".join(f"{json.dumps(row)}\n" for row in rows) if changed.suffix == ".jsonl" else json.dumps(rows)
        changed.write_text(text, encoding="utf-8")
        if changed.name == "metrics.json":
            record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            record.pop("checksum", None)
            record["files"]["metrics.json"] = digest(changed)
            (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
        code = main(["report", str(folder), "--out", str(tmp_path / "page.html")])
        said = capsys.readouterr().err
        assert code in (0, 2), (what, said)
        assert said.count("\n") <= 1, (what, said)
