"""Read a run's folder back, for ``fresco compare``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from fresco.benchmarks.editions import check_run
from fresco.errors import FrescoError
from fresco.records import SCHEMA_VERSION
from fresco.results.writer import PER_QUERY, RECORD


@dataclass(frozen=True)
class SavedRun:
    """A run as its folder holds it."""

    folder: Path
    record: dict[str, Any]
    per_query: pd.DataFrame

    @property
    def rerankers(self) -> list[str]:
        """Names, in the order in which they were scored."""
        return list(self.per_query["reranker"].unique())


def read_run(folder: Path) -> SavedRun:
    """Open a folder that ``fresco score`` wrote.

    Raises:
        FrescoError: it is none, incomplete, of another schema version, or over an old edition of a benchmark.
    """
    try:
        record = dict(json.loads((folder / RECORD).read_text(encoding="utf-8")))
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
    return SavedRun(folder, record, per_query)
