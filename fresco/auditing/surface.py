"""What can be seen of a passage without understanding it: dates, place, length, overlap, capitals, years, n-grams."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from fresco.metrics.features import content_words
from fresco.records import Passage, Pool, Query
from fresco.rerank.latest import revision_ranks
from fresco.stats.arrays import FloatArray, IntArray
from fresco.stats.words import words

_CAPITALISED: Final = re.compile(r"[^\W\d_]*[A-ZÀ-ÖØ-ÞŁŻŽŠĆČ]\w*")
_TOKEN: Final = re.compile(r"[\w'\u2019-]+")
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+|\n+")
_YEAR: Final = re.compile(r"\b(?:19|20)\d\d\b")
_SECONDS_A_DAY: Final = 86_400.0
#: Buckets of hashed unigrams and bigrams.
BUCKETS: Final = 1024

#: Names of the columns of :func:`dense`, by what they look at.
DATE: Final = ("age", "age rank", "rank in page", "newest of page", "same date", "log age")
SHAPE: Final = ("words", "length rank", "sentences", "place", "heading", "page size")
TEXT: Final = ("capitals", "has capitals", "years", "latest year", "earliest year", "year is its own")
OVERLAP: Final = ("title", "title in query", "body", "heading overlap", "bm25")
NAMES: Final = ("new names", "has new name", "name count", "name since", "name until")
COLUMNS: Final = (*DATE, *SHAPE, *TEXT, *OVERLAP, *NAMES)


@dataclass(frozen=True)
class Names:
    """The capitalised words of a passage that do not stand in its title, and those that are not in the query either."""

    inside: frozenset[str]
    total: int

    @classmethod
    def of(cls, passage: Passage, proper: frozenset[str]) -> Names:
        """Read a passage.

        Args:
            passage: Its body is read.
            proper: See :func:`proper_words`: other words at the start of a sentence are no names.
        """
        title = set(words(passage.title))
        found: list[str] = []
        for sentence in _SENTENCE.split(passage.body):
            for place, token in enumerate(_TOKEN.findall(sentence)):
                if _CAPITALISED.fullmatch(token) and (place > 0 or token in proper):
                    found += words(token)
        names = [name for name in found if name not in title and name not in _MONTHS]
        return cls(frozenset(names), len(found))


def proper_words(passages: Iterable[Passage]) -> frozenset[str]:
    """The words that stand with a capital inside a sentence somewhere, and nowhere without."""
    small: set[str] = set()
    inside: set[str] = set()
    for passage in passages:
        for sentence in _SENTENCE.split(passage.body):
            tokens = _TOKEN.findall(sentence)
            small.update(token for token in tokens if token[:1].islower())
            inside.update(token for token in tokens[1:] if _CAPITALISED.fullmatch(token))
    return frozenset(token for token in inside if token.lower() not in small)


_MONTHS: Final = frozenset(
    "january february march april may june july august september october november december".split()  # noqa: SIM905
)


def ages(pool: Pool) -> FloatArray:
    """Days from each passage's date to the query's, shape (passages,)."""
    asked = pool.query.timestamp.timestamp()
    return np.array([(asked - passage.timestamp.timestamp()) / _SECONDS_A_DAY for passage in pool.passages])


def pages(pool: Pool) -> IntArray:
    """A number for the page of each passage: passages of one title are of one page; an untitled one is its own."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(p.title or f"\0{p.id}", len(numbers)) for p in pool.passages], np.intp)


def title_overlap(query: Query, passage: Passage) -> float:
    """Share of the query's content words that stand in the title."""
    asked = content_words(query)
    return len(asked & set(words(passage.title))) / len(asked) if asked else 0.0


