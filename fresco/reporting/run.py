"""``fresco.report``: from folders to the page."""

from __future__ import annotations

from pathlib import Path

from fresco.errors import FrescoError, require_whole
from fresco.io.files import write_atomically
from fresco.reporting.data import WORST, render_report
from fresco.results.reader import read_run


def report(*runs: str | Path, out: str | Path = "report.html", worst: int = WORST) -> Path:
    """Write runs of :func:`fresco.score` as one HTML page that loads nothing from anywhere.

    Args:
        *runs: Their folders.
        out: The page; one that is there is replaced.
        worst: So many queries of each re-ranker come with their texts.

    Raises:
        FrescoError: there is no run, or one is no complete folder.
    """
    if not runs:
        raise FrescoError("no run to report: name folders of `fresco score`")
    require_whole("--worst", worst)
    write_atomically(Path(out), render_report([read_run(Path(run)) for run in runs], worst=worst))
    return Path(out)
