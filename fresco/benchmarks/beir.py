"""Open a BEIR folder as the side of knowledge that does not change (NEK).

The folder holds ``corpus.jsonl``, ``queries.jsonl`` and ``qrels/*.tsv`` (BEIR, arXiv 2104.08663). It has no pools and,
as a rule, no dates; this module gives it both, so that FRESCO's NEK side (Natural Questions with random timestamps,
arXiv 2604.14227) can be any judged collection.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from fresco.benchmarks.folder import read_unique
from fresco.benchmarks.pools import fingerprint, make_pool
from fresco.benchmarks.tables import Row, read_jsonl, read_lines
from fresco.benchmarks.trec import read_run_lines
from fresco.errors import FrescoError
from fresco.io.names import short
from fresco.records import Benchmark, Kind, Label, Passage, Query, Task, format_timestamp

#: Candidates of a query: one positive and 50 others (FRESCO, task definition).
POOL_SIZE = 51

#: Random dates lie between these two, both included. The later is the paper's reference date.
FIRST_DATE = datetime(2018, 1, 1, tzinfo=UTC)
LAST_DATE = datetime(2025, 8, 31, 23, 59, 59, tzinfo=UTC)

_SPAN = int((LAST_DATE - FIRST_DATE).total_seconds()) + 1

#: Below this many (query, passage) pairs BM25 takes a few seconds and a progress bar would only flash by.
_QUIET_WORK = 50_000_000


def is_beir(folder: Path) -> bool:
    """Whether the folder has judgements where BEIR keeps them."""
    return (folder / "qrels").is_dir()


def read_beir(name: str, folder: Path, *, seed: int = 0) -> Benchmark:
    """Read a BEIR folder: every query NEK and static, its own subject; relevant passages positive, others near-topic.

    A passage is relevant where its grade is 1 or more. Grades other than 0 and 1 are kept (:attr:`Pool.gains`).
    A row's own date is used where it has a ``timestamp`` (at top level or in ``metadata``). Every other passage and
    query gets a random one, drawn by SHA-256 of (seed, id), so that neither the order nor the number of rows moves it.
    Queries without a relevant passage are left out. A passage that has a title and no text is its title.

    Args:
        name: Name of the benchmark.
        folder: The BEIR folder.
        seed: Of the random dates.

    Raises:
        FrescoError: a file or row is wrong, or no query has a relevant passage.
    """
    corpus_rows = read_jsonl(folder / "corpus.jsonl")
    query_rows = read_jsonl(folder / "queries.jsonl")
    corpus = read_unique(corpus_rows, lambda row: _passage(row, seed))
    queries = read_unique(query_rows, lambda row: _query(row, seed))
    qrels = _qrels_file(folder)
    grades = _read_grades(qrels, corpus, queries)
    positives = {
        query: relevant
        for query, own in grades.items()
        if (relevant := frozenset(passage for passage, grade in own.items() if grade > 0))
    }
    judged = [query for query in queries.values() if query.id in positives]
    if not judged:
        raise FrescoError(f"{qrels}: no query has a relevant passage (score above 0)")
    candidates = read_candidates(folder, corpus, judged, positives)
    pools = tuple(
        make_pool(
            query,
            (
                (corpus[passage], Label.POSITIVE if passage in positives[query.id] else Label.NEAR_TOPIC)
                for passage in candidates[query.id]
            ),
            gains={passage: grades[query.id].get(passage, 0) for passage in candidates[query.id]},
        )
        for query in judged
    )
    notes = [f"BEIR folder, relevance from {qrels.name}"]
    undated = [sum(_own_date(row) is None for row in rows) for rows in (corpus_rows, query_rows)]
    if any(undated):
        notes.append(
            f"random timestamps, seed {seed}, {format_timestamp(FIRST_DATE)} to {format_timestamp(LAST_DATE)}: "
            f"{undated[0]} of {len(corpus)} passages, {undated[1]} of {len(queries)} queries"
        )
    if dropped := len(queries) - len(judged):
        notes.append(f"{dropped} of {len(queries)} queries have no relevant passage in {qrels.name} and were left out")
    if trivial := sum(Label.NEAR_TOPIC not in pool.labels for pool in pools):
        notes.append(f"{trivial} of {len(pools)} pools hold relevant passages only: every order of them is right")
    return Benchmark(name=name, pools=pools, fingerprint=fingerprint(pools), notes=tuple(notes))


def read_candidates(
    folder: Path, corpus: Mapping[str, Passage], queries: Sequence[Query], positives: Mapping[str, frozenset[str]]
) -> dict[str, list[str]]:
    """Passage ids for each query id: its positives, then the best others of a first-stage ranking, up to 51 in all.

    The ranking is the TREC run ``candidates.trec`` of the folder, if there is one, else BM25 over the whole corpus,
    title and text. For millions of passages, write a ``candidates.trec`` with a search engine: see
    :mod:`fresco.benchmarks.bm25`. More than 51 positives all stay.

    Args:
        folder: Where ``candidates.trec`` is looked for.
        corpus: Passages by id.
        queries: The queries that need candidates.
        positives: The relevant passages of each of them.

    Raises:
        FrescoError: a line of the run is wrong, or the run has no line for a query.
    """
    run = folder / "candidates.trec"
    rankings = _run_rankings(run, corpus, queries) if run.exists() else _bm25_rankings(corpus, queries, positives)
    candidates = {}
    for query_id, ranking in rankings:
        relevant = positives[query_id]
        others = (passage for passage in ranking if passage not in relevant)
        candidates[query_id] = [*sorted(relevant), *islice(others, max(0, POOL_SIZE - len(relevant)))]
    return candidates


def _run_rankings(
    path: Path, corpus: Mapping[str, Passage], queries: Sequence[Query]
) -> Iterator[tuple[str, list[str]]]:
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    for place, query_id, passage_id, score in read_run_lines(path):
        if passage_id not in corpus:
            raise FrescoError(f"{place}: {short(passage_id)} is no passage of the corpus")
        if passage_id in scores[query_id]:
            raise FrescoError(f"{place}: {short(passage_id)} is a candidate of {short(query_id)} already")
        scores[query_id][passage_id] = score
    for query in queries:
        if query.id not in scores:
            raise FrescoError(f"{path}: has no candidate for the query {short(query.id)}, which has a relevant passage")
        own = scores[query.id]
        yield query.id, sorted(own, key=lambda passage: (-own[passage], passage))


def _bm25_rankings(
    corpus: Mapping[str, Passage], queries: Sequence[Query], positives: Mapping[str, frozenset[str]]
) -> Iterator[tuple[str, list[str]]]:
    from fresco.benchmarks.bm25 import CorpusRanking
    from fresco.terminal.progress import progress_bars

    texts = {passage.id: f"{passage.title} {passage.body}" for passage in corpus.values()}
    index = CorpusRanking(texts, [query.content for query in queries])
    short_work = len(queries) * len(corpus) < _QUIET_WORK
    with progress_bars(transient=True, shown=not short_work) as progress:
        for done, query in enumerate(queries):
            progress("BM25 candidates", done, len(queries))
            # The positives may be among the best: so many more leave enough others.
            yield query.id, index.ranking(query.content, POOL_SIZE + len(positives[query.id]))


def _passage(row: Row, seed: int) -> Passage:
    passage_id = row.identifier("_id")
    title = row.text("title", may_be_empty=True) if row.fields.get("title") is not None else ""
    title_only = bool(title.strip()) and row.fields.get("text") == ""  # thousands of them in TREC-COVID
    return Passage(
        id=passage_id,
        title="" if title_only else title,
        section="",
        body=title if title_only else row.text("text"),
        timestamp=_own_date(row) or _random_date("passage", passage_id, seed),
    )


def _query(row: Row, seed: int) -> Query:
    query_id = row.identifier("_id")
    return Query(
        id=query_id,
        content=row.text("text"),
        timestamp=_own_date(row) or _random_date("query", query_id, seed),
        task=Task.NEK,
        kind=Kind.STATIC,
        subject=query_id,
    )


def _own_date(row: Row) -> datetime | None:
    metadata = row.fields.get("metadata")
    for fields in (row.fields, metadata if isinstance(metadata, dict) else {}):
        if fields.get("timestamp") is not None:
            return Row(row.place, fields).timestamp("timestamp")
    return None


def _random_date(kind: str, own_id: str, seed: int) -> datetime:
    digest = hashlib.sha256(f"{seed}:{kind}:{own_id}".encode()).digest()
    return FIRST_DATE + timedelta(seconds=int.from_bytes(digest[:8]) % _SPAN)


def _qrels_file(folder: Path) -> Path:
    files = sorted((folder / "qrels").glob("*.tsv"))
    test = folder / "qrels" / "test.tsv"
    if test in files:
        return test
    if len(files) != 1:
        there = ", ".join(file.name for file in files) or "no .tsv file"
        raise FrescoError(f"{folder / 'qrels'}: holds {there}; test.tsv or one single .tsv file is expected")
    return files[0]


def _read_grades(path: Path, corpus: Mapping[str, Passage], queries: Mapping[str, Query]) -> dict[str, dict[str, int]]:
    """The grade of each judged passage, by query and passage."""
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    seen: dict[tuple[str, str], int] = {}
    for number, line in read_lines(path):
        place = f"{path}, line {number}"
        fields = [field.strip() for field in line.split("\t")]
        if fields == ["query-id", "corpus-id", "score"]:
            continue
        try:
            query, passage, grade = fields[0], fields[1], int(fields[2])
            if len(fields) != 3:
                raise ValueError  # noqa: TRY301 - the same line is said of every other shape
        except (ValueError, IndexError):
            raise FrescoError(f"{place}: {short(line)} is not 'query-id<tab>corpus-id<tab>integer score'") from None
        if query not in queries:
            raise FrescoError(f"{place}, field 'query-id': {short(query)} is no query")
        if passage not in corpus:
            raise FrescoError(f"{place}, field 'corpus-id': {short(passage)} is no passage of the corpus")
        if (query, passage) in seen:
            raise FrescoError(
                f"{place}: {short(passage)} is judged for {short(query)} already (line {seen[query, passage]})"
            )
        seen[query, passage] = number
        grades[query][passage] = grade
    return dict(grades)
