"""What a search found, as a notebook and a program want it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from fresco.errors import FrescoError
from fresco.io.state import Shape, check_shape, read_state
from fresco.optimizer.report.console import COLUMNS, GAINS, front_rows, front_table
from fresco.optimizer.report.folder import FRONT
from fresco.records import SCHEMA_VERSION
from fresco.results.html import result_html
from fresco.results.table import Cells
from fresco.results.writer import RECORD
from fresco.terminal.console import WIDE
from fresco.terminal.figures import interval

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class SearchResult:
    """What :func:`fresco.optimize` gives.

    Attributes:
        front: The content of ``front.json``: every member with its figures, baselines, hypervolumes, warnings.
        record: What ``run.json`` says.
        folder: Where both lie, with the study and the plots.
    """

    front: Mapping[str, Any]
    record: Mapping[str, Any]
    folder: Path

    @property
    def instructions(self) -> dict[str, str]:
        """The instructions on the front of validation, by id: most evolving knowledge first."""
        return {member["id"]: member["text"] for member in self.front["members"] if member["on_front"]}

    def to_frame(self) -> pd.DataFrame:
        """A row for the base, each instruction and each baseline, with the figures of validation and test.

        Returns:
            ``name``, ``text`` (None for a baseline), ``on_front``, ``part``, ``figure`` (EK, NEK and the gains over the
            base), ``value``, ``ci_low``, ``ci_high`` (95 %).
        """
        import pandas as pd

        rows = []
        for name, row in front_rows(self.front, all_members=True):
            for part, figure in (*COLUMNS, *GAINS):
                own = row[part].get(figure) or {"value": None, "ci_low": None, "ci_high": None}
                about = {"name": name, "text": row.get("text"), "on_front": bool(row.get("on_front"))}
                bounds = {key: own[key] for key in ("value", "ci_low", "ci_high")}
                rows.append({**about, "part": part, "figure": figure, **bounds})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        drawn = StringIO()
        Console(file=drawn, width=WIDE, highlight=False, color_system=None, force_jupyter=False).print(
            front_table(self.front)
        )
        return "\n".join(line.rstrip() for line in drawn.getvalue().rstrip().splitlines())

    def _repr_html_(self) -> str:
        rows = front_rows(self.front)
        columns = (*COLUMNS, *GAINS)
        cells = Cells(
            [f"{part}\n{figure}" for part, figure in columns],
            [[(interval(row[part].get(figure)), "") for part, figure in columns] for _, row in rows],
        )
        remarks = [
            "MAP [95 %]; gains are paired with the base instruction's",
            *(f"{key}: {text}" for key, text in self.instructions.items()),
            *(f"warning: {warning}" for warning in self.front["warnings"]),
        ]
        title = f"{self.front['reranker']['name']} on {self.front['benchmark']['name']}"
        return result_html(title, [name for name, _ in rows], cells, remarks, list(self.instructions))


_AGAIN = "search again"
_SHAPE: Shape = {
    "schema_version": int,
    **dict.fromkeys(("reranker", "benchmark", "base"), dict),
    **dict.fromkeys(("members", "baselines", "seeds", "warnings"), list),
}


def read_search(folder: Path) -> SearchResult:
    """Open a folder that ``fresco optimize`` wrote.

    Raises:
        FrescoError: it is none, incomplete, damaged or of another schema version.
    """
    try:
        front = read_state(folder / FRONT, {}, _AGAIN)
        record = read_state(folder / RECORD, {}, _AGAIN)
    except OSError as error:
        raise FrescoError(
            f"{folder} is no complete folder of `fresco optimize`: {' '.join(str(error).split())}"
        ) from error
    if front.get("schema_version") != SCHEMA_VERSION:
        raise FrescoError(
            f"{folder / FRONT}: schema version {front.get('schema_version')!r}, this fresco reads {SCHEMA_VERSION}; "
            "search again"
        )
    check_shape(folder / FRONT, front, _SHAPE, _AGAIN)
    return SearchResult(front, record, folder)
