"""A whole run of ``fresco answer``: score, show the reader the best passages, measure what it says.

Scores are kept in the store, answers in the folder: stopped at any point, the same command goes on from there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fresco.answering.measure import shares, table
from fresco.answering.reader import Messages, Reader, ask, is_address, open_reader
from fresco.answering.values import Values, read_values
from fresco.benchmarks.part import Part
from fresco.errors import FrescoError, require_whole
from fresco.io.files import lines, locked, write_atomically, write_record
from fresco.io.provenance import environment, run_header
from fresco.io.secrets import redacted
from fresco.metrics.measures.stale import Stale
from fresco.metrics.ties import Tiers
from fresco.models.settings import Settings
from fresco.records import SCHEMA_VERSION, Benchmark, Label, Passage, Pool, Task
from fresco.rerank.base import Reranker, describe
from fresco.results.writer import CLAIM, RECORD, claim, slug
from fresco.scoring.runner import fit, score
from fresco.scoring.store import ScoreStore, default_store
from fresco.scoring.trial import try_out
from fresco.terminal.progress import Progress

FIGURES, ANSWERS, TABLE, CACHE = "answers.json", "answers.jsonl", "answers.md", "answers.sqlite"
NOTHING, POSITIVES = "(no passages)", "(positives only)"


@dataclass(frozen=True)
class AnswerResult:
    """What :func:`fresco.answer` gives.

    Attributes:
        content: Of ``answers.json``: each re-ranker's rates with intervals, and the two controls'.
        answers: Of ``answers.jsonl``: a row for each re-ranker and query.
        table: Of ``answers.md``.
        folder: Where all lie.
        record: Of ``run.json``.
    """

    content: Mapping[str, Any]
    answers: Sequence[Mapping[str, Any]]
    table: str
    folder: Path
    record: Mapping[str, Any]

    def __repr__(self) -> str:
        return self.table

    def _repr_markdown_(self) -> str:
        return self.table


@dataclass(frozen=True)
class AnswerOptions:
    """How answers are asked for.

    Attributes:
        reader: ``URL#MODEL``, or a model's folder or id.
        top_k: Passages shown.
        facts: File of former values; None for the one beside the benchmark.
        likelihood: Whether to ask how likely the current and the former values are as the answer.
        max_tokens: Of an answer.
        resamples: Bootstrap samples.
    """

    reader: str
    top_k: int = 5
    facts: str | Path | None = None
    likelihood: bool = False
    max_tokens: int = 48
    resamples: int = 1000

    def __post_init__(self) -> None:
        for name in ("top_k", "max_tokens", "resamples"):
            require_whole(name, getattr(self, name))


@dataclass(frozen=True)
class _Row:
    """One re-ranker, or a control."""

    name: str
    shown: list[list[Passage]]
    further: dict[str, list[float | None]]


def run_answering(
    rerankers: Sequence[Reranker],
    benchmark: str | Benchmark,
    nek: str | Benchmark | None,
    part: Part,
    settings: Settings,
    options: AnswerOptions,
    *,
    store: str | Path | None,
    out: str | Path | None,
    results: str | Path,
    overwrite: bool,
    progress: Progress,
) -> AnswerResult:
    """See :func:`fresco.answer`.

    Raises:
        FrescoError: something cannot be opened, former values are not known, a re-ranker or the reader failed.
    """
    if options.likelihood and is_address(options.reader):
        raise FrescoError("--likelihood needs a model in this process: a server tells nothing of answers not given")
    started = datetime.now(UTC)
    opened = part.open(benchmark, nek)
    values = read_values(opened, options.facts)
    pools = [pool for pool in opened.pools if pool.query.id in values]
    parts = [
        opened.fingerprint,
        [reranker.name for reranker in rerankers],
        redacted({"reader": options.reader})["reader"],
        [options.top_k, options.max_tokens, options.likelihood, options.resamples, settings.dtype, settings.seed],
        sorted((key, own.current, own.former) for key, own in values.items()),
    ]
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    folder = Path(out or Path(results) / f"answer-{slug(opened.name)}-{digest[:8]}")
    with ExitStack() as stack:
        stack.enter_context(locked(folder))
        claim(folder, digest, overwrite=overwrite)
        reader = open_reader(options.reader, settings, folder / CACHE)
        stack.callback(reader.close)
        kept = stack.enter_context(ScoreStore(Path(store) if store else default_store()))
        rows = [_scored(each, opened, pools, kept, options.top_k, progress) for each in rerankers]
        rows += _controls(pools, options.top_k)
        measured, said = {}, []
        for row in rows:
            measured[row.name], own = _answered(row, pools, values, reader, settings, options, progress)
            said += own
        content = {
            "schema_version": SCHEMA_VERSION,
            "benchmark": opened.name,
            "fingerprint": opened.fingerprint,
            "reader": reader.name,
            "top_k": options.top_k,
            "queries": {str(task): sum(pool.query.task is task for pool in pools) for task in Task},
            "rows": measured,
        }
        record = _record(digest, started, rerankers, reader, options)
        shown = table(content)
        write_record(folder / FIGURES, content)
        write_atomically(folder / ANSWERS, lines(said))
        write_atomically(folder / TABLE, shown)
        write_record(folder / RECORD, record)
        (folder / CLAIM).unlink(missing_ok=True)
    return AnswerResult(content, said, shown, folder, record)


def _scored(
    reranker: Reranker, whole: Benchmark, pools: Sequence[Pool], store: ScoreStore, top_k: int, progress: Progress
) -> _Row:
    fit(reranker, whole.passages())
    candidates = [(pool.query, pool.passages) for pool in pools]
    try_out(reranker, candidates, store)
    scores = score(reranker, candidates, store, progress=partial(progress, reranker.name)).scores
    close = getattr(reranker, "close", None)
    if callable(close):
        close()
    shown, outdated = [], []
    for pool, own in zip(pools, scores, strict=True):
        best = np.argsort(-own, kind="stable")[:top_k]
        shown.append([pool.passages[place] for place in best])
        outdated.append(float(np.mean([pool.labels[place] is Label.OUTDATED for place in best])))
    stale = [float(Stale().expectation(Tiers.of(pool, own))) for pool, own in zip(pools, scores, strict=True)]
    return _Row(reranker.name, shown, {"stale@1": list(stale), "outdated shown": list(outdated)})


def _controls(pools: Sequence[Pool], top_k: int) -> list[_Row]:
    right = [list(pool.labelled(Label.POSITIVE))[:top_k] for pool in pools]
    return [_Row(NOTHING, [[] for _ in pools], {}), _Row(POSITIVES, right, {})]


def _answered(
    row: _Row,
    pools: Sequence[Pool],
    values: Mapping[str, Values],
    reader: Reader,
    settings: Settings,
    options: AnswerOptions,
    progress: Progress,
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """The figures of a row, and its answers one by one."""
    asked = [ask(pool.query, passages) for pool, passages in zip(pools, row.shown, strict=True)]
    done = 0

    def tell(_place: int, _text: str) -> None:
        nonlocal done
        done += 1
        progress(f"{row.name}, answers", done, len(asked))

    texts = reader.answers(asked, options.max_tokens, tell)
    named = [values[pool.query.id].named_in(text) for pool, text in zip(pools, texts, strict=True)]
    further = dict(row.further)
    if options.likelihood:
        further["EK likelier"] = [
            _likelier(reader, each, values[pool.query.id]) for pool, each in zip(pools, asked, strict=True)
        ]
    said = [
        {
            "reranker": row.name,
            "query": pool.query.id,
            "task": str(pool.query.task),
            "question": pool.query.content,
            "expected": values[pool.query.id].current[0],
            "passages": [passage.id for passage in passages],
            "answer": text,
            "named": str(kind),
            **({"current likelier": further["EK likelier"][place]} if options.likelihood else {}),
        }
        for place, (pool, passages, text, kind) in enumerate(zip(pools, row.shown, texts, named, strict=True))
    ]
    return shares(pools, named, further, seed=settings.seed, resamples=options.resamples), said


def _likelier(reader: Reader, asked: Messages, values: Values) -> float | None:
    """Whether the current value is likelier, by its tokens' mean log-probability, than every former one."""
    if not values.former:
        return None
    names = [values.current[0], *(former[0] for former in values.former)]
    found = reader.likelihoods(asked, names)
    return None if found is None else float(found[0] > max(found[1:]))


def _record(
    digest: str, started: datetime, rerankers: Sequence[Reranker], reader: Reader, options: AnswerOptions
) -> dict[str, Any]:
    return {
        **run_header(digest, started),
        "reader": {"name": reader.name, "identity": reader.identity, "max_tokens": options.max_tokens},
        "rerankers": [dict(describe(each)) for each in rerankers],
        "environment": environment(),
    }
