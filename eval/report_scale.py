"""Whether the page of `fresco report` stays quick with a hundred runs over 10,000 queries, in a real browser.

    pip install -e ".[test]" && python eval/report_scale.py       # needs chromium and chromium-driver

makes a benchmark of invented sentences (10,000 EK queries, eight passages each), scores it once, and writes that run a
hundred times under other names with other scores and values: what a page costs depends on how much there is, not on
what it says. Then it makes the page and uses it: opens it, sorts the board, chooses another run, searches its worst
queries and opens one. Writes ``eval/results/report_scale.json`` and ``.md``.
"""

from __future__ import annotations

import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import study

import fresco
from fresco.io.files import digest
from fresco.io.state import read_state, write_state
from fresco.results.writer import slug

_WORDS = [
    f"{first}{last}" for first in ("bar", "cor", "del", "fen", "gal", "hol") for last in ("an", "eth", "is", "ow")
]


def main() -> None:
    """Make the runs and the page, use it, write the table."""
    parser = study.make_parser(__doc__)
    parser.add_argument("--runs", type=int, default=100, metavar="N", help="(default: 100)")
    parser.add_argument("--queries", type=int, default=10_000, metavar="N", help="(default: 10,000)")
    options = parser.parse_args()
    made = study.begin(options)
    runs, queries = (3, 60) if options.smoke else (options.runs, options.queries)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        write_benchmark(work / "benchmark", queries)
        folders = write_runs(work, runs)
        page = work / "page.html"
        seconds = timed(lambda: fresco.report(*folders, out=page))
        size = page.stat().st_size
        seen = use(page)
    rows = [
        ("making the page", f"{seconds:.1f} s"),
        ("its size", f"{size / 2**20:.1f} MiB"),
        *((what, value) for what, value in seen),
    ]
    lines = [
        f"# The page of {runs} runs over {queries:,} queries",
        "",
        "Three re-rankers a run (one is shared), eight passages a query, the 50 worst queries of each re-ranker with "
        "their texts. One run was scored; the others are it under other names, with other values. Seconds are from the "
        "click to what it shows, the driver's own included.",
        "",
        "| what | measured |",
        "|---|---|",
        *(f"| {what} | {value} |" for what, value in rows),
        "",
        f"Made by `python eval/report_scale.py`: {study.made_by(made)}.",
    ]
    content = {"runs": runs, "queries": queries, "made": study.made_by(made), "measured": dict(rows)}
    study.record(options, "report_scale", content, "\n".join(lines))


