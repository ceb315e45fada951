"""How a build grows with the number of pages: seconds of processor and peak memory of each stage, and their exponents.

    pip install -e ".[test]" && python eval/build_growth.py --data ../shared/data --work growth

writes ``eval/results/build_growth.json`` and ``.md``. The pages are the real ones of ``wikirev``, multiplied:
a copy is a page under another name, which its texts bear as well, so that no text is parsed once for two pages and no
page names another one's copy. Each size is built from nothing by a process of its own (``fresco build --facts
infobox``, one parsing process, whose seconds are counted); seconds are of the processor, so other programs do not fall
on them. What is measured is kept in ``--work``: interrupted, the same command goes on with the size that was open.

An exponent is the slope of a straight line through the logarithms of seconds over those of pages. Linux only.
"""

from __future__ import annotations

import json
import lzma
import math
import multiprocessing
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import study

from fresco.builder.config import BuildConfig
from fresco.builder.pipeline import build
from fresco.builder.wikipedia import Mirror
from fresco.io.files import write_atomically
from fresco.models import memory
from fresco.records import parse_timestamp

SIZES, SMOKE_SIZES = (500, 1000, 2000, 5000), (4, 8)
GOAL_PAGES, GOAL_HOURS, GOAL_GIB, GOAL_EXPONENT = 100_000, 10.0, 8.0, 1.1
_REFERENCE = parse_timestamp("2025-01-01T23:59:59Z")


def main() -> None:
    """Measure each size, fit, record."""
    parser = study.make_parser(__doc__, reads_data=True)
    parser.add_argument("--work", type=Path, default=Path("build-growth"), help="keeps what is measured")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, metavar="N", help="numbers of pages")
    options = parser.parse_args()
    made = study.begin(options)
    sizes = SMOKE_SIZES if options.smoke else sorted(set(options.sizes))
    measured = [measure(options.data / "wikirev" / "revisions.jsonl.xz", options.work, size) for size in sizes]
    content = {"made": study.made_by(made), "sizes": measured, "fit": fit(measured)}
    study.record(options, "build_growth", content, page(content))


def measure(source: Path, work: Path, size: int) -> dict[str, Any]:
    """Build one size in a process of its own, or take what an earlier run measured."""
    kept = work / f"{size}.json"
    if kept.exists():
        found: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    folder = work / str(size)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    dump = folder / "pages.jsonl"
    with dump.open("w", encoding="utf-8") as file:
        for row in multiplied(source, size):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as pool:
        found = pool.submit(built, dump, folder).result()
    write_atomically(kept, json.dumps({"pages": size, "bytes": dump.stat().st_size, **found}))
    shutil.rmtree(folder)
    return measure(source, work, size)


def multiplied(source: Path, size: int) -> Iterator[dict[str, Any]]:
    """The revisions of so many pages, those of the source first and then its copies."""
    pages: dict[str, list[dict[str, Any]]] = {}
    with lzma.open(source, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            pages.setdefault(row["title"], []).append(row)
    titles = sorted(pages)
    for number in range(size):
        copy, place = divmod(number, len(titles))
        title = titles[place]
        for row in pages[title]:
            yield {
                **row,
                "title": renamed(title, copy),
                "page_id": number + 1,
                "revision_id": copy * 10**12 + row["revision_id"],
                "content": row["content"].replace(title, renamed(title, copy)) + f"\n<!-- {copy} -->",
            }


def renamed(title: str, copy: int) -> str:
    """The title of a copy, which does not hold that of the page: "Boston Celtics" is "Bboston Celtics"."""
    code = ""
    while copy:
        copy, letter = divmod(copy, 26)
        code += chr(ord("a") + letter)
    return f"{code.capitalize()}{title[:1].lower()}{title[1:]}" if code else title


class Meter:
    """Told of the stages, it notes what each has cost."""

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, float]] = {}
        self._stage, self._since = "", 0.0
        self.enter("index")

    def enter(self, stage: str, *_: int) -> None:
        """A stage has begun, or goes on."""
        if stage == self._stage:
            return
        now = processor_seconds()
        if self._stage:
            self.stages[self._stage] = {"seconds": now - self._since, "mebibytes": peak_mebibytes()}
        self._stage, self._since = stage, now
        memory.forget_peak(None)


