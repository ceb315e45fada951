"""The page of ``fresco report``: boards over runs, failures, cures, answers, searches and audits, blocks on demand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fresco.io.page.document import render_page
from fresco.io.secrets import command_line
from fresco.io.state import reading
from fresco.metrics.measures.stale import Stale
from fresco.metrics.staleness import GAP_BINS
from fresco.reporting.answers import answers_data
from fresco.reporting.boards import BLIND, Board
from fresco.reporting.cures import tuning_data
from fresco.reporting.failures import CHUNK, WORST, Failures, number
from fresco.reporting.material import AuditFile, Material
from fresco.reporting.searches import search_data
from fresco.results.result import Result
from fresco.results.table import find
from fresco.tuning.pipeline import TuneResult

_AGAIN = "score again"


def render_report(material: Material, *, worst: int = WORST) -> str:
    """The page as text.

    Args:
        material: What was opened; its runs are read one by one.
        worst: So many queries of each re-ranker come with their texts.
    """
    runs: list[dict[str, Any]] = []
    blocks: dict[str, Any] = {}
    boards: dict[str, Board] = {}
    failures: dict[str, Failures] = {}
    for place, result in enumerate(material.runs):
        name = result.folder.name if result.folder else f"run {place + 1}"
        with reading(result.folder or Path(name), _AGAIN):
            content = f"{result.record['benchmark']['fingerprint']} {result.unit}"
            boards.setdefault(content, Board(result.title, result.unit)).add(place, name, result)
            failures.setdefault(content, Failures(result.record)).add(place, result, worst)
            blocks[f"run-{place}"] = _more(result)
            runs.append({**_run(result, name), "board": list(boards).index(content)})
    for at, each in enumerate(failures.values()):
        with reading(Path(" and ".join(str(run.folder) for run in each.runs.values())), _AGAIN):
            blocks |= dict(each.blocks(at))
    searches = []
    for place, search in enumerate(material.searches):
        with reading(search.folder, "search again"):
            data, lineages = search_data(search, f"search-{place}")
        blocks[f"search-{place}"] = lineages
        searches.append(data)
    answers = []
    for place, own in enumerate(material.answers):
        with reading(own.folder, "run `fresco answer` again"):
            data, said = answers_data(own, f"answers-{place}")
        blocks[f"answers-{place}"] = said
        answers.append(data)
    shown = []
    for board in boards.values():
        with reading(Path(" and ".join(runs[place]["name"] for place in board.runs)), _AGAIN):
            shown.append(board.to_json())
    title = _title(material, runs, shown)
    main = {
        "title": title,
        "command": command_line(),
        "boards": [{**board, "why": own.why} for board, own in zip(shown, failures.values(), strict=True)],
        "runs": runs,
        "tunings": [_tuning(each) for each in material.tunings],
        "answers": answers,
        "searches": searches,
        "audits": [_audit(each) for each in material.audits],
        "chunk": CHUNK,
    }
    return render_page(title, main, script="fresco.reporting", blocks=blocks)


def _title(material: Material, runs: list[dict[str, Any]], boards: list[dict[str, Any]]) -> str:
    if len(runs) == 1:
        return f"fresco: {boards[0]['title']}"
    counts = (
        (len(runs), "run", "runs"),
        (len(material.tunings), "tuning", "tunings"),
        (len(material.answers), "set of answers", "sets of answers"),
        (len(material.searches), "search", "searches"),
        (len(material.audits), "audit", "audits"),
    )
    return f"fresco: {', '.join(f'{n} {one if n == 1 else many}' for n, one, many in counts if n)}"


def _run(result: Result, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "title": result.title,
        "command": result.record.get("command"),
        "notes": [*result.notes, *result.warnings],
        "rerankers": result.rerankers,
        "named": list(result.named),
        "best": _best(result),
    }


def _more(result: Result) -> dict[str, Any]:
    """What of a run is drawn only when the run is chosen."""
    return {"gaps": _gaps(result), "words": {name: result.verdict(name) for name in result.rerankers}}


def _best(result: Result) -> str:
    """What a reader wants to see first: of the re-rankers that read, asked for before others, the best on EK."""
    readers = [name for name in result.rerankers if name not in BLIND] or result.rerankers
    asked = [name for name in readers if name in result.named] or readers
    values = {name: find(result.evaluation.rows, name, "EK", "all", "MAP") for name in asked}
    return max(asked, key=lambda name: row["value"] if (row := values[name]) else -1.0)


def _gaps(result: Result) -> dict[str, list[dict[str, Any]]]:
    """For each re-ranker stale@1 by age of the conflict, empty bins left out."""
    frame = result.evaluation.age_gap
    gaps: dict[str, list[dict[str, Any]]] = {}
    for row in frame[(frame["metric"] == Stale().name) & (frame["n"] > 0)].to_dict("records"):
        figures = {key: number(row[key]) for key in ("value", "ci_low", "ci_high")}
        name = "newer" if row["bin"] == GAP_BINS[0] else row["bin"]
        gaps.setdefault(str(row["reranker"]), []).append({"bin": name, **figures, "n": row["n"]})
    return gaps


def _tuning(tuning: TuneResult) -> dict[str, Any]:
    with reading(tuning.folder, "run `fresco tune` again"):
        return tuning_data(tuning)


def _audit(file: AuditFile) -> dict[str, Any]:
    return {"title": file.title, "command": file.command, **file.shown}
