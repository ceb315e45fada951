"""How reading facts of Wikidata grows with its statements: seconds, requests, peak memory, and their exponents.

    pip install -e ".[test]" && python eval/wikidata_growth.py

writes ``eval/results/wikidata_growth.json`` and ``.md``. Statements are made up in Wikidata's shape (four for each
subject, one after another, the last without an end) and served by a real SPARQL engine (Oxigraph) in a process of its
own. Another process reads all facts of the window, as ``fresco build --facts wikidata`` does. Beside it, as control,
stands the plain way to page: one list of all statements, sorted and cut, which the engine sorts anew for every page.

Seconds are of the processor, of the engine and of the reader, so other programs do not fall on them. An exponent is
the slope of a straight line through the logarithms of seconds over those of statements. Linux only.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import study

from fresco.builder.facts.sparql import Sparql
from fresco.builder.facts.wikidata import Wikidata
from fresco.builder.templates import choose
from fresco.models import memory
from fresco.records import parse_timestamp
from tests.builder.sparql_service import Statements, serve

SIZES, SMOKE_SIZES = (4_000, 16_000, 64_000, 256_000), (200, 800)
CONTROL_PAGE = 2_000
SINCE, UNTIL = parse_timestamp("2020-01-01T00:00:00Z"), parse_timestamp("2025-01-02T00:00:00Z")
_EACH = 4  # statements of a subject
_SORTED = """
PREFIX p: <http://www.wikidata.org/prop/>
SELECT ?statement ?subject WHERE {{ ?subject p:P286 ?statement . FILTER(STR(?statement) > "{after}") }}
ORDER BY STR(?statement) LIMIT {page}
"""


def main() -> None:
    """Measure each size, fit, record."""
    options = study.make_parser(__doc__).parse_args()
    made = study.begin(options)
    sizes = SMOKE_SIZES if options.smoke else SIZES
    page_size = 50 if options.smoke else CONTROL_PAGE
    measured = [measure(size, page_size) for size in sizes]
    fitted = {way: exponents(measured, way) for way in measured[0]["ways"]}
    content = {"made": study.made_by(made), "sizes": measured, "exponents": fitted}
    study.record(options, "wikidata_growth", content, page(content))


def measure(size: int, page_size: int) -> dict[str, Any]:
    """Serve so many statements and read them in both ways."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    engine = spawn.Process(target=serve_statements, args=(size, theirs), daemon=True)
    engine.start()
    try:
        url = ours.recv()
        ways = {
            "ranges and batches": timed(engine.pid, facts_of, url),
            "sorted pages": timed(engine.pid, sorted_pages, url, page_size),
        }
    finally:
        ours.close()  # which ends it
        engine.join()
    return {"statements": size, "ways": ways}


def serve_statements(size: int, asked: Connection) -> None:
    """Make statements, serve them, and end when the other side does."""
    dice = random.Random(size)
    made = Statements()
    subjects = size // _EACH
    for holder in range(size // 2):
        made.label(f"Q{9_000_000 + holder}", f"Holder {holder}", f"H. {holder}")
    for subject in range(subjects):
        item = f"Q{1_000_000 + subject}"
        made.subject(item, f"Club {subject}")
        year = dice.randint(2010, 2017)
        for number in range(_EACH):
            until = year + dice.randint(1, 3)
            end = {"P582": f"{until}-06-30/11"} if number < _EACH - 1 else {}
            value = f"wd:Q{9_000_000 + dice.randrange(size // 2)}"
            made.statement(item, "P286", value, P580=f"{year}-07-01/11", **end)
            year = until
    with serve(made.turtle()) as service:
        asked.send(service.url)
        try:
            asked.recv()
        except EOFError:
            return


def timed(engine: int | None, read: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
    """Read in a process of its own; seconds of processor of both, requests, peak memory."""
    before = processor_seconds(engine)
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = pool.submit(read, *arguments).result()
    return {**found, "engine": processor_seconds(engine) - before}


def facts_of(url: str) -> dict[str, Any]:
    """All facts of the window."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        sparql = Sparql(url, None, Path(folder))
        source = Wikidata(url, choose(["head_coach"]), Path(folder), since=SINCE, until=UNTIL, sparql=sparql)
        facts = sum(1 for _ in source.facts())
    return {**cost(began), "requests": sparql.requests_made, "found": facts}


def sorted_pages(url: str, page_size: int) -> dict[str, Any]:
    """All statements, by pages of one sorted list."""
    began = time.process_time()
    found, after = 0, ""
    with tempfile.TemporaryDirectory() as folder:
        sparql = Sparql(url, None, Path(folder))
        while rows := sparql.ask(_SORTED.format(after=after, page=page_size)):
            found += len(rows)
            after = rows[-1]["statement"]
    return {**cost(began), "requests": sparql.requests_made, "found": found}


def cost(since: float) -> dict[str, float]:
    """Seconds of processor since an earlier moment, and the peak of memory of this process."""
    peak = memory.peak(None)
    assert peak is not None, "this system does not say what a process's memory was"
    return {"reader": time.process_time() - since, "mebibytes": peak / 2**20}


def processor_seconds(process: int | None) -> float:
    """Seconds of processor of a running process."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def exponents(measured: Sequence[dict[str, Any]], way: str) -> dict[str, float]:
    """Of the engine's seconds, the reader's, and both together, over the statements."""
    statements = np.log([each["statements"] for each in measured])
    engine = np.array([each["ways"][way]["engine"] for each in measured])
    reader = np.array([each["ways"][way]["reader"] for each in measured])
    spent = {"engine": engine, "reader": reader, "both": engine + reader}
    # The system counts processor time in hundredths of a second.
    return {name: float(np.polyfit(statements, np.log(np.maximum(own, 0.01)), 1)[0]) for name, own in spent.items()}


def page(content: dict[str, Any]) -> str:
    """The study as Markdown."""
    rows = [
        "# How reading Wikidata's facts grows with its statements",
        "",
        f"Made by `python eval/wikidata_growth.py`: {content['made']}.",
        "Oxigraph serves made-up statements; seconds of processor, memory of the reader. The window is 2020 to 2024.",
        "",
        "| statements | way | engine s | reader s | requests | MiB | read |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in content["sizes"]:
        for way, own in each["ways"].items():
            what = f"{own['found']:,} {'facts' if way == 'ranges and batches' else 'statements'}"
            rows.append(
                f"| {each['statements']:,} | {way} | {own['engine']:.2f} | {own['reader']:.2f} | {own['requests']:,} | "
                f"{own['mebibytes']:.0f} | {what} |"
            )
    rows += ["", "| exponents over statements | engine | reader | both |", "|---|---|---|---|"]
    for way, own in content["exponents"].items():
        rows.append(f"| {way} | {own['engine']:.2f} | {own['reader']:.2f} | {own['both']:.2f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()
