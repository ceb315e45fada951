"""What the guards of files and names cost: ``fresco score`` and ``ccs index`` with them and without, in turns.

    python eval/guards.py --work DIR

"Without" is the same commit with the slow, trusting reference in each guard's place: no limit on lines and unpacking,
no checksum, no lock, no masking of secrets, no temporary file, nothing forced to the disk. The processor's seconds of a
whole process are compared, since what else the machine does falls on the clock. Turns that are done lie in
``DIR/guards.jsonl``; after a kill the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import study

from fresco.io.files import lines, read_rows, write_atomically

_SIDES = ("guarded", "trusting")
_TURNS, _PASSAGES, _BOUND = 20, 20_000, 1.02
_SMOKE_TURNS, _SMOKE_PASSAGES = 2, 50


def trust() -> None:
    """Put the reference in each guard's place; before anything else is imported, for good."""
    from fresco.io import files, names, packed, secrets, state

    def every_line(path: Path, limits: object = None) -> Iterator[tuple[int, bytes]]:
        with path.open("rb") as stream:
            yield from enumerate(stream, 1)

    def write(path: Path, content: str | bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def same(value: Any, *_: object) -> Any:
        return value

    for module, name, reference in (
        (packed, "numbered_lines", every_line),
        (files, "write_atomically", write),
        (files, "replacing", lambda path: path.open("wb")),
        (files, "sync", lambda *_: None),
        (files, "sync_folder", lambda _: None),
        (files, "locked", lambda folder: nullcontext(folder.mkdir(parents=True, exist_ok=True))),
        (files, "locked_file", lambda _: nullcontext()),
        (files, "redacted", same),
        (secrets, "redacted", same),
        (names, "printable", same),
        (state, "_checksum", lambda _: ""),
        (state, "redacted", same),
    ):
        if not hasattr(module, name):
            sys.exit(f"{module.__name__} has no {name}: the study must be mended")
        setattr(module, name, reference)


def commands(work: Path, *, smoke: bool) -> dict[str, list[str]]:
    """What is timed, by name; each writes below ``out``."""
    part = ["--limit", "8", "--resamples", "20"] if smoke else []
    return {
        "fresco score": ["fresco", "score", "--reranker", "bm25", "--store", "out/s.sqlite", "--out", "out/run", *part],
        "ccs index": ["ccs", "index", "--corpus", str(work / "corpus.jsonl"), "--out", "out/index"],
    }


def write_corpus(work: Path, count: int) -> None:
    """Passages of a hundred drawn words."""
    draw = random.Random(0)
    vocabulary = [f"w{number}" for number in range(20_000)]
    rows = ({"id": f"p{number}", "contents": " ".join(draw.choices(vocabulary, k=100))} for number in range(count))
    write_atomically(work / "corpus.jsonl", lines(rows))


def timed(work: Path, side: str, command: list[str]) -> float:
    """Processor seconds of a process that runs the command."""
    shutil.rmtree(work / "out", ignore_errors=True)
    (work / "out").mkdir()
    child = subprocess.Popen(
        [sys.executable, __file__, "--work", str(work), "--child", side, json.dumps(command)],
        cwd=work, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command)} ({side}) ended with {child.returncode}")
    return used.ru_utime + used.ru_stime


def in_child(side: str, command: list[str]) -> int:
    """Run one of our commands in this process."""
    if side == "trusting":
        trust()
    if command[0] == "fresco":
        from fresco.cli import main
    else:
        from ccs.cli import main
    return main(command[1:])


def summary(rows: list[dict[str, Any]], name: str) -> dict[str, float]:
    """Median of the paired ratios with its bootstrap interval, and the medians of both sides."""
    own = [row for row in rows if row["command"] == name]
    ratios = [row["guarded"] / row["trusting"] for row in own]
    draw = random.Random(0)
    drawn = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(2000))
    medians = {side: statistics.median(row[side] for row in own) for side in _SIDES}
    return {"ratio": statistics.median(ratios), "low": drawn[50], "high": drawn[1949], "turns": len(own), **medians}


def table(made: dict[str, Any], found: dict[str, dict[str, float]]) -> str:
    """The study's table."""
    shown = [
        "# What the guards cost", "",
        f"`python eval/guards.py --work DIR`: {study.made_by(made)}.",
        "Processor seconds of whole processes, in turns; median of the paired ratios [95 % bootstrap].", "",
        "| command | turns | with guards | without | ratio | below 1.02 |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for name, row in found.items():
        verdict = "yes" if row["high"] < _BOUND else "no" if row["low"] >= _BOUND else "not told apart"
        shown.append(
            f"| `{name}` | {row['turns']} | {row['guarded']:.2f} s | {row['trusting']:.2f} s | "
            f"{row['ratio']:.4f} [{row['low']:.4f} {row['high']:.4f}] | {verdict} |"
        )
    return "\n".join(shown)


def main() -> None:
    """Time what is not timed yet."""
    parser = study.make_parser(__doc__)
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="for the corpus, and what is done")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        sys.exit(in_child(options.child[0], json.loads(options.child[1])))
    made = study.begin(options)
    commit = (made["git"] or {}).get("commit")
    turns, passages = (_SMOKE_TURNS, _SMOKE_PASSAGES) if options.smoke else (_TURNS, _PASSAGES)
    done = options.work / "guards.jsonl"
    rows = [row for row in read_rows(done) if row["commit"] == commit] if done.exists() else []
    write_corpus(options.work, passages)
    tried = commands(options.work, smoke=options.smoke)
    for name, command in tried.items():
        for turn in range(sum(row["command"] == name for row in rows), turns):
            order = _SIDES if turn % 2 else _SIDES[::-1]
            spent = {side: timed(options.work, side, command) for side in order}
            rows.append({"command": name, **spent, "commit": commit})
            write_atomically(done, lines(rows))
            print(f"{name}, turn {turn + 1} of {turns}: {spent['guarded'] / spent['trusting']:.4f}", flush=True)
    found = {name: summary(rows, name) for name in tried}
    study.record(options, "guards", {"environment": made, "rows": rows, "found": found}, table(made, found))


if __name__ == "__main__":
    main()
