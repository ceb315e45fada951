from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import fresco
from fresco.cli import main
from fresco.errors import FrescoError
from fresco.io.page.document import render_page
from fresco.reporting.data import _failures, render_report
from fresco.results.reader import read_run

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


def test_failures_hold_the_worst_queries_with_their_texts(folder: Path) -> None:
    result = read_run(folder)
    data, why = _failures(result, 1, {})
    assert data is not None, why
    assert 1 <= len(data["queries"]) <= len(result.rerankers)
    for query in data["queries"]:
        assert len(query["passages"]) == len(query["labels"]) == len(query["by"]["bm25"]["scores"])
        assert None not in query["by"]["bm25"]["scores"]
        assert data["passages"][query["passages"][0]]["body"]


def test_another_benchmark_under_the_same_name_gives_no_texts(folder: Path) -> None:
    result = read_run(folder)
    changed = {**result.record, "benchmark": {**result.record["benchmark"], "fingerprint": "0" * 64}}
    data, why = _failures(replace(result, record=changed), 1, {})
    assert data is None
    assert "another fingerprint" in why


def test_the_command_writes_the_page(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.html"
    assert main(["report", str(folder), str(folder), "--out", str(out)]) == 0
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(["report", str(tmp_path / "none"), "--out", str(out)]) == 2
    assert "no complete folder" in capsys.readouterr().err


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
    page.write_text(render_report([result]), encoding="utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=8000",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    dom = subprocess.run(
        [chromium, *options, "--dump-dom", page.as_uri()], capture_output=True, text=True, check=True, timeout=90
    ).stdout
    assert 'data-ready="yes"' in dom
    assert all(f'<section id="{name}"' in dom for name in ("board", "front", "blind", "failures"))
    assert dom.count('class="item"') > 0
    assert "<title>owned" not in dom
    assert "&lt;script&gt;document" in dom
