"""Tables of figures in result files: rows by name, each with figures by name, of `fresco tune` and `fresco answer`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError
from fresco.io.state import Shape, is_finite, read_state, reading
from fresco.records import SCHEMA_VERSION
from fresco.results.writer import RECORD

_BOUNDS = ("value", "ci_low", "ci_high")


def are_rows(found: object) -> bool:
    """Whether it is such a table, its numbers finite or None."""
    return (
        isinstance(found, dict)
        and all(isinstance(row, dict) for row in found.values())
        and all(_is_figure(figure) for row in found.values() for figure in row.values())
    )


def are_texts(found: object) -> bool:
    """Whether it is a list of texts."""
    return isinstance(found, list) and all(isinstance(each, str) for each in found)


def read_content(
    folder: Path, name: str, shape: Shape, render: Callable[[dict[str, Any], dict[str, Any]], str], mend: str
) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The content of a command's folder, its record, and its text made anew.

    Args:
        folder: That the command wrote.
        name: Of the file with the content.
        shape: What that must hold, beside ``schema_version``.
        render: From content and record to the text; what it cannot render is damaged.
        mend: How to go on without it.

    Raises:
        FrescoError: the folder is incomplete, damaged or of another schema version.
    """
    try:
        content = read_state(folder / name, {"schema_version": int, **shape}, mend)
        record = read_state(folder / RECORD, {"schema_version": int}, mend)
    except FileNotFoundError as error:
        raise FrescoError(f"{folder}: is incomplete (has no {Path(str(error.filename)).name}); {mend}") from error
    for file, own in ((name, content), (RECORD, record)):
        if own["schema_version"] != SCHEMA_VERSION:
            raise FrescoError(
                f"{folder / file}: schema version {own['schema_version']}, this fresco reads {SCHEMA_VERSION}; {mend}"
            )
    with reading(folder / name, mend):
        return content, record, render(content, record)


def bounds(figure: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Value and interval of a figure, without anything else; None where there is none."""
    return None if figure is None else {key: figure[key] for key in _BOUNDS}


def _is_figure(found: object) -> bool:
    return isinstance(found, dict) and all(
        own is None or is_finite(own) for own in (found.get(key, "") for key in _BOUNDS)
    )
