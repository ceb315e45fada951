"""Open a published collection as the side of knowledge that does not change (NEK).

The folder holds a corpus, queries and judgements as BEIR (arXiv 2104.08663) or MTEB lays them out; see
:mod:`fresco.benchmarks.layout`. It has no pools and, as a rule, no dates; this module gives it both, so that FRESCO's
NEK side (Natural Questions with random timestamps, arXiv 2604.14227) can be any judged collection. What is wrong in it
and forgiven all the same is decided in :mod:`fresco.benchmarks.published`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from fresco.benchmarks.candidates import read_candidates
from fresco.benchmarks.first_stage import INJECTED, FirstStage, parse_pools
from fresco.benchmarks.layout import Layout, find_layout, read_table_files
from fresco.benchmarks.pools import fingerprint, make_pool
from fresco.benchmarks.published import FIRST_DATE, LAST_DATE, RowReader, Tolerance
from fresco.benchmarks.qrels import read_qrels
from fresco.errors import FrescoError
from fresco.records import Benchmark, Label, Passage, Pool, Query, format_timestamp


def read_beir(
    name: str,
    folder: Path,
    *,
    seed: int = 0,
    split: str | None = None,
    strict: bool = False,
    qrels: Path | None = None,
    pools: str = INJECTED,
) -> Benchmark:
    """Read a collection: every query NEK and static, its own subject; relevant passages positive, others near-topic.

    A passage is relevant where its grade is 1 or more. Grades other than 0 and 1 are kept (:attr:`Pool.gains`).
    A row's own date is used where it has a ``timestamp`` (at top level or in ``metadata``). Every other passage and
    query gets a random one, drawn by SHA-256 of (seed, id), so that neither the order nor the number of rows moves it.
    Queries without a relevant passage are left out. A passage that has a title and no text is its title. A passage that
    bears the query's id and says what the query says is the query itself and never a candidate.

    Args:
        name: Name of the benchmark.
        folder: The collection.
        seed: Of the random dates.
        split: Which judgements; see :func:`fresco.benchmarks.layout.find_layout`.
        strict: Refuse what :mod:`fresco.benchmarks.published` forgives.
        qrels: Another folder that has the judgements.
        pools: Where candidates come from; see :func:`fresco.benchmarks.first_stage.parse_pools`.

    Raises:
        FrescoError: a file or row is wrong, or no query has a relevant passage.
    """
    stage = parse_pools(pools)
    layout = find_layout(folder, split, qrels)
    tolerance = Tolerance(strict)
    reader = RowReader(tolerance, seed)
    corpus = reader.passages(read_table_files(layout.corpus))
    queries = reader.queries(read_table_files(layout.queries))
    grades = read_qrels(layout.qrels, corpus, queries, tolerance)
    own_documents = _without_own_documents(grades, corpus, queries)
    positives = {
        query: relevant
        for query, own in grades.items()
        if (relevant := frozenset(passage for passage, grade in own.items() if grade > 0))
    }
    judged = [query for query in queries.values() if query.id in positives]
    if not judged:
        told = "".join(f"; {note}" for note in tolerance.notes())
        raise FrescoError(f"{layout.qrels[0]}: no query has a relevant passage (score above 0){told}")
    candidates = read_candidates(folder, corpus, judged, positives, tolerance, stage)
    made = tuple(
        make_pool(
            query,
            (
                (corpus[passage], Label.POSITIVE if passage in positives[query.id] else Label.NEAR_TOPIC)
                for passage in candidates[query.id]
            ),
            gains={passage: grades[query.id].get(passage, 0) for passage in candidates[query.id]},
            missed={passage: grades[query.id][passage] for passage in positives[query.id].difference(own)},
        )
        for query in judged
        if (own := candidates.get(query.id))
    )
    if not made:
        raise FrescoError(f"{stage.file(folder)}: has no candidate for any query with a relevant passage")
    notes = [*_notes(layout, reader, corpus, queries, len(judged)), *tolerance.notes(), _origin(made, stage, folder)]
    if own_documents:
        notes.append(f"{own_documents} queries lie in the corpus under their own id; they are no candidates")
    if trivial := sum(Label.NEAR_TOPIC not in pool.labels for pool in made):
        notes.append(f"{trivial} of {len(made)} pools hold relevant passages only: every order of them is right")
    return Benchmark(
        name=name, pools=made, fingerprint=fingerprint(made), notes=tuple(notes), candidates=stage.describe(folder)
    )


def _origin(pools: Sequence[Pool], stage: FirstStage, folder: Path) -> str:
    """The note that says what the figures can be compared with."""
    if stage.injected:
        return (
            f"{stage.describe(folder)}: not comparable to BEIR's figures (--pools own or run:FILE takes a first stage)"
        )
    relevant = sum(len(list(pool.labelled(Label.POSITIVE))) + len(pool.missed) for pool in pools)
    missed = sum(len(pool.missed) for pool in pools)
    return (
        f"{stage.describe(folder)}, as BEIR measures: {missed} of {relevant} relevant passages are not among the "
        f"candidates and count as not found; mean over the {len(pools)} queries that have candidates"
    )


def _without_own_documents(
    grades: Mapping[str, dict[str, int]], corpus: Mapping[str, Passage], queries: Mapping[str, Query]
) -> int:
    """Take the judgements of queries about themselves away, and count the queries that lie in the corpus.

    An id that stands for a query and for a passage by chance, as the numbers of two countings do, is judged relevant as
    any other: only where the two say the same is it one thing.
    """
    count = 0
    for query_id, query in queries.items():
        if query_id not in grades or (passage := corpus.get(query_id)) is None:
            continue
        same = query.content.strip() in (passage.body.strip(), f"{passage.title} {passage.body}".strip())
        if same:
            grades[query_id].pop(query_id, None)
        count += same or grades[query_id].get(query_id, 0) <= 0
    return count


def _notes(
    layout: Layout, reader: RowReader, corpus: Mapping[str, Passage], queries: Mapping[str, Query], judged: int
) -> list[str]:
    source = layout.qrels[0].name
    there = f"; there are also the judgements {', '.join(layout.others)} (NAME@SPLIT)" if layout.others else ""
    notes = [f"BEIR folder, relevance from {source}{there}"]
    undated = [reader.undated[Passage], reader.undated[Query]]
    if any(undated):
        notes.append(
            f"random timestamps, seed {reader.seed}, {format_timestamp(FIRST_DATE)} to {format_timestamp(LAST_DATE)}: "
            f"{undated[0]} of {len(corpus)} passages, {undated[1]} of {len(queries)} queries"
        )
    if dropped := len(queries) - judged:
        notes.append(f"{dropped} of {len(queries)} queries have no relevant passage in {source} and were left out")
    return notes
