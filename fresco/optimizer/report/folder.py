"""The folder of a search: each file whole or not at all, the record last."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError
from fresco.io.secrets import redacted
from fresco.optimizer.report.plots import draw_search
from fresco.optimizer.search.worker import lives
from fresco.results.writer import CLAIM, RECORD

FRONT = "front.json"
PROPOSALS = "proposals.jsonl"
_SCRATCH = ".writing-"


def write_search(folder: Path, front: Mapping[str, Any], proposals: Iterable[str], record: Mapping[str, Any]) -> None:
    """Write ``front.json``, ``proposals.jsonl``, ``plots/`` and ``run.json``.

    All but the last depend on benchmark, scores and settings alone, so that the same command ends in the same bytes.

    Raises:
        FrescoError: disk full or folder gone; study and scores are kept.
    """
    try:
        for leftover in folder.glob(f"{_SCRATCH}*"):  # of a worker that was killed while it wrote
            if not lives(int(leftover.name.removeprefix(_SCRATCH).partition("-")[0])):
                shutil.rmtree(leftover, ignore_errors=True)
        (folder / "plots").mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{_SCRATCH}{os.getpid()}-", dir=folder) as name:
            scratch = Path(name)
            _write_json(scratch / FRONT, front)
            (scratch / PROPOSALS).write_text("".join(proposals), encoding="utf-8")
            draw_search(front, scratch / "plots")
            _write_json(scratch / RECORD, record)
            # File by file: two workers may share the folder and end at the same moment, with the same bytes.
            for path in sorted(scratch.rglob("*.*"), key=lambda path: path.name == RECORD):
                path.replace(folder / path.relative_to(scratch))
        (folder / CLAIM).unlink(missing_ok=True)
    except OSError as error:
        raise FrescoError(
            f"cannot write the results to {folder}: {error.strerror or error}; study and scores are kept, so mend it "
            "and run the same command again"
        ) from error


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(
        json.dumps(redacted(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )
