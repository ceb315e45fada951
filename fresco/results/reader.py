"""Read a run's folder back."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

from fresco.benchmarks.editions import check_run
from fresco.errors import FrescoError
from fresco.metrics.evaluate import Evaluation
from fresco.records import SCHEMA_VERSION
from fresco.results.result import Result
from fresco.results.writer import METRICS, PER_QUERY, RECORD


def read_run(folder: Path) -> Result:
    """Open a folder that ``fresco score`` wrote.

    Raises:
        FrescoError: it is none, incomplete, of another schema version, or over an old edition of a benchmark.
    """
    try:
        record = dict(json.loads((folder / RECORD).read_text(encoding="utf-8")))
        metrics = dict(json.loads((folder / METRICS).read_text(encoding="utf-8")))
        per_query = pd.read_parquet(folder / PER_QUERY)
    except (OSError, ValueError, TypeError) as error:  # ArrowInvalid is a ValueError
        said = " ".join(str(error).split())
        raise FrescoError(f"{folder} is no complete folder of `fresco score`: {said}") from error
    if record.get("schema_version") != SCHEMA_VERSION:
        raise FrescoError(
            f"{folder / RECORD}: schema version {record.get('schema_version')!r}, this fresco reads {SCHEMA_VERSION}; "
            "score again"
        )
    check_run(record.get("benchmark") or {}, str(folder))
    try:
        return Result(Evaluation.from_json_dict(metrics, per_query), record, folder)
    except (KeyError, TypeError, ValueError) as error:
        raise FrescoError(f"{folder / METRICS}: holds no {error}; score again") from error
