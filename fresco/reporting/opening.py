"""Open a result as what it is: a folder of ``fresco score``, ``optimize``, ``tune`` or ``answer``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fresco.answering.pipeline import FIGURES, AnswerResult
from fresco.answering.reading import read_answers
from fresco.optimizer.report.folder import FRONT
from fresco.optimizer.report.result import SearchResult, read_search
from fresco.results.reader import read_run
from fresco.results.result import Result
from fresco.tuning.pipeline import TUNING, TuneResult
from fresco.tuning.reader import read_tuning

#: The file by which a folder is known, and what opens it; a run of `fresco score` is every other folder.
READERS: dict[str, Callable[[Path], Result | SearchResult | TuneResult | AnswerResult]] = {
    FRONT: read_search,
    TUNING: read_tuning,
    FIGURES: read_answers,
}


def load(folder: str | Path) -> Result | SearchResult | TuneResult | AnswerResult:
    """Open the folder of :func:`fresco.score`, :func:`fresco.optimize`, :func:`fresco.tune` or :func:`fresco.answer`.

    Raises:
        FrescoError: it is none of these, it is incomplete, damaged or of another schema version.
    """
    path = Path(folder)
    return READERS.get(kind_of(path) or "", read_run)(path)


def kind_of(folder: Path) -> str | None:
    """The file that says what a folder is; None for a run of `fresco score`, or for no result."""
    return next((name for name in READERS if (folder / name).exists()), None)
