"""Read a folder of ``fresco answer`` back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fresco.answering.measure import table
from fresco.answering.pipeline import ANSWERS, FIGURES, AnswerResult
from fresco.benchmarks.tables import stream_jsonl
from fresco.errors import FrescoError
from fresco.io.state import Shape
from fresco.results.rows import are_rows, read_content

_SHAPE: Shape = {"benchmark": str, "reader": str, "top_k": int, "queries": dict, "rows": are_rows}
_ROW = ("reranker", "query", "answer", "named")
_MEND = "run `fresco answer` again"


def read_answers(folder: Path) -> AnswerResult:
    """Open a folder that ``fresco answer`` wrote.

    Raises:
        FrescoError: it is none, incomplete, damaged or of another schema version.
    """
    content, record, shown = read_content(folder, FIGURES, _SHAPE, _table, _MEND)
    said = []
    for row in stream_jsonl(folder / ANSWERS):
        if not all(isinstance(row.fields.get(name), str) for name in _ROW):
            raise FrescoError(f"{row.place}: is damaged (wants texts {', '.join(_ROW)}); {_MEND}")
        said.append(dict(row.fields))
    return AnswerResult(content, said, shown, folder, record)


def _table(content: dict[str, Any], _record: dict[str, Any]) -> str:
    return table(content)
