"""The front door: what the commands do, as functions with the same names.

    import fresco

    result = fresco.score("cross-encoder:BAAI/bge-reranker-v2-m3")
    result                          # the table, in a notebook
    result.to_frame()               # every figure

Each is reached as ``fresco.NAME``; this module is imported when the first of them is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fresco.answering.run import answer
from fresco.auditing import ESTIMATE, Audit, audit_benchmark, token_counter
from fresco.benchmarks import open_benchmark
from fresco.benchmarks.first_stage import INJECTED
from fresco.benchmarks.part import Part
from fresco.errors import FrescoError
from fresco.io.files import locked
from fresco.metrics.measures import Measure, parse_measures
from fresco.metrics.values import extra_measures
from fresco.models.settings import Settings
from fresco.optimizer.report.result import SearchResult
from fresco.optimizer.transfer import Transfer
from fresco.records import Benchmark
from fresco.reporting.opening import load
from fresco.reporting.run import report
from fresco.rerank.base import Reranker
from fresco.rerank.given import open_given
from fresco.rerank.open import BASELINES, as_reranker, open_rerankers
from fresco.results.record import run_record
from fresco.results.result import Result
from fresco.results.writer import claim, slug, write_run
from fresco.scoring.job import Job
from fresco.scoring.parity import parity
from fresco.scoring.store import ScoreStore, default_store
from fresco.terminal.console import make_console
from fresco.terminal.progress import Progress, progress_bars, shown_progress
from fresco.tuning.run import tune

if TYPE_CHECKING:
    from fresco.builder.job import Built

__all__ = [
    "FrescoError",
    "Result",
    "SearchResult",
    "answer",
    "audit",
    "build",
    "evaluate",
    "load",
    "open_benchmark",
    "optimize",
    "parity",
    "report",
    "score",
    "tune",
]


def score(
    what: Any = None,
    benchmark: str | Benchmark = "mini",
    *,
    nek: str | Benchmark | None = None,
    strict: bool = False,
    pools: str = INJECTED,
    split: str | None = None,
    limit: int | None = None,
    timestamps: str = "text",
    instruction: str | None = None,
    instructions: str | Path | Sequence[str] | None = None,
    baselines: bool | Iterable[Any] = True,
    store: str | Path | None = None,
    progress: bool | Progress = True,
    device: str | None = None,
    dtype: str = "float32",
    max_length: int | None = None,
    batch_tokens: int = 16384,
    template: str | Path | None = None,
    answers: Sequence[str] = (),
    trust: Sequence[str] = (),
    ray: str | None = None,
    seed: int = 0,
    resamples: int = 1000,
    measures: Iterable[str | Measure] = (),
    unit: str = "subject",
    out: str | Path | None = None,
    results: str | Path | None = None,
    overwrite: bool = False,
) -> Result:
    """Score re-rankers on a benchmark of changing and static knowledge.

    Interrupted at any point, the same call goes on where it stopped: scores are kept in the store.

    Args:
        what: A spec such as ``"cross-encoder:BAAI/bge-reranker-v2-m3"`` (``fresco rerankers`` lists them); an object
            or a class with ``name``, ``takes_instruction`` and ``score`` (:mod:`fresco.rerank.base`); a
            ``sentence_transformers`` ``CrossEncoder`` or ``SentenceTransformer``; an object of the ``rerankers``
            library; a function ``f(query: str, passages: list[str]) -> list[float]``; a mapping from a name to any of
            these; a list of them. None scores the baselines alone.
        benchmark: Name, folder or Hugging Face dataset id; or a benchmark that is open.
        nek: Another benchmark, BEIR or MTEB folder as the static side.
        strict: Refuse rows of such a folder that are otherwise left out; see :mod:`fresco.benchmarks.published`.
        pools: Candidates of such a folder: ``injected`` (positives and the best others), or a first stage as it is, as
            BEIR measures: ``own`` or ``run:FILE``, each with ``#top=N``; see :mod:`fresco.benchmarks.first_stage`.
        split: ``all``, ``train``, ``validation`` or ``test``; where None, ``test`` with ``instructions``, else ``all``.
        limit: Only about so many queries, whole subjects, drawn by ``seed``.
        timestamps: ``text``: each text ends with its date; ``none``: dates are hidden.
        instruction: For the re-rankers that take one.
        instructions: A ``front.json`` of ``fresco optimize``, another file, or a list: a row for each of them.
        baselines: Whether the baselines are scored, too; or which re-rankers to score as baselines.
        store: File of the score store; ``$FRESCO_STORE`` or one in the user's cache folder where None.
        progress: Whether to show bars; or a function of what is scored, pairs done and pairs in all.
        device: For models that a spec names, as are the next three; a loaded model keeps its own. ``cpu``, ``cuda``,
            ``cuda:1``, ``mps``, several as in ``cuda:0,cuda:1``, ``all`` GPUs; the best there is where None.
        dtype: ``float32``, ``bfloat16``, ``float16``, ``auto`` or, on a CPU, ``int8``.
        max_length: Longest input in tokens; the model's own limit where None.
        batch_tokens: Tokens in one forward pass.
        template: File with the prompt of models that are asked in words; the model's own where None.
        answers: What such a model says of a relevant passage and of another; its own where empty.
        trust: ``MODEL@COMMIT`` of repositories whose code may run.
        ray: Address of a Ray cluster whose machines hold the models (``auto``, ``local``, ``HOST:PORT``).
        seed: Of random dates, random orders and resampling.
        resamples: Bootstrap samples for each interval.
        measures: Beside the standard set: notation such as ``nDCG@20``, ``Recall@10``, ``MAP(rel=2)`` or
            ``module:Class@5``, or objects; see :mod:`fresco.metrics.measures`.
        unit: What intervals and tests draw as one: ``subject``, or the coarser ``relation``.
        out: Folder to write the result to, claimed before the work; see :meth:`Result.save`.
        results: Instead of ``out``: a folder in which the result gets one of its own, named after the run.
        overwrite: Replace what the folder holds.

    Returns:
        Figures with intervals, per-query values, plots.

    Raises:
        FrescoError: something cannot be opened, or a re-ranker failed; one line that says how to mend it.
    """
    started = datetime.now(UTC)
    further = parse_measures([measures] if isinstance(measures, str) else measures)
    own = None if template is None else str(template)
    settings = Settings(device, dtype, max_length, batch_tokens, seed, own, tuple(answers), tuple(trust), ray)
    beside = (BASELINES if baselines else ()) if isinstance(baselines, bool) else baselines
    beside = [beside] if isinstance(beside, str) else beside
    named, rerankers = open_rerankers(what, settings, beside)
    _check_instruction(instruction, rerankers)
    transfer = _transfer(instruction, instructions)
    part = Part(split or ("test" if transfer else "all"), limit, timestamps, seed, strict, pools)
    opened = part.open(benchmark, nek)
    if transfer:
        transfer.check_unseen(opened.pools)
        rerankers = transfer.expand(rerankers)
        named = transfer.rows_of(named)
    texts = transfer.texts if transfer else ()
    extra = extra_measures(opened.pools, further)
    job = Job(opened, part, rerankers, named, settings, instruction, texts, resamples, extra, unit)
    if out is None and results is not None:
        out = Path(results) / f"{slug(opened.name)}-{job.identity[:8]}"
    folder = None if out is None else Path(out)
    with nullcontext() if folder is None else locked(folder):
        if folder is not None:
            claim(folder, job.identity, overwrite=overwrite)
        with ScoreStore(Path(store) if store else default_store()) as kept, shown_progress(progress, "pairs") as tell:
            run = job.run(kept, tell)
        record = run_record(job, run, started, str(kept.path))
        if transfer:
            record["instructions"] = transfer.record(run.evaluation)
        if folder is not None:
            write_run(run, folder, record)
    return Result(run.evaluation, record, folder, run)


def evaluate(benchmark: str | Benchmark, scores: Any, *, name: str = "scores", **options: Any) -> Result:
    """Measure scores that were computed elsewhere, as :func:`score` measures a re-ranker's.

    A passage without a score stands below all that have one, tied with the others like it; a query without any is in
    random order. Both are counted in :attr:`Result.warnings`. Passages that are in no pool are ignored.

    Args:
        benchmark: Name, folder or Hugging Face dataset id; or a benchmark that is open.
        scores: ``{query id: {passage id: score}}``, higher is better; a data frame with ``query_id``, ``passage_id``,
            ``score`` and optionally ``reranker``; the path of a TREC run; or a mapping from a name to any of these.
        name: Of the row, where the scores bring none.
        **options: Those of :func:`score` (``baselines``, ``split``, ``out``, ...).

    Raises:
        FrescoError: the scores are none of these, a score is not finite, or no passage of the benchmark has one.
    """
    return score(list(open_given(scores, name).values()), benchmark, **options)


def optimize(
    reranker: Any,
    benchmark: str | Benchmark = "mini",
    *,
    nek: str | Benchmark | None = None,
    strict: bool = False,
    instruction: str | None = None,
    proposers: Sequence[str] = ("clauses",),
    clauses: str | Path | None = None,
    rounds: int | None = None,
    population: int = 4,
    children: int | None = None,
    budget: str | None = None,
    climb: int = 0,
    demonstrations: int = 0,
    layouts: bool = False,
    like_paper: bool = False,
    selection: str = "racing",
    seeds: int = 3,
    baselines: bool = True,
    limit: int | None = None,
    force: bool = False,
    store: str | Path | None = None,
    progress: bool = True,
    device: str | None = None,
    dtype: str = "float32",
    max_length: int | None = None,
    batch_tokens: int = 16384,
    template: str | Path | None = None,
    answers: Sequence[str] = (),
    trust: Sequence[str] = (),
    seed: int = 0,
    resamples: int = 1000,
    study: str = "fresco",
    storage: str | None = None,
    out: str | Path | None = None,
    results: str | Path = "fresco-results",
    overwrite: bool = False,
) -> SearchResult:
    """Search the instructions of a re-ranker, and prove them on data that the search has not seen.

    Interrupted at any point, the same call goes on where it stopped.

    Args:
        reranker: One that takes an instruction; whatever :func:`score` takes for one.
        benchmark: As for :func:`score`; so are ``nek``, ``strict``, ``store``, ``resamples``, ``device`` and the next.
        nek: See ``benchmark``.
        strict: See ``benchmark``.
        instruction: To start from; the model's own where None.
        proposers: ``clauses``, ``clauses:tpe``, ``file:PATH``, ``llm:URL#MODEL``, ...; they share each round.
        clauses: Another bank of clauses (TOML).
        rounds: Of each search; where None, enough for 320 instructions, or as the budget allows.
        population: Instructions kept.
        children: New ones a round; where None two, or four where a language model writes them.
        budget: Ends each search: pairs (``200k``), minutes (``90min``), or a price (``5usd``).
        climb: Changes that each child of a language model tries on a few training queries before it races; 0: none.
        demonstrations: Most worked examples of the train split behind a choice of clauses; how many, and which, is
            searched for.
        layouts: Whether it is searched for where the dates of query and passages stand, too.
        like_paper: FRESCO's generations: ten rounds, in each eight new instructions for each one kept.
        selection: ``racing``, or ``full`` for scoring all on everything.
        seeds: Searches, each with its seed.
        baselines: Whether the temporal and demonstration baselines are tuned, too.
        limit: Select by about so many validation queries only.
        force: Search though instructions change no score.
        store: See ``benchmark``.
        progress: Whether to print each round and show a bar.
        device: See ``benchmark``.
        dtype: See ``benchmark``.
        max_length: See ``benchmark``.
        batch_tokens: See ``benchmark``.
        template: As for :func:`score`; so are ``answers``.
        answers: See ``template``.
        trust: See ``template``.
        seed: Of the first search and of resampling.
        resamples: See ``benchmark``.
        study: Name of the Optuna studies.
        storage: Address of the Optuna studies, which several workers may share; SQLite in the folder where None.
        out: Folder of the results.
        results: Where ``out`` is None: a folder in which the search gets one of its own, named after it.
        overwrite: Replace what the folder holds.

    Raises:
        FrescoError: something cannot be opened, no instruction changes a score, the re-ranker or a proposer failed.
    """
    from fresco.optimizer.options import SearchOptions
    from fresco.optimizer.pipeline import run_search
    from fresco.optimizer.report.console import ConsoleWatcher

    options = SearchOptions(
        instruction=instruction,
        proposer=list(proposers),
        clauses=clauses,
        rounds=rounds,
        population=population,
        children=children,
        budget=budget,
        climb=climb,
        demonstrations=demonstrations,
        layouts=layouts,
        like_paper=like_paper,
        selection=selection,
        seed=seed,
        seeds=seeds,
        limit=limit,
        force=force,
        baselines=baselines,
        device=device,
        dtype=dtype,
        max_length=max_length,
        batch_tokens=batch_tokens,
        template=None if template is None else str(template),
        answers=tuple(answers),
        trust=tuple(trust),
        resamples=resamples,
        study=study,
        storage=storage,
        strict=strict,
    )
    opened = as_reranker(reranker, options.settings)
    with ConsoleWatcher(make_console()) if progress else nullcontext() as watcher:
        given = (opened, benchmark, nek, options)
        return run_search(*given, store=store, out=out, results=results, overwrite=overwrite, watcher=watcher)


def build(
    out: str | Path,
    *,
    wiki: str | None = None,
    mirror: str | Path | None = None,
    documents: str | Path | None = None,
    manifest: str | Path | None = None,
    contact: str | None = None,
    rate: float = 5.0,
    maxlag: int = 5,
    cache: str | Path | None = None,
    keep_damaged: bool = False,
    include: Sequence[str] = (),
    progress: bool | Progress = True,
    **options: Any,
) -> Built:
    """Build a benchmark of changing facts from the revisions of a wiki, or hydrate one from its manifest.

    Args:
        out: Folder of the benchmark; interrupted at any point, the same call goes on where it stopped.
        wiki: Address of a live MediaWiki, such as ``https://en.wikipedia.org/w/``; or
        mirror: a dump (MediaWiki XML, JSON Lines), ``command:WORDS`` that writes one, or ``git:PATH[@BRANCH]``; or
        documents: dated documents: CSV, JSON Lines or Parquet with ``id``, ``title``, ``text``, ``date``.
        manifest: Hydrate this manifest instead of building.
        contact: Mail address or URL for the operator; Wikimedia's hosts require it.
        rate: Most requests a second to the wiki.
        maxlag: Wait while the wiki lags by so many seconds.
        cache: File of revisions; in ``out`` where None.
        keep_damaged: Use what can be read of a damaged dump.
        include: Of files under git, patterns over their paths (``docs/**/*.md``).
        progress: Whether to show bars; or a function of a stage, what is done of it and what there is.
        **options: Of the benchmark: the fields of :class:`fresco.builder.config.BuildConfig` (``facts``,
            ``relations``, ``titles``, ``edition``, ...); ``draft_relations`` and ``earlier``: folders.

    Returns:
        The folder, what was found and dropped, and ``open()`` for the benchmark itself.

    Raises:
        FrescoError: the source cannot be opened or gives up, or nothing could be aligned.
        TypeError: there is no such option.
    """
    from fresco.builder.job import Source, run_build

    keep = bool(options.get("edition"))
    source = Source(wiki, mirror, contact, rate, maxlag, cache, keep_damaged, tuple(include), documents, keep=keep)
    with shown_progress(progress) as tell:
        return run_build(Path(out), source, Path(manifest) if manifest else None, tell, options)


def audit(
    benchmark: str | Benchmark = "mini",
    *,
    nek: str | Benchmark | None = None,
    strict: bool = False,
    split: str = "all",
    limit: int | None = None,
    tokenizer: str | None = None,
    progress: bool | Progress = True,
    resamples: int = 200,
    seed: int = 0,
) -> Audit:
    """Measure how much of a benchmark can be solved without reading it; see :mod:`fresco.auditing`.

    Args:
        benchmark: Name, folder or Hugging Face dataset id; or a benchmark that is open.
        nek: Another one as the static side.
        strict: As for :func:`score`.
        split: ``all``, ``train``, ``validation`` or ``test``.
        limit: About so many queries, whole subjects.
        tokenizer: A model whose tokenizer counts tokens; an estimate from words where None.
        progress: Whether bars are drawn on standard error; or a callback.
        resamples: Bootstrap samples for each interval.
        seed: Of random dates and of resampling.

    Raises:
        FrescoError: the benchmark or the tokenizer cannot be opened.
    """
    opened = Part(split, limit, seed=seed, strict=strict).open(benchmark, nek)
    counter = token_counter(tokenizer) if tokenizer else None
    with progress_bars(one_bar=True, transient=True) if progress is True else shown_progress(progress) as watch:
        return audit_benchmark(
            opened,
            tokens=counter,
            counted_by=f"the tokenizer of {tokenizer}" if tokenizer else ESTIMATE,
            resamples=resamples,
            seed=seed,
            progress=watch,
        )


def _check_instruction(instruction: str | None, rerankers: Sequence[Reranker]) -> None:
    if instruction is None:
        return
    if not instruction.strip():
        raise FrescoError("--instruction is empty; leave it out for the model's default")
    if not any(reranker.takes_instruction for reranker in rerankers):
        raise FrescoError("--instruction: no re-ranker of this run takes one; `fresco rerankers` lists which do")


def _transfer(instruction: str | None, instructions: str | Path | Sequence[str] | None) -> Transfer | None:
    if instructions is None:
        return None
    if instruction is not None:
        raise FrescoError("--instruction and --instructions: give one of them; the default is a row anyway")
    return Transfer(instructions)
