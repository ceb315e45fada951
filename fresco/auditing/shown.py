"""An audit as tables: for the console and, as Markdown, for a card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fresco.auditing.audit import WHAT, Audit
from fresco.terminal.figures import interval

#: Header, task, metric.
COLUMNS = (
    ("EK MAP", "EK", "MAP"),
    ("EK Hit@1", "EK", "Hit@1"),
    ("stale@1", "EK", "stale@1"),
    ("current>obsolete", "EK", "current>obsolete"),
    ("NEK MAP", "NEK", "MAP"),
)
_FIGURES = {
    "date-auroc": "AUROC of the date, positive against outdated, all pools together",
    "date-auroc-within": "share of pairs in a pool in which the positive is newer",
    "newest-wrong": "EK pools in which no positive is in the newest revision of its page",
    "conflict-share": "EK queries with an outdated passage",
    "outdated-share": "outdated passages in an EK pool",
    "twins": "passages with a near-duplicate of another label in their pool",
    "twin-pools": "pools that hold such twins",
    "beyond-256": "answers that end beyond 256 tokens",
    "beyond-384": "answers that end beyond 384 tokens",
    "beyond-512": "answers that end beyond 512 tokens",
}


def rule_rows(audit: Audit, *, intervals: bool = True) -> tuple[list[str], list[list[str]]]:
    """Header and cells of the table of rules; columns of a task without queries are left out."""
    found = {(row["reranker"], row["task"], row["metric"]): row for row in audit.rows if row["kind"] == "all"}
    tasks = {task for _, task, _ in found}
    columns = [column for column in COLUMNS if column[1] in tasks]
    rows = []
    for rule, what in WHAT.items():
        cells = [rule, what]
        for _, task, metric in columns:
            row: Any = found.get((rule, task, metric))
            row = None if row is None or row["value"] is None else row
            cells.append(interval(row if row is None or intervals else {**row, "ci_low": None}))
        rows.append(cells)
    return ["rule", "what it sees", *(header for header, *_ in columns)], rows


def figure_rows(audit: Audit) -> list[list[str]]:
    """What is one number: its name, what it is, the number."""
    rows = []
    for name, value in audit.figures.items():
        shown = "-" if value is None else f"{value:.0f}" if name in ("twins", "twin-pools") else f"{value:.3f}"
        rows.append([name, _FIGURES[name], shown])
    for kind, counted in audit.conflicts["kinds"].items():
        rows.append([f"conflict {kind}", "outdated passages, and the queries they are in", _counted(counted)])
    return rows


def _counted(counted: dict[str, int]) -> str:
    return f"{counted['passages']} in {counted['queries']}"


def markdown(audit: Audit) -> str:
    """The audit for a card."""
    edition = audit.benchmark["edition"]
    name = audit.benchmark["name"] + (f", edition {edition}" if edition is not None else "")
    header, rows = rule_rows(audit, intervals=False)
    lines = [f"Audit of {name} ({audit.benchmark['fingerprint'][:12]}), {audit.benchmark['queries']} queries.", ""]
    lines += _table(header, rows)
    lines += ["", *_table(["figure", "what it is", "value"], figure_rows(audit)), ""]
    lines += [f"Tokens counted by {audit.lengths['counted_by']}.", "", *(f"- {line}" for line in audit.verdict)]
    return "\n".join(lines) + "\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(header) + " |", "|---" * len(header) + "|", *("| " + " | ".join(r) + " |" for r in rows)]
