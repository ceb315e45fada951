"""Memory and disk of building from sources that grow, while what is wanted of them stays the same.

    python eval/dump_memory.py --gigabytes 0.05 0.2 1 4

records ``eval/results/dump_memory.json`` and ``.md``; ``--gigabytes 20`` is the size that the design asks for. The dump
is a MediaWiki export of pages with 50 revisions of 40 kB, each revision with lines of its own, and of 20 short pages
of clubs whose managers change: they alone give pairs. It is written by a command (this file with ``--write``) that
``fresco build --mirror command:...`` runs for each of its two readings, and never lies on disk.

    python eval/dump_memory.py --documents 0.02 0.1 0.5

is the same of ``--documents``: JSON Lines with so many GB of documents of 2 kB, of which 100 name one of the 20 clubs;
that file lies on disk. It records ``document_memory.json`` and ``.md``.

Each build is a process of its own, whose peak of resident memory the system tells. Disk is what the build's folder and
the process's files without a name (SQLite's temporary ones) take at most, looked at five times a second, and what is
left in the end. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import study

GIGABYTES, SMOKE = (0.05, 0.2, 1.0, 4.0), (0.002, 0.004)
#: MB by which a figure may grow in all, which is noise; or else with each GB.
_NOISE, _FLAT = 10, 1
_REVISIONS, _LINE, _LINES = 50, "Line {line} of revision {number} says little that the last one did not say.\n", 500
_CLUBS, _NEAR = 20, 10
_YEARS = ("2020", "2021", "2022")
_CLUB = """{{{{Infobox football club
| clubname = Club {club}
| manager = {manager}
}}}}
'''Club {club}''' is a football club of the coast, whose ground lies between the harbour and the old town wall.

== Staff ==
The manager of the club is {manager}, who trains the first team on four days of the week beside the river.
"""
_SECONDS_BETWEEN_LOOKS = 0.2

_BUILD = """
import json, sys, time
import fresco
from fresco.models import memory
from fresco.records import parse_timestamp
options, workers = json.loads(sys.argv[1]), 0
def told(*_):
    global workers
    workers = max(workers, memory.peak_of_children() or 0)
