"""Read a folder of ``fresco tune`` back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fresco.io.state import Shape
from fresco.results.rows import are_rows, are_texts, read_content
from fresco.tuning.card import BASE, card
from fresco.tuning.pipeline import TUNING, TuneResult


def _are_named(found: object) -> bool:
    return isinstance(found, list) and all(
        isinstance(each, dict) and isinstance(each.get("name"), str) for each in found
    )


_SHAPE: Shape = {
    **dict.fromkeys(("reranker", "benchmark", "criterion", "exported", "verdict"), str),
    **dict.fromkeys(("queries", "instructions", "gate"), dict),
    **dict.fromkeys(("cures", "models"), _are_named),
    **dict.fromkeys(("front", "warnings"), are_texts),
    "validation": are_rows,
    "test": lambda found: are_rows(found) and BASE in found,
}


def read_tuning(folder: Path) -> TuneResult:
    """Open a folder that ``fresco tune`` wrote.

    Raises:
        FrescoError: it is none, incomplete, damaged or of another schema version.
    """
    content, record, said = read_content(folder, TUNING, _SHAPE, _card, "run `fresco tune` again")
    return TuneResult(content, record, said, folder)


def _card(content: dict[str, Any], record: dict[str, Any]) -> str:
    return card(content, record["milliseconds"])
