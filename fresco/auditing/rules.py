"""Blind rules: rankings that do not understand a word. Each is a row of the audit, scored like a re-ranker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from fresco.auditing.surface import Names, ages, proper_words, title_overlap
from fresco.records import Benchmark, Pool
from fresco.rerank.latest import Latest, revision_ranks
from fresco.rerank.lexical import Bm25
from fresco.stats.arrays import FloatArray
from fresco.stats.words import words

#: Pools to one array of scores for each.
Rule = Callable[[Benchmark], list[FloatArray]]


def newest(benchmark: Benchmark) -> list[FloatArray]:
    """The newest date first."""
    return [-ages(pool) for pool in benchmark.pools]


def latest_of_page(benchmark: Benchmark) -> list[FloatArray]:
    """The latest revision of each page first, then the one before it, and so on."""
    return [-revision_ranks(pool.passages).astype(np.float64) for pool in benchmark.pools]


def bm25(benchmark: Benchmark) -> list[FloatArray]:
    """BM25 over content alone: the rule beside which the next one is read."""
    return _scored(Bm25(), benchmark)


def latest_bm25(benchmark: Benchmark) -> list[FloatArray]:
    """BM25 over the latest revision of each page; older revisions come after all of those."""
    return _scored(Latest(), benchmark)


def _scored(ranker: Bm25 | Latest, benchmark: Benchmark) -> list[FloatArray]:
    plain = benchmark.without_timestamps()
    ranker.fit(plain.passages())
    return [np.array(ranker.score(pool.query, pool.passages)) for pool in plain.pools]


def fifteen_lines(benchmark: Benchmark) -> list[FloatArray]:
    """The page that the question names, a name that is not in its title, and the newest date.

    On the first edition of mini it was right nearly always, on both sides.
    """
    proper = proper_words(benchmark.passages())
    names = {passage.id: Names.of(passage, proper).inside for passage in benchmark.passages()}
    return [_fifteen_lines(pool, names) for pool in benchmark.pools]


def _fifteen_lines(pool: Pool, names: Mapping[str, frozenset[str]]) -> FloatArray:
    age = np.maximum(ages(pool), 0)
    recency = 1 - age / max(float(age.max()), 1.0)
    asked = frozenset(words(pool.query.content))
    overlap = np.array([title_overlap(pool.query, passage) for passage in pool.passages])
    named = np.array([bool(names[passage.id] - asked) for passage in pool.passages])
    return np.asarray(4 * (overlap == overlap.max()) + 2 * named + recency, np.float64)


def nothing(benchmark: Benchmark) -> list[FloatArray]:
    """The query alone: it cannot tell passages apart, so its values are those of a random order."""
    return [np.zeros(len(pool)) for pool in benchmark.pools]


RULES: Final[Mapping[str, Rule]] = {
    "query-only": nothing,
    "newest": newest,
    "latest-of-page": latest_of_page,
    "bm25": bm25,
    "latest-bm25": latest_bm25,
    "fifteen-lines": fifteen_lines,
}
