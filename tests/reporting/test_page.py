from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import fresco
from fresco.cli import main
from fresco.errors import FrescoError
from fresco.io.page.document import render_page
from fresco.reporting.boards import Board
from fresco.reporting.data import render_report
from fresco.reporting.failures import Failures
from fresco.reporting.material import Material
from fresco.results.reader import read_run
from fresco.results.result import Result
from fresco.results.side_by_side import side_by_side
from tests.waiting import PATIENCE

HOSTILE = "</script><script>document.title='owned'</script> \x1b[31mred \u202egnorw"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("report") / "run"
    fresco.score(["newest", "bm25"], "mini", limit=8, resamples=20, out=out)
    return out


def test_foreign_text_is_never_markup() -> None:
    page = render_page(HOSTILE, {"title": HOSTILE}, script="fresco.reporting")
    assert "<script>document" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "default-src 'none'" in page


def failures_of(result: Result, worst: int) -> tuple[dict[str, Any], str]:
    found = Failures(result.record)
    found.add(0, result, worst)
    return dict(found.blocks(0)), found.why


def test_failures_hold_the_worst_queries_with_their_texts(folder: Path) -> None:
    result = read_run(folder)
    blocks, why = failures_of(result, 1)
    assert not why
    assert 1 <= len(blocks["queries-0"]) <= len(result.rerankers)
    lists, pools, scores = blocks["failures-0"], blocks["pools-0-0"], blocks["scores-0-0"]
    table = result.per_query()
    for name, own in lists.items():
        (place,) = own["at"]
        query = blocks["queries-0"][place]
        pool = pools["pools"][place]
        assert len(pool["passages"]) == len(pool["labels"]) == len(scores[name][place])
        assert None not in scores[name][place]
        assert pools["passages"][pool["passages"][0]]["body"]
        least = table[(table["reranker"] == name) & (table["task"] == "EK")]["current>obsolete"].min()
        worst = table[(table["reranker"] == name) & (table["current>obsolete"] == least)]
        assert own["rank"][0] == pytest.approx(worst["rank"].max())
        assert query["answer"]


def test_another_benchmark_under_the_same_name_gives_no_texts(folder: Path) -> None:
    result = read_run(folder)
    changed = {**result.record, "benchmark": {**result.record["benchmark"], "fingerprint": "0" * 64}}
    blocks, why = failures_of(replace(result, record=changed), 1)
    assert not blocks
    assert "another fingerprint" in why


def test_the_command_writes_the_page(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.html"
    assert main(["report", str(folder), str(folder), "--out", str(out)]) == 0
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(["report", str(tmp_path / "none"), "--out", str(out)]) == 2
    assert "no complete folder" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"rows": 1}', None])
def test_a_file_that_is_no_audit_is_one_line(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "audit.json"
    if content is None:
        audit = {"benchmark": {}, "rows": 3, "figures": {}, "conflicts": {}, "lengths": {}, "verdict": []}
        content = json.dumps(audit)
    path.write_text(content, encoding="utf-8")
    assert main(["report", str(path), "--out", str(tmp_path / "page.html")]) == 2
    message = capsys.readouterr().err
    assert f"{path} is no audit" in message
    assert message.count("\n") == 1


def test_letters_over_all_runs_are_those_of_compare(folder: Path, tmp_path: Path) -> None:
    fresco.score(["random", "bm25"], "mini", limit=60, resamples=20, out=tmp_path / "a", progress=False)
    fresco.score(["latest"], "mini", limit=60, resamples=20, out=tmp_path / "b", progress=False, baselines=False)
    results = [read_run(tmp_path / name) for name in "ab"]
    board = Board("both")
    for place, result in enumerate(results):
        board.add(place, "ab"[place], result)
    shown = board.to_json()
    assert shown["letters"] == "all"
    groups = side_by_side(results, resamples=20).groups
    expected = groups[(groups["metric"] == "stale@1") & (groups["kind"] == "all")].set_index("reranker")["letters"]
    column = ["stale@1" in header for header in shown["headers"]].index(True)
    own = {each["label"]: row[column][1] for each, row in zip(shown["rerankers"], shown["rows"], strict=True)}
    assert own == expected.to_dict()
    assert any(own.values())


def test_a_file_far_longer_than_an_audit_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FRESCO_MAX_FILE_MB", "1")
    (tmp_path / "audit.json").write_bytes(b" " * (2 << 20))
    assert main(["report", str(tmp_path / "audit.json"), "--out", str(tmp_path / "page.html")]) == 2
    assert "longer than 1 MiB" in capsys.readouterr().err


def test_no_run_is_refused() -> None:
    with pytest.raises(FrescoError, match="no run"):
        fresco.report()


@pytest.mark.slow
def test_a_browser_draws_it(folder: Path, tmp_path: Path) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no browser: install chromium (Debian: apt install chromium)")
    result = read_run(folder)
    result.record["command"] = HOSTILE
    page = tmp_path / "page.html"
    page.write_text(render_report(Material([result])), encoding="utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=8000",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    dom = subprocess.run(
        [chromium, *options, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True, timeout=PATIENCE
    ).stdout
    assert 'data-ready="yes"' in dom
    assert all(f'<section id="{name}"' in dom for name in ("board", "front", "blind", "failures"))
    assert dom.count('class="item"') > 0
    assert "<title>owned" not in dom
    assert "&lt;script&gt;document" in dom
