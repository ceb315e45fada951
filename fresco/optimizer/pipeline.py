"""A whole search: open, search with each seed, prove on unseen data, write."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from fresco.benchmarks import limit_queries, select_split
from fresco.benchmarks.part import Part
from fresco.errors import FrescoError
from fresco.io.files import locked
from fresco.io.provenance import environment, run_header
from fresco.optimizer.baselines import tuned_baselines
from fresco.optimizer.demonstrations import MOST, NO_EXAMPLES, Examples, draw_demonstrations, with_examples
from fresco.optimizer.options import SearchOptions
from fresco.optimizer.proposers.base import Proposer, is_slow
from fresco.optimizer.proposers.clauses import ClausesProposer, read_bank
from fresco.optimizer.proposers.climb import Climbing
from fresco.optimizer.proposers.file import check_instruction
from fresco.optimizer.proposers.history import reader_of
from fresco.optimizer.proposers.llm import DEFAULT_INSTRUCTION
from fresco.optimizer.proposers.registry import PROPOSERS
from fresco.optimizer.report.folder import write_search
from fresco.optimizer.report.front import Found, Splits, proposals, prove
from fresco.optimizer.report.result import SearchResult
from fresco.optimizer.search.objective import Objective
from fresco.optimizer.search.rounds import SEARCH_VERSION, Search
from fresco.optimizer.search.settings import Watcher
from fresco.optimizer.search.storage import close_storage, explained, import_optuna, open_storage, without_password
from fresco.optimizer.search.study import SearchStudy
from fresco.optimizer.search.worker import Worker
from fresco.records import Benchmark, Task
from fresco.rerank.base import Reranker, describe, fingerprint, own_fingerprint
from fresco.results.writer import claim, slug
from fresco.scoring.store import ScoreStore, default_store

#: Options of a language model's server that change how it is asked, not what.
_PASSING = ("key", "concurrency", "timeout", "retries")


def run_search(
    reranker: Reranker,
    benchmark: str | Benchmark,
    nek: str | Benchmark | None,
    options: SearchOptions,
    *,
    store: str | Path | None,
    out: str | Path | None,
    results: str | Path,
    overwrite: bool,
    watcher: Watcher | None,
) -> SearchResult:
    """Run the searches of all seeds, or go on with them, and write their folder.

    Args:
        reranker: Takes an instruction.
        benchmark: Name, folder or dataset id; or an open one.
        nek: Gives the static side in its place.
        options: The rest.
        store: File of the score store; the user's own where None.
        out: Folder of the results.
        results: Where ``out`` is None, a folder in which the search gets one of its own.
        overwrite: Replace what the folder holds.
        watcher: Told the progress.

    Raises:
        FrescoError: something cannot be opened, instructions change nothing, the re-ranker or a proposer failed; what
            was done is kept.
    """
    started = datetime.now(UTC)
    import_optuna()
    bank = read_bank(Path(options.clauses) if options.clauses else None)
    base = _one_line(options.instruction)
    with ExitStack() as stack:
        kept = stack.enter_context(ScoreStore(Path(store) if store else default_store()))
        whole, splits = _open_splits(benchmark, nek, options)
        objective = Objective(reranker, whole, kept)
        stack.callback(objective.close)
        identity = _identity(options, objective, splits, base, bank.choices)
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
        folder = Path(out or Path(results) / f"optimize-{slug(whole.name)}-{digest[:8]}")
        stack.enter_context(locked(folder))
        _claim(folder, digest, overwrite=overwrite)
        url = options.storage or f"sqlite:///{folder / 'study.db'}"
        storage = open_storage(url)
        stack.enter_context(explained(url))
        stack.callback(close_storage, storage)
        worker = Worker()
        studies = {
            seed: SearchStudy(storage, f"{options.study}-seed{seed}", {**identity, "seed": seed}, worker)
            for seed in range(options.seed, options.seed + options.seeds)
        }
        if not options.force:
            objective.check_that_instructions_matter(splits.search.pools, base)
        found, proposers = _search_all(studies, objective, splits, options, base, bank, folder, watcher)
        baselines = _baselines(objective, splits, base, options.seed, watcher) if options.baselines else []
        front = prove(
            found, splits, objective, baselines, seed=options.seed, resamples=options.resamples, watch=watcher
        )
        record = _record(options, digest, started, objective, splits, url, found, proposers)
        write_search(folder, front, proposals(found), record)
    return SearchResult(front, record, folder)


def _search_all(
    studies: Mapping[int, SearchStudy],
    objective: Objective,
    splits: Splits,
    options: SearchOptions,
    base: str | None,
    bank: Any,
    folder: Path,
    watcher: Watcher | None,
) -> tuple[list[Found], list[Proposer]]:
    found = []
    proposers: list[Proposer] = []
    for seed, study in studies.items():
        examples = _examples(options, objective, splits, base, seed)
        own = [
            PROPOSERS.open(spec, bank=bank, folder=folder, seed=seed, examples=examples, layouts=options.layouts)
            for spec in options.proposer
        ]
        if options.climb:
            own = _climbing(own, options.climb, splits)
        proposers += own
        search = Search(
            study,
            objective,
            splits.search.pools,
            splits.train.pools if splits.train else (),
            own,
            options.search_settings(seed, slow=any(map(is_slow, own))),
            base,
            bank.choices,
            watcher,
            None
            if any(getattr(each, "finite", False) for each in own)
            else ClausesProposer(bank, examples=examples, layouts=options.layouts),
            reader_of(objective.reranker),
        )
        found.append(Found(search, search.run()))
    return found, proposers


def _examples(options: SearchOptions, objective: Objective, splits: Splits, base: str | None, seed: int) -> Examples:
    """The worked examples that a search may show.

    Raises:
        FrescoError: there are no training queries to draw from, or the longest do not fit the re-ranker.
    """
    if not options.demonstrations:
        return NO_EXAMPLES
    if splits.train is None:
        raise FrescoError(
            f"{splits.whole.name}: --demonstrations needs training queries, and no query is in the split 'train'"
        )
    drawn = draw_demonstrations(splits.train.pools, MOST, seed=seed)
    # What does not fit shows on the longest query; the instruction itself is scored first, so that it is not blamed.
    probe = [max(splits.search.pools, key=lambda pool: len(pool.query.text))]
    text = base or objective.default_text or DEFAULT_INSTRUCTION
    objective.scores(text, probe)
    longest = sorted(drawn, key=lambda each: -len(each.text))[: options.demonstrations]
    try:
        objective.scores(with_examples(text, longest), probe)
    except FrescoError as error:
        raise FrescoError(
            f"--demonstrations {options.demonstrations}: so many do not fit what the re-ranker reads ({error})"
        ) from error
    return Examples(tuple(drawn), len(longest))


def _climbing(proposers: Sequence[Proposer], steps: int, splits: Splits) -> list[Proposer]:
    """Those that breed, with children that climb; the others as they are.

    Raises:
        FrescoError: none breeds, or there are no training queries to climb on.
    """
    if not any(getattr(each, "breeds", False) for each in proposers):
        raise FrescoError(
            "--climb needs a proposer that changes instructions, such as --proposer llm:URL#MODEL; leave it away"
        )
    if splits.train is None:
        raise FrescoError(f"{splits.whole.name}: --climb needs training queries, and no query is in the split 'train'")
    return [Climbing(each, steps) if getattr(each, "breeds", False) else each for each in proposers]


def _open_splits(
    benchmark: str | Benchmark, nek: str | Benchmark | None, options: SearchOptions
) -> tuple[Benchmark, Splits]:
    benchmark = Part(seed=options.seed, strict=options.strict).open(benchmark, nek)
    validation, test = (select_split(benchmark, name) for name in ("validation", "test"))
    for part, name in ((validation, "validation"), (test, "test")):
        for task in Task:
            if not any(pool.query.task is task for pool in part.pools):
                raise FrescoError(
                    f"{benchmark.name}: no {task} query is in the split {name!r}, so there is nothing to trade; "
                    + ("add static knowledge with --nek" if task is Task.NEK else "give a benchmark that has some")
                )
    try:
        train = select_split(benchmark, "train")
    except FrescoError:  # a small benchmark may have none; only some proposers want it
        train = None
    search = limit_queries(validation, options.limit, seed=options.seed) if options.limit else validation
    return benchmark, Splits(benchmark, train, search, validation, test)


def _one_line(instruction: str | None) -> str | None:
    if instruction is None:
        return None
    if not instruction.strip():
        raise FrescoError("--instruction is empty; leave it out for the model's default")
    return check_instruction("--instruction", instruction)


def _identity(
    options: SearchOptions,
    objective: Objective,
    splits: Splits,
    base: str | None,
    choices: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """What makes two commands the same search; its rounds and seeds are left out, so that it can be made longer."""
    known = own_fingerprint(objective.reranker) is not None
    if not known:
        sys.stderr.write(
            f"fresco: {objective.reranker.name} has no fingerprint of its own: its scores end with this run, and no "
            "other process can go on with this search\n"
        )
    return {
        "version": SEARCH_VERSION,
        # A re-ranker that cannot say what its scores depend on: values found by another process may not be its own.
        "reranker": f"{fingerprint(objective.reranker)}{'' if known else f':{uuid4()}'}",
        "benchmark": [splits.search.fingerprint, splits.validation.fingerprint, splits.test.fingerprint],
        "training queries": splits.train.fingerprint if splits.train else None,
        "instruction": base,
        "proposer": [_lasting(spec) for spec in options.proposer],
        "bank of clauses": hashlib.sha256(json.dumps(choices).encode()).hexdigest(),
        "population": options.population,
        "number of children": options.children or ("8 for each" if options.like_paper else "usual"),
        "selection": options.selection,
        "seed": options.seed,
        **{key: value for key in ("climb", "demonstrations", "layouts") if (value := getattr(options, key))},
    }


def _lasting(spec: str) -> str:
    """A proposer's spec without what changes no text: the server's address, and how patiently it is asked."""
    kind, colon, server = spec.partition(":")
    if kind != "llm" or "#" not in server:
        return spec
    model, *rest = server.partition("#")[2].split("&")
    return "&".join([f"{kind}{colon}{model}", *(each for each in rest if each.partition("=")[0] not in _PASSING)])


def _claim(folder: Path, digest: str, *, overwrite: bool) -> None:
    try:
        claim(folder, digest, overwrite=False)
    except FrescoError:
        if not overwrite:
            raise
        claim(folder, digest, overwrite=True)
        for name in ("study.db", "study.db-journal", "study.db-wal", "study.db-shm"):  # of the search that is replaced
            (folder / name).unlink(missing_ok=True)


def _baselines(objective: Objective, splits: Splits, base: str | None, seed: int, watcher: Watcher | None) -> Any:
    return tuned_baselines(
        objective.reranker,
        splits.train.pools if splits.train else (),
        splits.validation.pools,
        objective.store,
        base,
        seed=seed,
        watch=watcher.scored if watcher else None,
    )


def _record(
    options: SearchOptions,
    digest: str,
    started: datetime,
    objective: Objective,
    splits: Splits,
    url: str,
    found: Sequence[Found],
    proposers: Sequence[Proposer],
) -> dict[str, Any]:
    parts = {"search": splits.search, "validation": splits.validation, "test": splits.test}
    return {
        **run_header(digest, started),
        "benchmark": {
            name: {"fingerprint": part.fingerprint, "queries": len(part), "notes": list(part.notes)}
            for name, part in parts.items()
        },
        "settings": {
            key: getattr(options, key)
            for key in (
                *(
                    "proposer",
                    "clauses",
                    "rounds",
                    "population",
                    "children",
                    "budget",
                    "climb",
                    "demonstrations",
                    "layouts",
                    "like_paper",
                    "selection",
                ),
                *("seed", "seeds", "limit"),
                *("instruction", "device", "dtype", "max_length", "batch_tokens", "resamples"),
            )
        },
        "storage": without_password(url),
        "studies": [each.search.study.name for each in found],
        "store": str(objective.store.path),
        "reranker": dict(describe(objective.reranker)),
        "pairs_scored": objective.computed,
        "pairs_from_store": objective.reused,
        "proposers": [
            {"name": each.name, "rejected": dict(getattr(each, "rejected", {})), **_totals(each)} for each in proposers
        ],
        "environment": environment(),
    }


def _totals(proposer: Proposer) -> dict[str, Any]:
    """What a language model cost, in its client's own words."""
    totals = getattr(getattr(proposer, "client", None), "totals", None)
    return {"llm": dict(totals)} if totals else {}
