"""The page of `fresco report` clicked through in a real browser."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import fresco
from fresco.benchmarks import limit_queries, open_benchmark
from fresco.cli import main
from fresco.reporting.data import render_report
from fresco.reporting.material import Material, read_material
from fresco.results.reader import read_run
from tests.browser import opened
from tests.reporting.material import answered, tuned

pytest.importorskip("selenium", reason="pip install selenium")
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.waiting import PATIENCE

pytestmark = pytest.mark.slow
HOSTILE = "</script><script>document.title='owned'</script> \x1b[31mred \u202egnorw " + "x" * 10_000


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, a search, an audit, a tuning and answers, everything foreign in them hostile."""
    base = tmp_path_factory.mktemp("clicked")
    whole = {"limit": 60, "resamples": 20, "progress": False}
    fresco.score(["newest", "bm25"], "mini", out=base / "run", store=base / "s.sqlite", **whole)
    fresco.score({"by length": length}, "mini", out=base / "second", store=base / "s.sqlite", **whole)
    search = fresco.optimize(
        "tests.optimizer.obedient:Obedient",
        limit_queries(open_benchmark("mini"), 100, seed=0),
        rounds=2,
        population=3,
        children=4,
        seeds=1,
        resamples=20,
        baselines=False,
        store=base / "s.sqlite",
        progress=False,
        out=base / "search",
    )
    front = json.loads(json.dumps(dict(search.front)))
    front["members"][0]["text"] = HOSTILE
    search = replace(search, front=front, record={**search.record, "command": HOSTILE})
    assert main(["audit", "mini", "--limit", "40", "--resamples", "20", "--out", str(base / "audit.json")]) == 0
    result = read_run(base / "run")
    result.record["command"] = HOSTILE
    result.record["benchmark"]["notes"] = [HOSTILE]
    (audit,) = read_material([base / "audit.json"]).audits
    cured, told = fresco.load(tuned(base / "tune")), fresco.load(answered(base / "answer"))
    content = json.loads(json.dumps(cured.content).replace('"mrag"', json.dumps(HOSTILE[:200])))
    content |= {"verdict": HOSTILE, "instructions": {"i1": HOSTILE}, "reranker": HOSTILE}
    cured = replace(cured, content=content, record={**cured.record, "command": HOSTILE})
    told = replace(told, answers=[{**told.answers[0], "answer": HOSTILE, "question": HOSTILE}, *told.answers[1:]])
    path = base / "page.html"
    runs = [result, read_run(base / "second")]
    path.write_text(render_report(Material(runs, [search], [audit], [cured], [told])), encoding="utf-8")
    return path


def length(query: str, passages: list[str]) -> list[float]:
    return [float(len(passage)) for passage in passages]


def test_it_is_clicked_through(page: Path) -> None:
    with opened(page) as browser:

        def all_of(css: str) -> list:
            return browser.find_elements("css selector", css)

        assert {each.get_attribute("id") for each in all_of("section")} >= {
            *("board", "front", "age", "words", "blind", "cures", "answers", "searches", "audits", "failures")
        }
        names = [each.text for each in all_of("#board tbody th")]
        all_of("#board thead th")[3].click()
        values = [float(each.text.split("[")[0]) for each in all_of("#board tbody tr td:nth-child(4)")]
        assert values == sorted(values, reverse=True)
        assert sorted(each.text for each in all_of("#board tbody th")) == sorted(names)
        # One board for both runs: what they share stands once, and letters compare all of them.
        assert sorted(names) == ["bm25", "by length", "half-life:bm25,365", "latest", "newest", "random"]
        assert all(each.text for each in all_of("#board tbody td:nth-child(2) i"))

        # A re-ranker that reads comes first, though the blind one was asked for first.
        chosen = browser.find_element("css selector", "select[name=reranker]")
        assert chosen.get_property("value") == "bm25"
        before = len(all_of("#failures .item"))
        assert before > 0
        first = all_of("#failures .item")[0]
        first.find_element("tag name", "button").click()
        WebDriverWait(browser, PATIENCE).until(lambda _: first.find_elements("css selector", "tbody tr"))
        assert first.find_elements("css selector", ".passage ins, .passage del")
        assert len(first.find_elements("css selector", "tbody tr")) > 2
        browser.find_element("css selector", "input[name=query]").send_keys("no such words")
        assert not all_of("#failures .item")
        assert "0 queries" in browser.find_element("id", "failures").text
        Select(browser.find_element("css selector", "select[name=failing]")).select_by_index(1)
        wait = WebDriverWait(browser, PATIENCE)
        wait.until(lambda _: len(all_of("#failures .item")) == before)
        Select(browser.find_element("css selector", "select[name=second]")).select_by_visible_text("bm25")
        second = all_of("#failures .item")[0]
        second.find_element("tag name", "button").click()
        wait.until(lambda _: second.find_elements("css selector", "tbody tr"))
        heads = [each.text for each in second.find_elements("css selector", "thead th")]
        assert heads[-2:] == ["by length", "bm25"]


