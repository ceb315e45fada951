"""What every study shares: where data comes from, a quick run that proves it still works, and how figures are recorded.

A figure in ``eval/results`` must be one that its commit gives, so nothing is recorded from a checkout with changes
(``eval/results`` itself aside: several studies may run in a row). ``--out DIR`` writes elsewhere, whatever the state.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fresco.io.files import write_atomically
from fresco.io.provenance import environment

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
#: Folder of the studies' data where ``--data`` names no other; ``eval/README.md`` says where each set comes from.
DATA = HERE.parents[1] / "shared" / "data"


def make_parser(about: str | None, *, reads_data: bool = False) -> argparse.ArgumentParser:
    """The parser of a study, with ``--smoke``, ``--out`` and, where it reads data of others, ``--data``.

    Args:
        about: The study's docstring.
        reads_data: Whether it reads :data:`DATA`.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    if reads_data:
        parser.add_argument(
            "--data", type=Path, default=DATA, metavar="DIR", help="folder of the data (eval/README.md)"
        )
    parser.add_argument("--smoke", action="store_true", help="the same path on a few rows; records only into --out")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the results there (default: eval/results)")
    return parser


def begin(options: argparse.Namespace) -> dict[str, Any]:
    """Look at machine and commit before the study changes a file; refuse what could not be recorded in the end.

    Args:
        options: Of :func:`make_parser`. A smoke run gets one thread: beside other tests, threads that wait for each
            other turn seconds of work into minutes.

    Returns:
        What :func:`fresco.io.provenance.environment` says; ``git.dirty`` disregards ``eval/results``.
    """
    data: Path | None = getattr(options, "data", None)
    if data is not None and not data.is_dir():
        sys.exit(f"--data {data}: no such folder; eval/README.md says where the data comes from")
    if options.smoke and getattr(options, "threads", None):
        options.threads = 1
    made = environment()
    if made["git"]:
        made["git"]["dirty"] = has_changes()
    if made["git"] and made["git"]["dirty"] and options.out is None and not options.smoke:
        sys.exit("the checkout has changes, so no figure is recorded from it: commit them, or give --out DIR")
    return made


def has_changes() -> bool:
    """Whether the checkout differs from its commit, ``eval/results`` aside."""
    command = ["git", "-C", str(HERE.parent), "status", "--porcelain", "--", ".", ":(exclude)eval/results"]
    return bool(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


def made_by(made: Mapping[str, Any]) -> str:
    """Date, commit and machine in one line, for the head of a table."""
    git = made["git"] or {"commit": "unknown", "dirty": False}
    commit = f"commit {git['commit'][:12]}{' (with changes)' if git['dirty'] else ''}"
    return f"{datetime.now(UTC).date().isoformat()}, {commit}, {made['cpu']}, {made['cpu_count']} cores"


def folder(options: argparse.Namespace) -> Path | None:
    """Where results are written; None where a quick run writes none."""
    chosen: Path | None = options.out or (None if options.smoke else RESULTS)
    return chosen


def record(options: argparse.Namespace, name: str, content: Any, table: str) -> None:
    """Print a study's table; write it and its figures as ``NAME.md`` and ``NAME.json``.

    Args:
        options: Of :func:`make_parser`.
        name: Of the study.
        content: What JSON holds.
        table: Markdown.
    """
    print(table)
    target = folder(options)
    if target is None:
        return
    text = json.dumps(content, indent=1, ensure_ascii=False, sort_keys=isinstance(content, dict)) + "\n"
    write_atomically(target / f"{name}.json", text)
    write_atomically(target / f"{name}.md", table.rstrip("\n") + "\n")


def recorded(options: argparse.Namespace, name: str, default: Any) -> Any:
    """What an earlier run of the study left, for studies that add to it."""
    target = folder(options)
    path = target / f"{name}.json" if target else None
    return json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else default
