"""Read a run's folder back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fresco.benchmarks.editions import check_run
from fresco.errors import FrescoError
from fresco.io.files import digest
from fresco.io.names import one_line, short
from fresco.io.parquet import read_parquet_table
from fresco.io.state import read_state
from fresco.metrics.evaluate import Evaluation
from fresco.records import SCHEMA_VERSION
from fresco.results.result import Result
from fresco.results.rows import are_texts
from fresco.results.writer import METRICS, PER_QUERY, RECORD

_AGAIN = "score again"


def read_run(folder: Path) -> Result:
    """Open a folder that ``fresco score`` wrote.

    Raises:
        FrescoError: it is none, incomplete, of another schema version, or over an old edition of a benchmark.
    """
    try:
        record = read_state(folder / RECORD, {}, _AGAIN)
        metrics = read_state(folder / METRICS, {}, _AGAIN)
        _check_files(record, folder)
        per_query = read_parquet_table(folder / PER_QUERY).to_pandas()
    except (OSError, ValueError, TypeError) as error:  # ArrowInvalid is a ValueError
        said = one_line(str(error), 200)
        raise FrescoError(f"{folder} is no complete folder of `fresco score`: {said}") from error
    if record.get("schema_version") != SCHEMA_VERSION:
        raise FrescoError(
            f"{folder / RECORD}: schema version {record.get('schema_version')!r}, this fresco reads {SCHEMA_VERSION}; "
            "score again"
        )
    benchmark = record.get("benchmark") or {}
    if not isinstance(benchmark, dict) or not are_texts(benchmark.get("notes", [])):
        raise FrescoError(f"{folder / RECORD}: is damaged (benchmark is {short(benchmark)}); {_AGAIN}")
    check_run(benchmark, str(folder))
    try:
        return Result(Evaluation.from_json_dict(metrics, per_query), record, folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FrescoError(f"{folder / METRICS}: is damaged ({one_line(str(error), 120)}); {_AGAIN}") from error


def _check_files(record: Mapping[str, Any], folder: Path) -> None:
    """Refuse figures that are not those which the record was written with; records of earlier versions say none."""
    sums = record.get("files", {})
    if not isinstance(sums, dict):
        raise FrescoError(f"{folder / RECORD}: is damaged (files is {short(sums)}); {_AGAIN}")
    for name in (METRICS, PER_QUERY):
        if sums and sums.get(name) != digest(folder / name):
            raise FrescoError(f"{folder / name}: is damaged, or was changed (run.json has another checksum); {_AGAIN}")
