"""``fresco.report``: from paths to the page."""

from __future__ import annotations

from pathlib import Path

from fresco.errors import FrescoError, require_whole
from fresco.io.files import write_atomically
from fresco.reporting.data import render_report
from fresco.reporting.failures import WORST
from fresco.reporting.material import read_material


def report(*runs: str | Path, out: str | Path = "report.html", worst: int = WORST) -> Path:
    """Write results as one HTML page that loads nothing from anywhere.

    Args:
        *runs: Folders of :func:`fresco.score`, :func:`fresco.optimize`, :func:`fresco.tune` and :func:`fresco.answer`,
            and JSON files of ``fresco audit --out``.
        out: The page; one that is there is replaced.
        worst: So many queries of each re-ranker come with their texts.

    Raises:
        FrescoError: there is nothing, or something is none of these.
    """
    if not runs:
        raise FrescoError("no run to report: name folders of `fresco score`")
    require_whole("worst", worst)
    write_atomically(Path(out), render_report(read_material([Path(run) for run in runs]), worst=worst))
    return Path(out)
