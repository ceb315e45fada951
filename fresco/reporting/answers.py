"""Answers on the page: what a reader made of each re-ranker's passages, in rates and one by one."""

from __future__ import annotations

from typing import Any

from fresco.answering.measure import COLUMNS
from fresco.answering.pipeline import NOTHING, POSITIVES, AnswerResult
from fresco.answering.values import Named
from fresco.records import Task
from fresco.results.rows import bounds


def answers_data(answers: AnswerResult, block: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the page has from the start, and the answers, which it unpacks when they are asked for.

    Args:
        answers: Of ``fresco answer``.
        block: Name of the block that the answers go into.
    """
    content = answers.content
    shown = [(title, key) for title, key in COLUMNS if any(key in row for row in content["rows"].values())]
    data = {
        "title": f"{content['reader']} on {content['benchmark']}",
        "name": answers.folder.name,
        "command": answers.record.get("command"),
        "top_k": content["top_k"],
        "queries": content["queries"],
        "columns": [title for title, _ in shown],
        "rows": [
            {
                "name": name,
                "control": name in (NOTHING, POSITIVES),
                "cells": [bounds(row.get(key)) for _, key in shown],
                "shares": [bounds(row.get(f"{Task.EK} {kind}")) for kind in Named],
                "stale": bounds(row.get("stale@1")),
            }
            for name, row in content["rows"].items()
        ],
        "kinds": [str(kind) for kind in Named],
        "block": block,
    }
    return data, _one_by_one(answers)


def _one_by_one(answers: AnswerResult) -> dict[str, Any]:
    """Each question once, and for each re-ranker the answers with the question's place."""
    places: dict[str, int] = {}
    questions: list[dict[str, Any]] = []
    said: dict[str, list[list[Any]]] = {name: [] for name in answers.content["rows"]}
    for row in answers.answers:
        if (place := places.setdefault(row["query"], len(places))) == len(questions):
            # Folders of earlier versions do not say what was asked.
            text = row.get("question") or row["query"]
            questions.append({"text": text, "expected": row.get("expected"), "task": row.get("task")})
        said.setdefault(row["reranker"], []).append([place, row["answer"], row["named"]])
    return {"questions": questions, "said": said}
