"""``fresco optimize``: open, search, prove, write, print."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError
from fresco.terminal.arguments import positive
from fresco.terminal.options import (
    add_benchmark,
    add_models,
    add_out,
    add_resamples,
    add_seed,
    add_store,
    model_settings,
)

if TYPE_CHECKING:
    from fresco.optimizer.proposers.base import Proposer
    from fresco.optimizer.report.front import Found, Splits
    from fresco.optimizer.search.objective import Objective


def add_optimize(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    optimize = commands.add_parser(
        "optimize",
        help="search the instructions of a re-ranker",
        description="Search instructions that trade changing against static knowledge best, and prove them on data the "
        "search has not seen. Interrupted at any point, the same command goes on where it stopped; several workers "
        "share one search by --storage.",
    )
    what = optimize.add_argument_group("what to search for")
    what.add_argument("--reranker", required=True, metavar="SPEC", help="one that takes an instruction")
    add_benchmark(what)
    what.add_argument(
        "--instruction", metavar="TEXT", help="to start from (default: the model's own); @FILE reads a file"
    )
    what.add_argument("--limit", type=positive, metavar="N", help="select by about N validation queries only")
    what.add_argument("--force", action="store_true", help="search though instructions change no score")

    how = optimize.add_argument_group("how")
    how.add_argument(
        "--proposer",
        action="append",
        metavar="P",
        help="clauses, clauses:tpe, file:PATH or llm:URL#MODEL; repeatable, they share each round (default: clauses)",
    )
    how.add_argument("--clauses", metavar="FILE", help="another bank of clauses (TOML)")
    how.add_argument("--rounds", type=positive, default=10, metavar="N")
    how.add_argument("--population", type=positive, default=4, metavar="N", help="instructions kept (default: 4)")
    how.add_argument("--children", type=positive, metavar="N", help="new ones a round (default: 8 x population)")
    how.add_argument("--selection", default="racing", choices=("racing", "full"), help="full scores all on everything")
    add_seed(how, "the first search, splits and resampling")
    how.add_argument("--seeds", type=positive, default=3, metavar="N", help="searches, each with its seed (default: 3)")
    how.add_argument("--no-baselines", action="store_true", help="leave out the temporal and demonstration baselines")

    add_models(optimize)

    out = optimize.add_argument_group("results")
    add_out(out, "fresco-results/optimize-NAME")
    out.add_argument("--study", default="fresco", metavar="NAME", help="name of the Optuna studies (default: fresco)")
    out.add_argument("--storage", metavar="URL", help="of the Optuna studies (default: sqlite in DIR/study.db)")
    add_store(out)
    add_resamples(out)
    optimize.set_defaults(run=run_optimize)


def run_optimize(options: argparse.Namespace) -> int:
    """Run the command; see :func:`fresco.cli.main` for the exit codes."""
    from fresco.optimizer.proposers.clauses import read_bank
    from fresco.optimizer.report.console import ConsoleWatcher, print_result
    from fresco.optimizer.report.folder import write_search
    from fresco.optimizer.report.front import Found, proposals, prove
    from fresco.optimizer.search.objective import Objective
    from fresco.optimizer.search.rounds import Search, SearchSettings
    from fresco.optimizer.search.study import SearchStudy, Worker, explained, import_optuna, open_storage
    from fresco.rerank.registry import open_reranker
    from fresco.results.writer import slug
    from fresco.scoring.store import ScoreStore, default_store
    from fresco.terminal.console import make_console

    started = datetime.now(UTC)
    import_optuna()
    settings = model_settings(options)
    children = options.children or 8 * options.population
    bank = read_bank(Path(options.clauses) if options.clauses else None)
    specs: list[str] = options.proposer or ["clauses"]
    reranker = open_reranker(options.reranker, settings)
    console = make_console()
    with ExitStack() as stack:
        store = stack.enter_context(ScoreStore(Path(options.store) if options.store else default_store()))
        whole, splits = _open_splits(options)
        objective = Objective(reranker, whole, store)
        stack.callback(objective.close)
        base = _base(options.instruction)
        identity = _identity(options, objective, splits, base, specs, bank.choices, children)
        digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
        folder = Path(options.out or Path("fresco-results") / f"optimize-{slug(whole.name)}-{digest[:8]}")
        _claim(folder, digest, overwrite=options.overwrite)
        url = options.storage or f"sqlite:///{folder / 'study.db'}"
        storage = open_storage(url)
        stack.enter_context(explained(url))
        watcher = stack.enter_context(ConsoleWatcher(console))
        worker = Worker()
        studies = {
            seed: SearchStudy(storage, f"{options.study}-seed{seed}", {**identity, "seed": seed}, worker)
            for seed in range(options.seed, options.seed + options.seeds)
        }
        if not options.force:
            objective.check_that_instructions_matter(splits.search.pools, base)
        found = []
        proposers: list[Proposer] = []
        for seed, study in studies.items():
            own = [_proposer(spec, bank, folder, seed) for spec in specs]
            proposers += own
            search = Search(
                study,
                objective,
                splits.search.pools,
                splits.train.pools if splits.train else (),
                own,
                SearchSettings(options.rounds, options.population, children, seed, options.selection == "racing"),
                base,
                bank.choices,
                watcher,
            )
            found.append(Found(search, search.run()))
        baselines = [] if options.no_baselines else _baselines(objective, splits, base, options.seed, watcher)
        front = prove(
            found, splits, objective, baselines, seed=options.seed, resamples=options.resamples, watch=watcher
        )
        record = _record(options, digest, started, objective, splits, url, found, proposers)
        write_search(folder, front, proposals(found), record)
    print_result(console, front, folder, options.storage)
    return 0


def _open_splits(options: argparse.Namespace) -> tuple[Any, Splits]:
    from fresco.benchmarks import combine, limit_queries, open_benchmark, select_split
    from fresco.optimizer.report.front import Splits
    from fresco.records import Task

    benchmark = open_benchmark(options.benchmark, seed=options.seed)
    if options.nek:
        benchmark = combine(benchmark, open_benchmark(options.nek, seed=options.seed))
    validation, test = (select_split(benchmark, name, seed=options.seed) for name in ("validation", "test"))
    for part, name in ((validation, "validation"), (test, "test")):
        for task in Task:
            if not any(pool.query.task is task for pool in part.pools):
                raise FrescoError(
                    f"{benchmark.name}: no {task} query is in the split {name!r}, so there is nothing to trade; "
                    + ("add static knowledge with --nek" if task is Task.NEK else "give a benchmark that has some")
                )
    try:
        train = select_split(benchmark, "train", seed=options.seed)
    except FrescoError:  # a small benchmark may have none; only some proposers want it
        train = None
    search = limit_queries(validation, options.limit, seed=options.seed) if options.limit else validation
    return benchmark, Splits(train, search, validation, test)


def _base(instruction: str | None) -> str | None:
    if instruction is None:
        return None
    if instruction.startswith("@"):
        from fresco.optimizer.proposers.file import read_instructions

        texts = [each.text for each in read_instructions(Path(instruction[1:]))]
        if len(texts) > 1:
            raise FrescoError(f"--instruction {instruction}: holds {len(texts)} lines; write the instruction in one")
        return texts[0]
    if not instruction.strip():
        raise FrescoError("--instruction is empty; leave it away for the model's default")
    return " ".join(instruction.split())


def _identity(
    options: argparse.Namespace,
    objective: Objective,
    splits: Splits,
    base: str | None,
    specs: Sequence[str],
    choices: Mapping[str, Sequence[str]],
    children: int,
) -> dict[str, Any]:
    """What makes two commands the same search; its rounds and seeds are left out, so that it can be made longer."""
    from fresco.rerank.base import fingerprint

    return {
        "reranker": fingerprint(objective.reranker),
        "benchmark": [splits.search.fingerprint, splits.validation.fingerprint, splits.test.fingerprint],
        "training queries": splits.train.fingerprint if splits.train else None,
        "instruction": base,
        "proposer": list(specs),
        "bank of clauses": hashlib.sha256(json.dumps(choices).encode()).hexdigest(),
        "population": options.population,
        "number of children": children,
        "selection": options.selection,
        "seed": options.seed,
    }


def _claim(folder: Path, digest: str, *, overwrite: bool) -> None:
    from fresco.results.writer import claim

    try:
        claim(folder, digest, overwrite=False)
    except FrescoError:
        if not overwrite:
            raise
        claim(folder, digest, overwrite=True)
        for name in ("study.db", "study.db-journal"):  # of the search that is replaced
            (folder / name).unlink(missing_ok=True)


def _proposer(spec: str, bank: Any, folder: Path, seed: int) -> Proposer:
    family, _, rest = spec.partition(":")
    if family == "clauses":
        from fresco.optimizer.proposers.clauses import ClausesProposer

        return ClausesProposer(bank, rest or "nsga2")
    if family == "file" and rest:
        from fresco.optimizer.proposers.file import FileProposer

        return FileProposer(Path(rest))
    if family == "llm" and rest:
        from fresco.optimizer.proposers.llm import open_llm_proposer

        return open_llm_proposer(rest, cache=folder / "llm.sqlite", seed=seed)
    raise FrescoError(f"--proposer {spec}: unknown; there are clauses, clauses:tpe, file:PATH and llm:URL#MODEL")


def _baselines(objective: Objective, splits: Splits, base: str | None, seed: int, watcher: Any) -> Any:
    from fresco.optimizer.baselines import tuned_baselines

    return tuned_baselines(
        objective.reranker,
        splits.train.pools if splits.train else (),
        splits.validation.pools,
        objective.store,
        base,
        seed=seed,
        watch=watcher.scored,
    )


def _record(
    options: argparse.Namespace,
    digest: str,
    started: datetime,
    objective: Objective,
    splits: Splits,
    url: str,
    found: Sequence[Found],
    proposers: Sequence[Proposer],
) -> dict[str, Any]:
    from fresco.io.provenance import environment
    from fresco.io.secrets import command_line
    from fresco.optimizer.search.study import without_password
    from fresco.records import SCHEMA_VERSION, format_timestamp
    from fresco.rerank.base import describe

    finished = datetime.now(UTC)
    parts = {"search": splits.search, "validation": splits.validation, "test": splits.test}
    return {
        "schema_version": SCHEMA_VERSION,
        "identity": digest,
        "command": command_line(),
        "started": format_timestamp(started),
        "finished": format_timestamp(finished),
        "seconds": (finished - started).total_seconds(),
        "benchmark": {
            name: {"fingerprint": part.fingerprint, "queries": len(part), "notes": list(part.notes)}
            for name, part in parts.items()
        },
        "settings": {
            key: getattr(options, key)
            for key in (
                *("proposer", "clauses", "rounds", "population", "children", "selection", "seed", "seeds", "limit"),
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