def dense(pool: Pool, names: Sequence[Names], bm25: FloatArray) -> FloatArray:
    """The features that are numbers, shape (passages, columns); see :data:`COLUMNS`."""
    age, page = ages(pool), pages(pool)
    in_page = revision_ranks(pool.passages)
    sizes = np.array([len(passage.content.split()) for passage in pool.passages], np.float64)
    asked = frozenset(words(pool.query.content))
    columns: dict[str, FloatArray] = {
        "age": age / 365,
        "age rank": _ranks(age),
        "rank in page": in_page.astype(np.float64),
        "newest of page": (in_page == 0).astype(np.float64),
        "same date": np.array([(age == own).sum() for own in age], np.float64),
        "log age": np.log1p(np.maximum(age, 0)),
        "words": np.log1p(sizes),
        "length rank": _ranks(sizes),
        "sentences": np.array([len(_SENTENCE.split(p.body)) for p in pool.passages], np.float64),
        "place": np.arange(len(pool)) / len(pool),
        "heading": np.array([bool(p.section) for p in pool.passages], np.float64),
        "page size": np.array([(page == own).sum() for own in page], np.float64),
        **_years(pool, age),
        "capitals": np.array([name.total for name in names], np.float64),
        "has capitals": np.array([name.total > 0 for name in names], np.float64),
        "title": np.array([title_overlap(pool.query, p) for p in pool.passages]),
        "title in query": np.array([_share(words(p.title), asked) for p in pool.passages]),
        "body": np.array([_share(list(asked), frozenset(words(p.body))) for p in pool.passages]),
        "heading overlap": np.array([_share(words(p.section), asked) for p in pool.passages]),
        "bm25": bm25 / max(float(bm25.max()), 1e-9),
        **_names(names, age, asked),
    }
    return np.stack([columns[name] for name in COLUMNS], axis=1)


def _share(inside: Sequence[str], of: frozenset[str]) -> float:
    return sum(word in of for word in inside) / len(inside) if inside else 0.0


def _ranks(values: FloatArray) -> FloatArray:
    return np.unique(values, return_inverse=True)[1] / max(len(values) - 1, 1)


def _years(pool: Pool, age: FloatArray) -> dict[str, FloatArray]:
    asked = pool.query.timestamp.year
    found = [[int(year) for year in _YEAR.findall(passage.body)] for passage in pool.passages]
    own = [passage.timestamp.year for passage in pool.passages]
    return {
        "years": np.array([len(years) for years in found], np.float64),
        "latest year": np.array([max(years, default=asked - 20) - asked for years in found], np.float64),
        "earliest year": np.array([min(years, default=asked - 20) - asked for years in found], np.float64),
        "year is its own": np.array([year in years for year, years in zip(own, found, strict=True)], np.float64),
    }


def _names(names: Sequence[Names], age: FloatArray, asked: frozenset[str]) -> dict[str, FloatArray]:
    """How many passages of the pool share a passage's names, and when those names come up first and last."""
    new = [name.inside - asked for name in names]
    counts = Counter(word for own in new for word in own)
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for own, days in zip(new, age.tolist(), strict=True):
        for word in own:
            first[word] = max(first.get(word, days), days)
            last[word] = min(last.get(word, days), days)
    return {
        "new names": np.array([len(own) for own in new], np.float64),
        "has new name": np.array([bool(own) for own in new], np.float64),
        "name count": np.array([max((counts[word] for word in own), default=0) for own in new], np.float64),
        # The youngest name that more than one passage has: whoever came last.
        "name since": np.array([min((first[w] for w in own if counts[w] > 1), default=9e3) / 365 for own in new]),
        "name until": np.array([min((last[w] for w in own), default=9e3) / 365 for own in new]),
    }


def hashed(passage: Passage) -> IntArray:
    """The buckets of a passage's unigrams and bigrams, digits as they are, each bucket once."""
    tokens = words(f"{passage.section} {passage.body}")
    grams = [*tokens, *(f"{one} {two}" for one, two in pairwise(tokens))]
    return np.unique(np.array([zlib.crc32(gram.encode()) % BUCKETS for gram in grams], np.intp))
