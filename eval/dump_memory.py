"""Memory of indexing a dump that grows: it is generated while it is read, through a pipe, and never lies on disk.

    python eval/dump_memory.py --gigabytes 0.2 1 4

records ``eval/results/dump_memory.json`` and ``.md``; ``--gigabytes 20`` is the size that the design asks for. The dump
is a MediaWiki export of pages with 50 revisions of 40 kB, each revision with lines of its own. What the index keeps of
it lies in a temporary folder (SQLite, texts compressed) and its size is in the table: texts are kept of every page. The
process that indexes is one of its own, whose peak of resident memory the system tells. Linux only.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import study

GIGABYTES, SMOKE = (0.2, 1.0, 4.0), (0.002, 0.004)
#: MB by which the largest size may exceed the smallest.
_FLAT = 50
_REVISIONS, _LINE, _LINES = 50, "Line {line} of revision {number} says little that the last one did not say.\n", 500

_INDEX = """
import json, sys, time
from pathlib import Path
from fresco.builder.wikipedia import Mirror
from fresco.models.memory import peak
with Mirror(Path(sys.argv[1]), Path(sys.argv[2])) as mirror:
    titles = sum(1 for _ in mirror.titles())
print(json.dumps({"pages": titles, "peak": peak(None), "processor": time.process_time()}))
"""


def export(size: float) -> Iterator[bytes]:
    """An export of at least so many bytes, a revision at a time."""
    yield b"<mediawiki>"
    done = number = 0
    while done < size:
        page = number // _REVISIONS
        if number % _REVISIONS == 0:
            yield f"<page><title>Page {page}</title><ns>0</ns><id>{page + 1}</id>".encode()
        when = f"2020-{number % 12 + 1:02}-{number % 28 + 1:02}T00:00:{number % 60:02}Z"
        text = "".join(_LINE.format(line=line, number=number) for line in range(_LINES))
        row = f"<revision><id>{number}</id><timestamp>{when}</timestamp><text>{text}</text></revision>".encode()
        yield row
        done += len(row)
        number += 1
        if number % _REVISIONS == 0 or done >= size:
            yield b"</page>"
    yield b"</mediawiki>"


def measure(gigabytes: float) -> dict[str, Any]:
    """Index so much in a process of its own.

    Returns:
        gigabytes, pages, peak (MB), processor (seconds of the process), seconds (wall), kept (MB on disk), load.
    """
    with tempfile.TemporaryDirectory() as name:
        pipe, cache = Path(name, "dump.xml"), Path(name, "cache.sqlite")
        os.mkfifo(pipe)
        load, started, written = os.getloadavg()[0], time.perf_counter(), 0
        with subprocess.Popen(
            [sys.executable, "-c", _INDEX, str(pipe), str(cache)], stdout=subprocess.PIPE, text=True
        ) as child:
            with pipe.open("wb", buffering=1 << 20) as stream:
                for part in export(gigabytes * 1e9):
                    written += stream.write(part)
            answer, _ = child.communicate()
        if child.returncode:
            sys.exit(f"indexing ended with {child.returncode}")
        found = json.loads(answer)
        kept = sum(path.stat().st_size for path in Path(name).iterdir() if path.is_file())
    return {
        "gigabytes": written / 1e9, "pages": found["pages"], "peak": found["peak"] / 1e6,
        "processor": found["processor"], "seconds": time.perf_counter() - started, "kept": kept / 1e6, "load": load,
    }  # fmt: skip


def table(made: dict[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """The study's table."""
    shown = [
        "# Memory of indexing a dump that grows", "",
        f"Made by `python eval/dump_memory.py`: {study.made_by(made)}.",
        "A MediaWiki export, generated while it is read through a pipe; pages of 50 revisions of 40 kB.", "",
        "| dump | pages | peak of memory | processor s | wall s (load) | index on disk |", "|---" * 6 + "|",
    ]  # fmt: skip
    for row in rows:
        shown.append(
            f"| {row['gigabytes']:.3g} GB | {row['pages']:,} | {row['peak']:,.0f} MB | {row['processor']:.1f} | "
            f"{row['seconds']:.1f} ({row['load']:.1f}) | {row['kept']:,.0f} MB |"
        )
    peaks = [row["peak"] for row in rows]
    verdict = "flat" if max(peaks) - min(peaks) <= _FLAT else "NOT flat"
    shown += ["", f"{verdict}: {max(peaks) - min(peaks):.0f} MB between the smallest peak and the largest."]
    return "\n".join(shown)


def main() -> None:
    """Measure each size."""
    parser = study.make_parser(__doc__)
    parser.add_argument("--gigabytes", type=float, nargs="+", default=GIGABYTES, metavar="N", help="sizes of the dump")
    options = parser.parse_args()
    made = study.begin(options)
    rows = []
    for size in SMOKE if options.smoke else sorted(options.gigabytes):
        rows.append(measure(size))
        print(f"{rows[-1]['gigabytes']:.3g} GB: {rows[-1]['peak']:,.0f} MB", flush=True)
    study.record(options, "dump_memory", {"environment": made, "rows": rows}, table(made, rows))


if __name__ == "__main__":
    main()
