"""The candidates of a published query, out of a first-stage ranking."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from fresco.benchmarks.first_stage import BM25_DEPTH, POOL_SIZE, FirstStage
from fresco.benchmarks.published import Tolerance
from fresco.benchmarks.trec import read_run_lines
from fresco.errors import FrescoError
from fresco.io.names import short
from fresco.records import Passage, Query

#: Below this many (query, passage) pairs BM25 takes a few seconds and a progress bar would only flash by.
_QUIET_WORK = 50_000_000


def read_candidates(
    folder: Path,
    corpus: Mapping[str, Passage],
    queries: Sequence[Query],
    positives: Mapping[str, frozenset[str]],
    tolerance: Tolerance | None = None,
    stage: FirstStage | None = None,
) -> dict[str, list[str]]:
    """Passage ids for each query id: its positives, then the best others of a first-stage ranking, up to 51 in all.

    The ranking is the TREC run ``candidates.trec`` of the folder, if there is one, else BM25 over the whole corpus,
    title and text. For millions of passages, write a ``candidates.trec`` with a search engine: see
    :mod:`fresco.benchmarks.bm25`. More than 51 positives all stay. The passage that bears the query's own id is no
    candidate unless it is a positive: in ArguAna and Quora it is the query itself, and every ranking would put it first
    (BEIR's ``ignore_identical_ids``).

    A ``stage`` that injects nothing gives the ranking as it is, the query's own document aside.

    Args:
        folder: Where ``candidates.trec`` is looked for.
        corpus: Passages by id.
        queries: The queries that need candidates.
        positives: The relevant passages of each of them.
        tolerance: Told of lines of the run that name no passage, and of queries that it leaves out, which get no
            candidates; strict where None.
        stage: Which ranking, and whether positives are put in; FRESCO's way where None.

    Raises:
        FrescoError: a line of the run is wrong, or a passage is in it twice for a query.
    """
    stage = stage or FirstStage()
    run = stage.file(folder)
    if run is not None:
        rankings = _run_rankings(run, corpus, queries, tolerance or Tolerance(strict=True))
    else:
        depth = POOL_SIZE if stage.injected else stage.top or BM25_DEPTH
        rankings = _bm25_rankings(corpus, queries, positives, depth)
    candidates = {}
    for query_id, ranking in rankings:
        relevant = positives[query_id]
        if stage.injected:
            others = (passage for passage in ranking if passage not in relevant and passage != query_id)
            candidates[query_id] = [*sorted(relevant), *islice(others, max(0, POOL_SIZE - len(relevant)))]
        else:
            found = (passage for passage in ranking if passage in relevant or passage != query_id)
            candidates[query_id] = list(islice(found, stage.top if run else depth))
    return candidates


def _run_rankings(
    path: Path, corpus: Mapping[str, Passage], queries: Sequence[Query], tolerance: Tolerance
) -> Iterator[tuple[str, list[str]]]:
    scores: dict[str, dict[str, float]] = defaultdict(dict)
    for place, query_id, passage_id, score in read_run_lines(path):
        if passage_id in scores[query_id]:
            raise FrescoError(f"{place}: {short(passage_id)} is a candidate of {short(query_id)} already")
        if passage_id not in corpus:
            refusal = f"{place}: {short(passage_id)} is no passage of the corpus"
            tolerance.forgive("candidates that are not in the corpus, left out", place, refusal)
            continue
        scores[query_id][passage_id] = score
    for query in queries:
        if not (own := scores.get(query.id)):
            refusal = f"{path}: has no candidate for the query {short(query.id)}, which has a relevant passage"
            tolerance.forgive("judged queries without candidates, left out", str(path), refusal)
            continue
        yield query.id, sorted(own, key=lambda passage: (-own[passage], passage))


def _bm25_rankings(
    corpus: Mapping[str, Passage], queries: Sequence[Query], positives: Mapping[str, frozenset[str]], depth: int
) -> Iterator[tuple[str, list[str]]]:
    from fresco.benchmarks.bm25 import CorpusRanking
    from fresco.terminal.progress import progress_bars

    texts = {passage.id: f"{passage.title} {passage.body}" for passage in corpus.values()}
    index = CorpusRanking(texts, [query.content for query in queries])
    short_work = len(queries) * len(corpus) < _QUIET_WORK
    with progress_bars(transient=True, shown=not short_work) as progress:
        for done, query in enumerate(queries):
            progress("BM25 candidates", done, len(queries))
            # The positives and the query's own document may be among the best: so many more leave enough others.
            yield query.id, index.ranking(query.content, depth + 1 + len(positives[query.id]))
