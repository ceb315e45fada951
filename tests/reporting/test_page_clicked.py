"""The page of `fresco report` clicked through in a real browser."""

from __future__ import annotations

from pathlib import Path

import pytest

import fresco
from fresco.reporting.data import render_report
from fresco.results.reader import read_run
from tests.browser import opened

pytestmark = pytest.mark.slow
HOSTILE = "</script><script>document.title='owned'</script> \x1b[31mred \u202egnorw " + "x" * 10_000


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("clicked")
    fresco.score(["newest", "bm25"], "mini", limit=60, resamples=20, out=base / "run", store=base / "s.sqlite")
    result = read_run(base / "run")
    result.record["command"] = HOSTILE
    result.record["benchmark"]["notes"] = [HOSTILE]
    path = base / "page.html"
    path.write_text(render_report([result]), encoding="utf-8")
    return path


def test_it_is_clicked_through(page: Path) -> None:
    with opened(page) as browser:

        def all_of(css: str) -> list:
            return browser.find_elements("css selector", css)

        assert {each.get_attribute("id") for each in all_of("section")} >= {
            *("board", "front", "age", "words", "blind", "failures")
        }
        names = [each.text for each in all_of("#board tbody th")]
        all_of("#board thead th")[3].click()
        values = [float(each.text.split("[")[0]) for each in all_of("#board tbody tr td:nth-child(4)")]
        assert values == sorted(values, reverse=True)
        assert sorted(each.text for each in all_of("#board tbody th")) == sorted(names)

        # A re-ranker that reads comes first, though the blind one was asked for first.
        chosen = browser.find_element("css selector", "select[name=reranker]")
        assert chosen.get_property("value") == "bm25"
        before = len(all_of("#failures .item"))
        assert before > 0
        first = all_of("#failures .item")[0]
        first.find_element("tag name", "button").click()
        assert first.find_elements("css selector", ".passage ins, .passage del")
        assert len(first.find_elements("css selector", "tbody tr")) > 2
        browser.find_element("css selector", "input[type=search]").send_keys("no such words")
        assert not all_of("#failures .item")
        assert "0 queries" in browser.find_element("id", "failures").text


def test_hostile_text_is_shown_and_does_nothing(page: Path) -> None:
    with opened(page) as browser:
        assert "owned" not in browser.title
        text = browser.find_element("tag name", "main").get_attribute("textContent")
        assert "<script>document.title" in text
        assert "\u202e" not in text
        assert "\x1b" not in text


@pytest.mark.parametrize("width", [390, 1200])
def test_both_themes_differ_and_nothing_overflows(page: Path, width: int) -> None:
    with opened(page, width=width) as browser:
        grounds = set()
        for _ in range(2):
            browser.find_element("id", "theme").click()
            grounds.add(browser.execute_script("return getComputedStyle(document.body).backgroundColor"))
        assert len(grounds) == 2
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
        size = browser.execute_script(
            "const text = document.querySelector('#front svg text');"
            "return text.getBoundingClientRect().height / parseFloat(getComputedStyle(text).fontSize)"
        )
        assert size > 0.9  # drawn at the page's own scale, so letters are as small or large as the style says
