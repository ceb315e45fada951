"""What the studies of baselines share: run ``fresco score``, write its figures as a Markdown table."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import study

from fresco.cli import main as fresco
from fresco.results.table import find
from fresco.terminal.figures import interval

#: Header, task, kind, metric.
Columns = Sequence[tuple[str, str, str, str]]

EK: Columns = (
    ("EK explicit MAP", "EK", "explicit", "MAP"),
    ("EK implicit MAP", "EK", "implicit", "MAP"),
    ("EK Hit@1", "EK", "all", "Hit@1"),
    ("EK stale@1", "EK", "all", "stale@1"),
    ("EK current>obsolete", "EK", "all", "current>obsolete"),
    ("Obsolete Ratio", "EK", "all", "ObsoleteRatio"),
    ("its base rate", "EK", "all", "ObsoleteBase"),
)
NEK: Columns = (("NEK MAP", "NEK", "all", "MAP"),)


def score(specs: Sequence[str], timestamps: str, *options: str) -> dict[str, Any]:
    """Run ``fresco score``; gives what a record needs of ``run.json``, and the rows of ``metrics.json``."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["score", "--timestamps", timestamps, "--out", folder, *options]
        for spec in specs:
            arguments += ["--reranker", spec]
        if fresco(arguments):
            sys.exit("fresco score failed; its message stands above")
        files = {name: json.loads((Path(folder) / f"{name}.json").read_text()) for name in ("run", "metrics")}
    # Where this machine keeps its files tells nobody anything.
    run = {key: files["run"][key] for key in ("started", "benchmark", "environment")}
    if run["environment"]["git"]:
        run["environment"]["git"]["dirty"] = study.has_changes()
    return {"run": run, "rows": files["metrics"]["rows"]}


def table(result: dict[str, Any], columns: Columns) -> list[str]:
    """Lines of a Markdown table, a row for each re-ranker."""
    names = list(dict.fromkeys(row["reranker"] for row in result["rows"]))
    lines = ["| re-ranker | " + " | ".join(header for header, *_ in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for name in names:
        cells = [interval(find(result["rows"], name, *key)) for _, *key in columns]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return lines


def environment(run: dict[str, Any]) -> str:
    """When, from which commit, on what machine and benchmark."""
    machine = run["environment"]
    git = machine["git"] or {"commit": "unknown", "dirty": True}
    return (
        f"{run['started'][:10]}, commit {git['commit'][:12]}{' (dirty)' if git['dirty'] else ''}, "
        f"{machine['cpu']}, {machine['cpu_count']} cores, Python {machine['python']}, "
        f"benchmark {run['benchmark']['name']} {run['benchmark']['fingerprint'][:12]}, "
        f"{run['benchmark']['queries']} queries"
    )
