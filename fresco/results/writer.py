"""Write a run's folder: all of it or nothing of it.

Every file but ``run.json`` depends on the benchmark, the scores and the seeds alone, so that the same command ends in
the same bytes. ``run.json`` also holds times and versions; it is written last and marks the folder as complete.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fresco.errors import FrescoError
from fresco.io.files import LOCK, digest, sync, sync_folder
from fresco.io.names import file_name
from fresco.io.secrets import redacted
from fresco.io.state import read_state, write_state
from fresco.rerank.given import QUERIES, query_texts
from fresco.results.plots import draw_plots
from fresco.scoring.pipeline import RerankerRun, Run

RECORD = "run.json"
METRICS = "metrics.json"
PER_QUERY = "per_query.parquet"
QRELS = "qrels.trec"
CLAIM = ".claim.json"  # there from the start of a run until its folder is complete
_FOLDERS = ("runs", "plots")
_SCRATCH = ".writing-"


def slug(name: str) -> str:
    """A file name for a re-ranker's name; see :func:`fresco.io.names.file_name`."""
    return file_name(name)


def run_file(name: str) -> str:
    """Where a folder holds the TREC run of a re-ranker; the record says it, too."""
    return f"runs/{slug(name)}.trec"


def claim(folder: Path, identity: str, *, overwrite: bool) -> None:
    """Check before the work that ``folder`` may be written, and mark it as this run's.

    It may be new or empty, or hold a run of this identity, complete or killed while it was written.

    Raises:
        FrescoError: it holds something else, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(each.name != LOCK for each in folder.iterdir()) and not overwrite:
            _check_own(folder, identity)
        _write_json(folder / CLAIM, {"identity": identity})
    except OSError as error:
        raise FrescoError(f"--out {folder}: {error.strerror or error}; name a folder that can be written") from error


def _check_own(folder: Path, identity: str) -> None:
    found = set()
    for name in (CLAIM, RECORD):
        try:
            found.add(read_state(folder / name, {"identity": str}, "")["identity"])
        except (FileNotFoundError, FrescoError):  # absent, or damaged
            continue
    if identity not in found:
        raise FrescoError(f"--out {folder} holds something else than this run; name another folder or add --overwrite")


def write_run(run: Run, folder: Path, record: dict[str, Any]) -> None:
    """Write every file of the run into ``folder``.

    Raises:
        FrescoError: disk full or folder gone; what the folder held before is untouched, and the scores stay in the
            store.
    """
    _fill(folder, lambda scratch: _write_all(run, scratch, record))


def copy_run(source: Path, folder: Path) -> None:
    """Write what the folder of another run holds into ``folder``, with the same care.

    Raises:
        FrescoError: as for :func:`write_run`.
    """

    def copy(scratch: Path) -> None:
        for name in (QRELS, PER_QUERY, METRICS, RECORD):
            shutil.copyfile(source / name, scratch / name)
        for name in _FOLDERS:
            shutil.copytree(source / name, scratch / name)

    _fill(folder, copy)


def _fill(folder: Path, write: Callable[[Path], None]) -> None:
    try:
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder) as scratch:
            write(Path(scratch))
            _move_all(Path(scratch), folder)
    except OSError as error:
        raise FrescoError(
            f"cannot write the results to {folder}: {error.strerror or error}; the scores are kept, so mend it or name "
            "another folder with --out and run the same command again"
        ) from error


def _write_all(run: Run, folder: Path, record: dict[str, Any]) -> None:
    (folder / QRELS).write_text("".join(_qrels(run)), encoding="utf-8")
    (folder / "runs").mkdir()
    for reranker in run.rerankers:
        (folder / run_file(reranker.name)).write_text("".join(_trec(run, reranker)), encoding="utf-8")
    texts = query_texts(pool.query for pool in run.benchmark.pools)
    write_state(folder / "runs" / QUERIES, {"queries": texts})
    run.evaluation.per_query.to_parquet(folder / PER_QUERY, index=False)
    _write_json(folder / METRICS, run.evaluation.to_json_dict())
    draw_plots(run.evaluation, folder / "plots")
    sums = {name: digest(folder / name) for name in (METRICS, PER_QUERY)}
    write_state(folder / RECORD, {**record, "files": sums})
    sync(*(path for path in folder.rglob("*") if path.is_file()))


def _move_all(scratch: Path, folder: Path) -> None:
    for name in _FOLDERS:  # files of re-rankers that an earlier run had and this one has not
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / RECORD).unlink(missing_ok=True)
    for entry in sorted(scratch.iterdir(), key=lambda path: path.name == RECORD):
        entry.replace(folder / entry.name)
    for leftover in folder.glob(f"{_SCRATCH}*"):  # of this run, killed while it wrote
        if leftover != scratch:
            shutil.rmtree(leftover)
    (folder / CLAIM).unlink(missing_ok=True)
    sync_folder(folder)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(
        json.dumps(redacted(content), indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
    )


def _qrels(run: Run) -> Iterator[str]:
    for pool in run.benchmark.pools:
        for passage, grade in zip(pool.passages, pool.grades, strict=True):
            yield f"{_field(pool.query.id)} 0 {_field(passage.id)} {grade}\n"
        for passage_id, grade in pool.missed:
            yield f"{_field(pool.query.id)} 0 {_field(passage_id)} {grade}\n"


def _trec(run: Run, reranker: RerankerRun) -> Iterator[str]:
    """``qid Q0 docid rank score tag``; tied passages stand in pool order, which is a random one."""
    tag = slug(reranker.name)
    for pool, scores in zip(run.benchmark.pools, reranker.scores, strict=True):
        for rank, index in enumerate(np.argsort(-scores, kind="stable"), start=1):
            yield (
                f"{_field(pool.query.id)} Q0 {_field(pool.passages[index].id)} {rank} {float(scores[index])!r} {tag}\n"
            )


def _field(text: str) -> str:
    # TREC files are split at white space; an id that holds some would shift every field after it.
    return re.sub(r"\s", "_", text)