def test_a_search_shows_texts_and_where_they_come_from(page: Path) -> None:
    with opened(page) as browser:

        def all_of(css: str) -> list:
            return browser.find_elements("css selector", css)

        wait = WebDriverWait(browser, PATIENCE)
        assert len(all_of("#searches svg")) == 2  # the front, and how its hypervolume grew
        few = len(all_of("#searches .item"))
        Select(browser.find_element("css selector", "select[name=front]")).select_by_value("all")
        assert len(all_of("#searches .item")) >= few
        last = all_of("#searches .item")[-1]
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", last)
        last.find_element("tag name", "button").click()
        wait.until(lambda _: last.find_elements("css selector", "pre"))
        assert last.find_elements("css selector", ".turn.agent .passage")
        assert "round" in last.text
        assert len(last.find_elements("css selector", "tbody tr")) == 2
        assert len(all_of("#audits tbody tr")) >= 10
        assert all_of("#audits details.made pre")


def test_cures_are_sorted_and_shown_on_either_part(page: Path) -> None:
    with opened(page) as browser:

        def all_of(css: str) -> list:
            return browser.find_elements("css selector", css)

        rows = len(all_of("#cures .rows tbody tr"))
        assert rows == len(all_of("#cures svg circle"))
        assert len(all_of("#cures svg polyline")) == 1  # the front
        before = [each.text for each in all_of("#cures .rows tbody td:nth-child(2)")]
        Select(browser.find_element("css selector", "select[name=part]")).select_by_value("validation")
        after = [each.text for each in all_of("#cures .rows tbody td:nth-child(2)")]
        assert len(after) == len(before)
        assert after != before
        all_of("#cures .rows thead th")[1].click()
        values = [float(each.text.split("[")[0]) for each in all_of("#cures .rows tbody td:nth-child(2)")]
        assert values == sorted(values, reverse=True)
        browser.find_element("css selector", "#cures details > summary").click()
        assert "harmonic mean" in browser.find_element("css selector", "#cures details").text


def test_answers_are_found_by_re_ranker_kind_and_words(page: Path) -> None:
    with opened(page) as browser:

        def all_of(css: str) -> list:
            return browser.find_elements("css selector", css)

        assert len(all_of("#answers .stack")) == 4  # two re-rankers and two controls
        assert len(all_of("#answers svg circle")) == 2
        assert not all_of("#answers .item")  # drawn when they are asked for
        browser.find_element("css selector", "#answers details.answers > summary").click()
        WebDriverWait(browser, 30).until(lambda _: all_of("#answers .item"))
        whole = len(all_of("#answers .item"))
        Select(browser.find_element("css selector", "select[name=answering]")).select_by_value("outdated first")
        Select(browser.find_element("css selector", "select[name=named]")).select_by_value("stale")
        stale = all_of("#answers .item")
        assert 0 < len(stale) < whole
        assert all(each.find_element("css selector", ".chip").text == "stale" for each in stale)
        browser.find_element("css selector", "input[name=answer]").send_keys("no such words")
        assert not all_of("#answers .item")
        assert "0 answers" in browser.find_element("id", "answers").text


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