built = fresco.build(
    progress=told, workers=1, since=parse_timestamp("2020-01-01T00:00:00Z"),
    reference=parse_timestamp("2023-01-01T00:00:00Z"), relations=("head_coach",), near_topic_pages=int(sys.argv[2]),
    **options,
)
print(json.dumps({
    "queries": built.funnel.queries, "peak": memory.peak(None), "worker": workers, "processor": time.process_time(),
}))
"""


def manager(club: int, year: int) -> str:
    """Who managed a club in a year."""
    return f"{chr(65 + club)}lma {('Berg', 'Dorn', 'Falk')[year]}"


def export(size: float) -> Iterator[bytes]:
    """An export of at least so many bytes, a revision at a time."""
    yield b"<mediawiki>"
    for club in range(_CLUBS):
        yield f"<page><title>Club {club}</title><ns>0</ns><id>{club + 1}</id>".encode()
        for year, name in enumerate(_YEARS):
            text = _CLUB.format(club=club, manager=manager(club, year))
            yield (
                f"<revision><id>{club * 10 + year}</id><timestamp>{name}-03-01T00:00:00Z</timestamp><text>{text}</text>"
                "</revision>"
            ).encode()
        yield b"</page>"
    done, number = 0, 1000
    while done < size:
        page = number // _REVISIONS
        if number % _REVISIONS == 0:
            yield f"<page><title>Page {page}</title><ns>0</ns><id>{page + 1000}</id>".encode()
        when = f"{_YEARS[number % 3]}-{number % 12 + 1:02}-{number % 28 + 1:02}T00:00:{number % 60:02}Z"
        text = "".join(_LINE.format(line=line, number=number) for line in range(_LINES))
        row = f"<revision><id>{number}</id><timestamp>{when}</timestamp><text>{text}</text></revision>".encode()
        yield row
        done += len(row)
        number += 1
        if number % _REVISIONS == 0 or done >= size:
            yield b"</page>"
    yield b"</mediawiki>"


def documents(size: float) -> Iterator[bytes]:
    """JSON Lines of at least so many bytes, a document at a time."""

    def document(number: int, text: str, date: str) -> bytes:
        return (
            json.dumps({"id": str(number), "title": f"Document {number}", "text": text, "date": date}) + "\n"
        ).encode()

    for club in range(_CLUBS):
        for year, name in enumerate(_YEARS):
            text = f"As of this spring the manager of Club {club} is {manager(club, year)}, who lives by the river."
            yield document(club * 10 + year, text, f"{name}-03-01")
        for other in range(2):
            text = f"Club {club} {('has new seats of green wood', 'sells its old bus to a school')[other]} this week."
            yield document(club * 10 + 5 + other, text, "2021-06-01")
    done, number = 0, 1000
    while done < size:
        text = "".join(_LINE.format(line=line, number=number) for line in range(25))
        row = document(number, text, f"{_YEARS[number % 3]}-{number % 12 + 1:02}-{number % 28 + 1:02}")
        yield row
        done += len(row)
        number += 1


def measure(options: Mapping[str, Any], folder: Path, near: int) -> dict[str, Any]:
    """Build in a process of its own.

    Returns:
        queries, peak and worker (MB: of the build's process and of the one that parses), processor (seconds of the
        build's process), seconds (wall), most and left (MB on disk), load.
    """
    load, started = os.getloadavg()[0], time.perf_counter()
    command = [sys.executable, "-c", _BUILD, json.dumps({**options, "out": str(folder / "b")}), str(near)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        seen: list[int] = []
        over = threading.Event()
        looking = threading.Thread(target=_look, args=(child.pid, folder, seen, over))
        looking.start()
        answer, _ = child.communicate()
        over.set()
        looking.join()
    if child.returncode:
        sys.exit(f"the build ended with {child.returncode}")
    found = json.loads(answer)
    return {
        "queries": found["queries"], "peak": found["peak"] / 1e6, "worker": found["worker"] / 1e6,
        "processor": found["processor"], "seconds": time.perf_counter() - started, "most": max(seen, default=0) / 1e6,
        "left": _size(folder) / 1e6, "load": load,
    }  # fmt: skip


def _look(pid: int, folder: Path, seen: list[int], over: threading.Event) -> None:
    while not over.wait(_SECONDS_BETWEEN_LOOKS):
        seen.append(_size(folder) + _nameless(pid))


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):  # it may be gone
            total += path.stat().st_size if path.is_file() else 0
    return total


def _nameless(pid: int) -> int:
    """Bytes of the open files of a process that no folder lists."""
    total = 0
    with suppress(OSError):
        for path in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                if str(path.readlink()).endswith(" (deleted)"):
                    total += path.stat().st_size
    return total


def of_dump(gigabytes: float) -> dict[str, Any]:
    """Build from a dump of a size."""
    words = shlex.join([sys.executable, str(Path(__file__).resolve()), "--write", str(gigabytes)])
    with tempfile.TemporaryDirectory() as name:
        return {"gigabytes": gigabytes, **measure({"mirror": f"command:{words}"}, Path(name), _NEAR)}


def of_documents(gigabytes: float) -> dict[str, Any]:
    """Build from a file of documents of a size."""
    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as elsewhere:
        path, facts = Path(elsewhere, "documents.jsonl"), Path(elsewhere, "facts.csv")
        with path.open("wb") as stream:
            stream.writelines(documents(gigabytes * 1e9))
        rows = ["subject,relation,value,start,end"]
        for club in range(_CLUBS):
            for year, start in enumerate(_YEARS):
                end = f"{_YEARS[year + 1]}-02-01" if year + 1 < len(_YEARS) else ""
                rows.append(f"Club {club},head_coach,{manager(club, year)},{start}-02-01,{end}")
        facts.write_text("\n".join(rows) + "\n", encoding="utf-8")
        options = {"documents": str(path), "facts": f"table:{facts}"}
        return {"gigabytes": path.stat().st_size / 1e9, **measure(options, Path(name), _NEAR)}


def table(made: dict[str, Any], rows: Sequence[dict[str, Any]], what: str) -> str:
    """The study's table."""
    shown = [
        f"# Memory and disk of a build from {what} that grow", "",
        f"Made by `python eval/dump_memory.py`: {study.made_by(made)}.",
        f"The same {_CLUBS} subjects give the pairs at every size.", "",
        "| size | queries | peak of memory | of the parser | processor s | wall s (load) | most on disk | left |",
        "|---" * 8 + "|",
    ]  # fmt: skip
    for row in rows:
        shown.append(
            f"| {row['gigabytes']:.3g} GB | {row['queries']} | {row['peak']:,.0f} MB | {row['worker']:,.0f} MB | "
            f"{row['processor']:.1f} | {row['seconds']:.1f} ({row['load']:.1f}) | {row['most']:,.1f} MB | "
            f"{row['left']:,.1f} MB |"
        )
    least, most = rows[0], rows[-1]
    larger = most["gigabytes"] - least["gigabytes"]
    for key, name in (("peak", "memory"), ("most", "disk while it builds"), ("left", "disk afterwards")):
        grown = most[key] - least[key]
        slope = grown / larger if larger else 0.0
        verdict = "flat" if grown <= _NOISE or slope <= _FLAT else "NOT flat"
        shown += ["", f"{name}: {verdict}, {slope:+,.1f} MB for each GB more, from the smallest to the largest."]
    return "\n".join(shown)


def main() -> None:
    """Measure each size."""
    parser = study.make_parser(__doc__)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=GIGABYTES, metavar="N", help="sizes of the dump")
    parser.add_argument("--documents", type=float, nargs="+", metavar="N", help="sizes of a file of documents instead")
    parser.add_argument("--write", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write is not None:
        for part in export(options.write * 1e9):
            sys.stdout.buffer.write(part)
        return
    made = study.begin(options)
    todo = [("dump_memory", "dumps", of_dump, options.gigabytes)]
    if options.documents or options.smoke:
        todo += [("document_memory", "documents", of_documents, options.documents)]
    for name, what, measured, sizes in todo if options.smoke else todo[-1:]:
        rows = []
        for size in SMOKE if options.smoke else sorted(sizes):
            rows.append(measured(size))
            print(f"{rows[-1]['gigabytes']:.3g} GB: {rows[-1]['peak']:,.0f} MB", flush=True)
        study.record(options, name, {"environment": made, "rows": rows}, table(made, rows, what))


if __name__ == "__main__":
    main()