def built(dump: Path, folder: Path) -> dict[str, Any]:
    """Build once; what each stage has cost, and counts of the funnel."""
    meter = Meter()
    config = BuildConfig(folder / "b", "wikirev, multiplied", reference=_REFERENCE, workers=1)
    with Mirror(dump, folder / "cache.sqlite") as mirror:
        funnel = build(config, mirror, meter.enter)
        meter.enter("end")
    counts = {"aligned": funnel.aligned, "queries": funnel.queries, "passages": funnel.passages}
    return {"stages": meter.stages, **counts, "processor": sum(os.times()[:4])}


def processor_seconds() -> float:
    """Seconds of processor of this process and of its children, those that run included."""
    total = sum(os.times()[:4])
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            except FileNotFoundError:
                continue  # it ended meanwhile
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def peak_mebibytes() -> float:
    """Most memory of this process since the peak was counted anew."""
    found = memory.peak(None)
    assert found is not None, "this system does not say what a process's memory was"
    return found / 2**20


def fit(measured: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Exponents of the stages, and what they make of :data:`GOAL_PAGES` pages."""
    pages = np.array([each["pages"] for each in measured], float)
    exponents, hours = {}, 0.0
    for stage in measured[0]["stages"]:
        seconds = np.maximum([each["stages"][stage]["seconds"] for each in measured], 0.01)
        slope = float(np.polyfit(np.log(pages), np.log(seconds), 1)[0]) if len(pages) > 1 else math.nan
        exponents[stage] = slope
        hours += float(seconds[-1]) * (GOAL_PAGES / pages[-1]) ** slope / 3600
    peaks = [max(stage["mebibytes"] for stage in each["stages"].values()) for each in measured]
    slope, start = np.polyfit(pages, peaks, 1) if len(pages) > 1 else (math.nan, math.nan)
    return {"exponents": exponents, "hours": hours, "gibibytes": float(start + slope * GOAL_PAGES) / 1024}


def page(content: dict[str, Any]) -> str:
    """The study as Markdown."""
    measured, fitted = content["sizes"], content["fit"]
    head = [f"{each['pages']:,} pages" for each in measured]
    rows = [
        "# How a build grows with its pages",
        "",
        f"Made by `python eval/build_growth.py`: {content['made']}.",
        "Seconds of processor, and the process's peak of memory; the real `wikirev` pages, multiplied and renamed.",
        "",
        "| stage | " + " | ".join(head) + " | exponent |",
        "|---" * (len(head) + 2) + "|",
    ]
    for stage, slope in fitted["exponents"].items():
        cells = [
            f"{each['stages'][stage]['seconds']:.1f} s, {each['stages'][stage]['mebibytes']:.0f} MiB"
            for each in measured
        ]
        rows.append(f"| {stage} | " + " | ".join(cells) + f" | {slope:.2f} |")
    for name in ("aligned", "queries", "passages"):
        rows.append(f"| {name} | " + " | ".join(f"{each[name]:,}" for each in measured) + " | |")
    worst = max(fitted["exponents"], key=lambda stage: fitted["exponents"][stage])
    rows += [
        "",
        f"Largest exponent: {fitted['exponents'][worst]:.2f} ({worst}); aimed at: at most {GOAL_EXPONENT}.",
        f"{GOAL_PAGES:,} pages by these exponents: {fitted['hours']:.1f} hours of one processor (aimed at: at most "
        f"{GOAL_HOURS:.0f}) and, by a straight line, {fitted['gibibytes']:.1f} GiB (at most {GOAL_GIB:.0f}).",
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    main()
