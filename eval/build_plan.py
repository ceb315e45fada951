"""What ``fresco build --plan`` says beforehand, beside what the build then takes, on a real MediaWiki on this machine.

    python eval/build_plan.py

records ``eval/results/build_plan.json`` and ``.md``. A MediaWiki (Debian's package, SQLite) gets the 30 real pages of
``mediawiki_xml/revisions-30-pages.mediawiki.xml.xz`` and answers through a proxy that counts. Plan and build are
processes of their own, one after the other, at so many requests a second as a wiki would be asked (``--rate``). Hours
are of the clock, so what else the machine does counts: the load stands beside them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import study

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.builder.servers import mediawiki
from tests.builder.servers.fault_proxy import fault_proxy

EXPORT = "mediawiki_xml/revisions-30-pages.mediawiki.xml.xz"
RIGHT = 0.3
_BUILD = """
import json, sys, time
from fresco.builder.job import Source, run_build
from pathlib import Path
from fresco.models import memory
from fresco.records import parse_timestamp
given, workers = json.loads(sys.argv[1]), 0
def told(*_):
    global workers
    workers = max(workers, memory.peak_of_children() or 0)
started = time.monotonic()
options = {"reference": parse_timestamp("2025-01-01T23:59:59Z"), "workers": 1, "plan": given["plan"]}
options["titles"] = tuple(given["titles"])
run_build(Path(given["out"]), Source(wiki=given["wiki"], rate=given["rate"]), None, told, options)
print(json.dumps({"seconds": time.monotonic() - started, "memory": memory.peak(None), "worker_memory": workers}))
"""


def run(**given: Any) -> dict[str, Any]:
    """Plan, or build, in a process of its own; what it took: seconds, memory and worker_memory (bytes)."""
    done = subprocess.run([sys.executable, "-c", _BUILD, json.dumps(given)], stdout=subprocess.PIPE, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def size(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure(export: Path, rate: float, pages: int | None, work: Path) -> list[dict[str, Any]]:
    """Plan and build.

    Returns:
        For each figure: what it is, what the plan says, what the build took.
    """
    wiki = mediawiki.make(work / "wiki")
    wiki.import_export(export)
    out = work / "b"
    with mediawiki.serve(wiki) as url, fault_proxy(url) as proxy:
        titles = sorted(path for path in _titles(url))[:pages]
        given = {"wiki": proxy.url, "rate": rate, "titles": titles, "out": str(out)}
        planning = run(plan=True, **given)
        planned = json.loads((out / "plan.json").read_text(encoding="utf-8"))
        proxy.seen.clear()
        before = size(out)
        took = run(plan=False, **given)
        requests = len(proxy.seen)
    return _rows(planned, took, requests, size(out) - before, planning["seconds"])


def _rows(
    planned: dict[str, Any], took: dict[str, Any], requests: int, disk: int, seconds: float
) -> list[dict[str, Any]]:
    return [
        {"what": "requests", "plan": planned["requests"], "build": requests},
        {"what": "seconds", "plan": planned["hours"] * 3600, "build": took["seconds"]},
        {"what": "MB on disk", "plan": planned["disk"] / 1e6, "build": disk / 1e6},
        {"what": "MB of memory", "plan": planned["memory"] / 1e6, "build": took["memory"] / 1e6},
        {"what": "MB of the parser", "plan": planned["worker_memory"] / 1e6, "build": took["worker_memory"] / 1e6},
        {"what": "seconds of the plan itself", "plan": None, "build": seconds},
    ]


def _titles(url: str) -> list[str]:
    from fresco.builder.wikipedia import Wiki

    with tempfile.TemporaryDirectory() as name, Wiki(url, None, Path(name, "c.sqlite"), rate=1000) as wiki:
        return list(wiki.titles())


def table(made: dict[str, Any], rows: list[dict[str, Any]], rate: float, load: float) -> str:
    """The study's table."""
    shown = [
        "# What a plan says, and what the build takes", "",
        f"Made by `python eval/build_plan.py`: {study.made_by(made)}, load {load:.1f}.",
        f"A MediaWiki on this machine, {rate:g} requests a second at most.", "",
        "| | plan | build | ratio |", "|---" * 4 + "|",
    ]  # fmt: skip
    for row in rows:
        plan, ratio = row["plan"], row["plan"] / row["build"] if row["plan"] is not None and row["build"] else None
        beside = "-" if ratio is None else f"{ratio:.2f}{'' if abs(ratio - 1) <= RIGHT else ' (off)'}"
        shown.append(f"| {row['what']} | {'-' if plan is None else f'{plan:,.1f}'} | {row['build']:,.1f} | {beside} |")
    return "\n".join(shown)


def main() -> None:
    """Plan and build once."""
    parser = study.make_parser(__doc__, reads_data=True)
    parser.add_argument("--rate", type=float, default=2.0, metavar="N", help="requests a second (default 2)")
    options = parser.parse_args()
    made = study.begin(options)
    if not mediawiki.is_installed():
        sys.exit(f"needs MediaWiki: {mediawiki.HOW_TO_INSTALL}")
    load, started = os.getloadavg()[0], time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        rate, pages = (50.0, 6) if options.smoke else (options.rate, None)
        rows = measure(options.data / EXPORT, rate, pages, Path(name))
    content = {"environment": made, "rate": rate, "load": load, "rows": rows, "seconds": time.monotonic() - started}
    study.record(options, "build_plan", content, table(made, rows, rate, load))


if __name__ == "__main__":
    main()