def write_benchmark(folder: Path, queries: int) -> None:
    """Two queries a subject, each with the current passage, three outdated ones and four of other subjects."""
    draw = random.Random(0)
    folder.mkdir()
    subjects = [f"{draw.choice(_WORDS).capitalize()} {number}" for number in range(max(5, queries // 2))]
    tables: dict[str, list[dict[str, Any]]] = {"corpus": [], "queries": [], "pools": []}
    for number, subject in enumerate(subjects):
        for year in range(4):
            text = " ".join(draw.choices(_WORDS, k=60))
            body = f"{draw.choice(_WORDS).capitalize()} leads {subject} since {2020 + year}. {text}."
            when = f"{2020 + year}-01-01T00:00:00Z"
            passage = {"_id": f"p{number}-{year}", "title": subject, "section": "", "text": body, "timestamp": when}
            tables["corpus"].append(passage)
    for number in range(queries):
        place = number % len(subjects)
        kind = ("explicit", "implicit")[number // len(subjects) % 2]
        relation = f"relation {place % 12}"
        query = {"_id": f"q{number}", "text": f"Who leads {subjects[place]} ({kind})?", "task": "EK", "kind": kind}
        query |= {"timestamp": "2025-01-01T00:00:00Z", "subject": subjects[place], "relation": relation, "answer": ""}
        tables["queries"].append(query)
        labels = [(f"p{place}-{year}", "positive" if year == 3 else "outdated") for year in range(4)]
        labels += [(f"p{(place + step) % len(subjects)}-{step - 1}", "near-topic") for step in range(1, 5)]
        tables["pools"] += [{"query-id": query["_id"], "corpus-id": own, "label": label} for own, label in labels]
    for name, rows in tables.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def by_words(query: str, passages: Sequence[str]) -> list[float]:
    """A re-ranker without a model: words of the query in the passage, and the passage's length."""
    asked = set(query.lower().split())
    return [len(asked & set(text.lower().split())) + len(text) / 1e4 for text in passages]


def write_runs(work: Path, count: int) -> list[Path]:
    """One run that was scored, and copies of it under other names with other values."""
    first = work / "run-000"
    fresco.score(
        {"model 000 a": by_words, "model 000 b": lambda query, texts: [-own for own in by_words(query, texts)]},
        str(work / "benchmark"),
        baselines=["newest"],
        resamples=20,
        store=work / "store.sqlite",
        out=first,
        progress=False,
    )
    folders = [first]
    for number in range(1, count):
        folder = work / f"run-{number:03}"
        shutil.copytree(first, folder)
        rename(folder, f"model {number:03}", np.random.default_rng(number))
        folders.append(folder)
    return folders


def rename(folder: Path, name: str, rng: np.random.Generator) -> None:
    """Make another run of a copy: other names, values moved a little, checksums made anew."""
    own = "model 000"
    table = pd.read_parquet(folder / "per_query.parquet")
    table["reranker"] = table["reranker"].str.replace(own, name)
    named = table["reranker"].str.startswith(name).to_numpy()
    table.loc[named, "current>obsolete"] = rng.permutation(table.loc[named, "current>obsolete"].to_numpy())
    table.to_parquet(folder / "per_query.parquet", index=False)
    metrics = read_state(folder / "metrics.json", {}, "")
    text = json.dumps(metrics, ensure_ascii=False).replace(own, name)
    metrics = json.loads(text)
    for row in metrics["rows"]:
        if row["reranker"].startswith(name) and row["value"] is not None:
            row["value"] = float(np.clip(row["value"] + rng.normal(0, 0.01), 0, 1))
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    for each in ("a", "b"):
        (folder / "runs" / f"{slug(f'{own} {each}')}.trec").rename(folder / "runs" / f"{slug(f'{name} {each}')}.trec")
    record = json.loads(json.dumps(read_state(folder / "run.json", {}, ""), ensure_ascii=False).replace(own, name))
    record["files"] = {each: digest(folder / each) for each in ("metrics.json", "per_query.parquet")}
    write_state(folder / "run.json", record)


def timed(work: Callable[[], Any]) -> float:
    """Seconds of work."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def use(page: Path) -> list[tuple[str, str]]:
    """What a reader does, with seconds; a line that says so where there is no browser."""
    binary, driver = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
    try:
        from selenium.webdriver.support.ui import WebDriverWait
    except ImportError:
        binary = None
    if binary is None or driver is None:
        return [("in a browser", "not measured: no chromium, chromedriver or selenium here")]
    with opened(binary, driver) as browser:
        wait = WebDriverWait(browser, 300, poll_frequency=0.02)

        def all_of(css: str) -> list[Any]:
            return list(browser.find_elements("css selector", css))

        def ready() -> None:
            browser.get(page.as_uri())
            wait.until(lambda _: browser.execute_script("return document.documentElement.dataset.ready") == "yes")

        def sort() -> None:
            all_of("#board thead th")[1].click()
            wait.until(lambda _: all_of("#board thead th[aria-sort]"))

        def choose() -> None:
            before = all_of("#failures h3")[0].text
            choose_last = "const s = arguments[0]; s.selectedIndex = s.length - 1; s.dispatchEvent(new Event('change'))"
            browser.execute_script(choose_last, all_of("select[name=failing]")[0])
            wait.until(lambda _: all_of("#failures h3")[0].text != before)

        def search() -> None:
            all_of("#failures input[type=search]")[0].send_keys("explicit")
            wait.until(lambda _: all_of("#failures .item"))

        def show() -> None:
            first = all_of("#failures .item")[0]
            browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", first)
            first.find_element("tag name", "button").click()
            wait.until(lambda _: first.find_elements("css selector", "tbody tr"))

        steps = (
            ("opening it", ready),
            ("sorting the board", sort),
            ("another run's worst queries", choose),
            ("searching them", search),
            ("opening one of them", show),
        )
        found = [(what, f"{timed(step):.2f} s") for what, step in steps]
        heap = browser.execute_script("return performance.memory.usedJSHeapSize") / 2**20
        nodes = browser.execute_script("return document.querySelectorAll('*').length")
        assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    return [*found, ("JavaScript heap then", f"{heap:.0f} MiB"), ("elements drawn then", f"{nodes:,}")]


@contextmanager
def opened(binary: str, driver: str) -> Any:
    """A browser without a window."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for each in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1200,1400",
    ):
        options.add_argument(each)
    browser = webdriver.Chrome(options=options, service=Service(driver))
    try:
        yield browser
    finally:
        browser.quit()


if __name__ == "__main__":
    main()
