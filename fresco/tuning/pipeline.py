"""A whole tuning: open, score the base once, fit the cures, prove them on the test split, write the folder.

What takes time are scores and training. Scores are kept in the store as they are made, training in checkpoints: stopped
at any point, the same command goes on from there and ends in the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fresco.benchmarks import select_split
from fresco.benchmarks.part import Part
from fresco.errors import FrescoError, require_whole
from fresco.io.files import locked, write_atomically, write_record
from fresco.io.provenance import environment, run_header
from fresco.models.settings import Settings
from fresco.records import SCHEMA_VERSION, Benchmark, Task
from fresco.rerank.base import Reranker, describe, fingerprint
from fresco.rerank.cross_encoder import CrossEncoderReranker
from fresco.rerank.registry import open_reranker
from fresco.results.writer import CLAIM, RECORD, claim, slug
from fresco.scoring.store import ScoreStore, default_store
from fresco.stats.arrays import FloatArray
from fresco.terminal.progress import Progress
from fresco.tuning.card import BASE, card, rows_of, verdict
from fresco.tuning.finetuning import train_models
from fresco.tuning.gates import accuracy, accuracy_on_new_relations, gate_of
from fresco.tuning.model import source_of
from fresco.tuning.model_card import model_card
from fresco.tuning.plan import FineTuning
from fresco.tuning.priors import FittedPrior, fit_priors, fused
from fresco.tuning.rows import Tables, added_milliseconds, instructed, own_milliseconds

if TYPE_CHECKING:
    from fresco.tuning.training import Trained

TUNING, CARD, RECENCY = "tuning.json", "card.md", "recency.json"
#: What dates and chance alone are worth; a cure that does no more than sort by date looks like the second.
CONTROLS = ("random", "newest", "latest")
_FEW = 20  # subjects


@dataclass(frozen=True)
class TuneResult:
    """What :func:`fresco.tune` gives.

    Attributes:
        content: Of ``tuning.json``: the rows on validation and test, the front, the fitted cures, the verdict.
        record: Of ``run.json``, with the milliseconds of each row.
        card: Of ``card.md``.
        folder: Where all lie, with ``recency.json`` and ``models/``.
    """

    content: Mapping[str, Any]
    record: Mapping[str, Any]
    card: str
    folder: Path

    def __repr__(self) -> str:
        return self.card

    def _repr_markdown_(self) -> str:
        return self.card


def run_tuning(
    reranker: Reranker,
    benchmark: str | Benchmark,
    nek: str | Benchmark | None,
    settings: Settings,
    *,
    train: FineTuning | None,
    instructions: str | Path | Sequence[str] | None,
    strict: bool,
    resamples: int,
    store: str | Path | None,
    out: str | Path | None,
    results: str | Path,
    overwrite: bool,
    progress: Progress,
) -> TuneResult:
    """Fit and prove the cures of a re-ranker; see :func:`fresco.tune`.

    Raises:
        FrescoError: something cannot be opened, a split lacks a task, or the re-ranker failed.
    """
    require_whole("resamples", resamples)
    if train is not None:
        source_of(reranker)  # before the base is scored
    started = datetime.now(UTC)
    whole = Part(seed=settings.seed, strict=strict).open(benchmark, nek)
    parts = {name: _split(whole, name, settings.seed) for name in ("train", "validation", "test")}
    names = [reranker.name, fingerprint(reranker)]
    told = instructed(reranker, instructions, parts["test"].pools)
    identity = [*names, whole.fingerprint, *(own.fingerprint for own in parts.values()), settings.seed, resamples]
    identity += [train and train.record(), [each.instruction for each in told]] if train or told else []
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    folder = Path(out or Path(results) / f"tune-{slug(whole.name)}-{digest[:8]}")
    with ExitStack() as stack:
        stack.enter_context(locked(folder))
        claim(folder, digest, overwrite=overwrite)
        kept = stack.enter_context(ScoreStore(Path(store) if store else default_store()))
        tables = Tables(whole, parts, kept, settings, progress)
        base = tables.scores(reranker)
        further = {each.name: tables.scores(each) for each in told}
        trained = train_models(reranker, parts, base["validation"], train, settings, folder, progress) if train else []
        cost = {}
        for each in trained:
            model = CrossEncoderReranker(str(each.folder), settings, shown_as=each.name)
            further[each.name] = tables.scores(model)
            cost[each.name] = own_milliseconds(model, parts["test"].pools)
            model.close()
        content, priors = _prove(reranker, base, further, tables, resamples)
        content |= {"models": [each.record for each in trained], "instructions": {e.name: e.instruction for e in told}}
        cost |= {BASE: own_milliseconds(reranker, parts["test"].pools)}
        cost |= added_milliseconds(reranker, priors, parts["test"].pools, base["test"])
        cost = {name: round(value, 4) for name, value in cost.items()}  # the card says what the record holds
        said = card(content, cost)
        record = _record(digest, started, reranker, settings, resamples, cost)
        _write(folder, content, priors, trained, said, record)
        close = getattr(reranker, "close", None)
        if callable(close):
            close()
    return TuneResult(content, record, said, folder)


def _split(whole: Benchmark, name: str, seed: int) -> Benchmark:
    part = select_split(whole, name, seed=seed)
    for task in Task:
        if not any(pool.query.task is task for pool in part.pools):
            more = "add static knowledge with --nek" if task is Task.NEK else "give a benchmark that has some"
            raise FrescoError(
                f"{whole.name}: no {task} query is in the split {name!r}, so nothing can be tuned; {more}"
            )
    return part


def _prove(
    reranker: Reranker,
    base: Mapping[str, list[FloatArray]],
    further: Mapping[str, Mapping[str, list[FloatArray]]],
    tables: Tables,
    resamples: int,
) -> tuple[dict[str, Any], list[FittedPrior]]:
    parts, seed = tables.parts, tables.settings.seed
    gate = gate_of(parts["train"].pools)
    priors = fit_priors(reranker, parts["validation"].pools, base["validation"], gate, seed=seed, resamples=resamples)
    controls = {name: tables.scores(open_reranker(name, tables.settings)) for name in CONTROLS}
    rows, fronts = {}, {}
    for name in ("validation", "test"):
        pools = parts[name].pools
        scores = {BASE: base[name], **{each.name: fused(each.cure, reranker, pools, base[name]) for each in priors}}
        scores |= {row: own[name] for row, own in (*further.items(), *controls.items())}
        rows[name], fronts[name] = rows_of(pools, scores, seed=seed, resamples=resamples)
    best = max(priors, key=lambda each: each.balance)
    cures = [*(each.name for each in priors), *further]
    warnings = [
        f"{name}, {task}: {count} subjects are few, read its intervals with care"
        for name in ("validation", "test")
        for task in Task
        if (count := len({p.query.subject for p in parts[name].pools if p.query.task is task})) < _FEW
    ]
    content = {
        "schema_version": SCHEMA_VERSION,
        "reranker": reranker.name,
        "benchmark": tables.whole.name,
        "fingerprint": tables.whole.fingerprint,
        "queries": {name: len(part) for name, part in parts.items()},
        "criterion": "harmonic mean of EK and NEK MAP on validation",
        "cures": [each.record() for each in priors],
        "gate": {
            **{name: accuracy(gate, parts[name].pools) for name in ("validation", "test")},
            "relations of train that it was not fitted on": accuracy_on_new_relations(parts["train"].pools),
        },
        **rows,
        "front": fronts["test"],
        "exported": best.name,
        "verdict": verdict(rows["test"], cures),
        "warnings": warnings,
    }
    return content, priors


def _record(
    digest: str, started: datetime, reranker: Reranker, settings: Settings, resamples: int, cost: Mapping[str, float]
) -> dict[str, Any]:
    return {
        **run_header(digest, started),
        "settings": {**_plain(settings), "resamples": resamples},
        "reranker": dict(describe(reranker)),
        "milliseconds": dict(cost),
        "environment": environment(),
    }


def _plain(settings: Settings) -> dict[str, Any]:
    """The settings as a mapping."""
    return {name: getattr(settings, name) for name in ("device", "dtype", "max_length", "batch_tokens", "seed")}


def _write(
    folder: Path,
    content: Mapping[str, Any],
    priors: Sequence[FittedPrior],
    trained: Sequence[Trained],
    said: str,
    record: Mapping[str, Any],
) -> None:
    """Each file whole or not at all, the record last."""
    about = {key: content[key] for key in ("reranker", "benchmark", "fingerprint", "criterion")}
    for each in priors:
        cure = replace(each.cure, fitted={**about, "name": each.name})
        cure.save(folder / "cures" / f"{each.name}.json")
        if each.name == content["exported"]:
            cure.save(folder / RECENCY)
    for model in trained:
        shown = model_card(content["benchmark"], model.record, content["test"][model.name])
        write_atomically(model.folder / "README.md", shown)
    write_record(folder / TUNING, content)
    write_atomically(folder / CARD, said)
    write_record(folder / RECORD, record)
    (folder / CLAIM).unlink(missing_ok=True)
