"""From what a user writes to the benchmark that is meant."""

from __future__ import annotations

import re
from pathlib import Path

from fresco.benchmarks.beir import is_beir, read_beir
from fresco.benchmarks.embedded import EMBEDDED, embedded_folder
from fresco.benchmarks.folder import TABLES, has_table, read_benchmark, read_table
from fresco.benchmarks.tables import read_hub
from fresco.errors import FrescoError
from fresco.records import Benchmark

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)


def open_benchmark(source: str, *, seed: int = 0) -> Benchmark:
    """Open a benchmark.

    Args:
        source: The first of these that fits: the name of an embedded benchmark (``mini``); the path of a folder in our
            layout, or of a BEIR folder; the id of a Hugging Face dataset (``user/name``).
        seed: Of the random dates of a BEIR folder; the others have dates of their own.

    Raises:
        FrescoError: nothing fits, or what fits is wrong; the message says where.
    """
    try:
        return _open(source, seed)
    except OSError as error:
        raise FrescoError(f"{error.filename or source}: cannot be read: {error.strerror or error}") from error


def _open(source: str, seed: int) -> Benchmark:
    if source in EMBEDDED:
        return _open_folder(source, embedded_folder(source), seed)
    path = Path(source)
    if path.is_dir():
        return _open_folder(source, path, seed)
    if path.exists():
        raise FrescoError(f"{source} is a file; a benchmark is a folder, so give the folder that holds it")
    # Where there is no network the hub is given up after 25 s: a path misspelt in its last part only is not asked for.
    if _HUB_ID.fullmatch(source) and not path.parent.is_dir():
        return read_benchmark(source, lambda table: read_hub(source, table))
    raise FrescoError(
        f"there is no benchmark {source!r}: give the name of an embedded one ({', '.join(EMBEDDED)}), the path of a "
        "benchmark or BEIR folder that exists, or the id of a Hugging Face dataset (user/name)"
    )


def _open_folder(name: str, folder: Path, seed: int) -> Benchmark:
    if is_beir(folder) and not has_table(folder, "pools"):
        return read_beir(name, folder, seed=seed)
    if any(has_table(folder, table) for table in TABLES):
        return read_benchmark(name, lambda table: read_table(folder, table))
    raise FrescoError(
        f"{folder} is neither a benchmark (tables corpus, queries and pools, each .parquet or .jsonl) nor a BEIR "
        "folder (corpus.jsonl, queries.jsonl, qrels/*.tsv)"
    )
