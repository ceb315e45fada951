"""Scores that somebody computed elsewhere, as a re-ranker: a TREC run, nested mappings, a data frame.

They are looked up by the ids of queries and passages. A passage that has no score stands below all that have one, tied
with the others like it; a query without any is in random order. Both are counted, and the record says how many.
"""

from __future__ import annotations

import hashlib
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError
from fresco.io.names import short
from fresco.io.state import read_state
from fresco.rerank.registry import RERANKERS

if TYPE_CHECKING:
    from fresco.records import Passage, Query

#: Scores by query id and passage id.
ByIds = Mapping[str, Mapping[str, float]]

_COLUMNS = ("query_id", "passage_id", "score")
#: Beside the TREC runs that `fresco score` writes: which text each of their query ids stood for.
QUERIES = "queries.json"


def query_texts(queries: Iterable[Query]) -> dict[str, str]:
    """By id a digest of the question, 16 hexadecimal digits; dates and labels may change, and are not in it."""
    return {
        query.id: hashlib.sha256(query.content.encode("utf-8", "surrogatepass")).hexdigest()[:16] for query in queries
    }


class GivenScores:
    """Scores by ids.

    Args:
        scores: ``{query id: {passage id: score}}``; finite, higher is better.
        name: Of the row.
        source: Where they come from, for the record and for error messages.
        texts: By query id the digest of the question that was scored, see :func:`query_texts`; of those that are known.
    """

    takes_instruction = False
    by_id = True  # it reads no text, so the made-up pairs of the counterfactual probe have no score

    def __init__(self, scores: ByIds, name: str, source: str, texts: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._texts = texts or {}
        self._scores, self._source = scores, source
        self._pools = self._passages = self._empty = self._missing = 0

    def fit(self, passages: Iterable[Passage]) -> None:
        """Make sure that the scores are of this benchmark.

        Raises:
            FrescoError: no passage of the benchmark has a score.
        """
        known = {passage.id for passage in passages}
        self._pools = self._passages = self._empty = self._missing = 0
        if not any(own.keys() & known for own in self._scores.values()):
            raise FrescoError(f"{self._source}: scores no passage of the benchmark; compare the ids of both")

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> list[float]:
        """Score one pool; see :class:`fresco.rerank.base.Reranker`.

        Raises:
            FrescoError: the query's id stood for another question when the scores were made.
        """
        if self._texts.get(query.id) not in (None, query_texts([query])[query.id]):
            raise FrescoError(
                f"{self._source}: scored another question under the id {short(query.id)} than {short(query.content)}; "
                "score this benchmark anew, or name the one that the run was made on"
            )
        own = self._scores.get(query.id, {})
        found = [own[passage.id] for passage in passages if passage.id in own]
        self._pools, self._passages = self._pools + 1, self._passages + len(passages)
        self._empty, self._missing = self._empty + (not found), self._missing + len(passages) - len(found)
        lowest = min(found, default=0.0)
        below = min(lowest - 1.0, math.nextafter(lowest, -math.inf))  # of a float above 2 ** 53, 1 is no step
        return [own.get(passage.id, below) for passage in passages]

    def describe(self) -> dict[str, Any]:
        """Where the scores come from, and what they leave out."""
        return {
            "source": self._source,
            "passages_without_score": self._missing,
            "passages": self._passages,
            "queries_without_score": self._empty,
        }


def open_given(scores: Any, name: str = "scores") -> dict[str, GivenScores]:
    """Scores in any of the forms in which people have them.

    Args:
        scores: ``{query: {passage: score}}``; a data frame with the columns ``query_id``, ``passage_id``, ``score`` and
            optionally ``reranker``; the path of a TREC run; or a mapping from a name to any of these.
        name: Of a row that has no other; a TREC run has its file's.

    Returns:
        One for each re-ranker, by name.

    Raises:
        FrescoError: it is none of these, or a score is not a finite number.
    """
    if _names_its_values(scores):
        if bad := [key for key in scores if not isinstance(key, str)]:
            raise FrescoError(f"scores: {bad[0]!r} is not a name; give one line of text")
        several = [given for key, own in scores.items() for given in _one_form(own, key, named=True)]
    else:
        several = _one_form(scores, name, named=False)
    found = {given.name: given for given in several}
    if len(found) < len(several):
        raise FrescoError("scores: two re-rankers have one name; give one of them another")
    return found


def _names_its_values(scores: Any) -> bool:
    """Whether a mapping is one from names to scores, and not one from queries to passages with scores."""
    if not isinstance(scores, Mapping) or not scores:
        return False
    first = next(iter(scores.values()))
    if isinstance(first, Mapping):
        return any(isinstance(own, Mapping) for own in first.values())
    return isinstance(first, str | Path) or hasattr(first, "columns")


def _one_form(scores: Any, name: str, *, named: bool) -> list[GivenScores]:
    if isinstance(scores, str | Path):
        from fresco.benchmarks.trec import read_trec_run

        path = Path(scores)
        return [GivenScores(read_trec_run(path), name if named else path.stem, str(path), _texts_beside(path))]
    if hasattr(scores, "columns"):
        return _from_frame(scores, name)
    if isinstance(scores, Mapping) and scores:
        return [GivenScores(_checked(scores, name), name, name)]
    raise FrescoError(
        f"scores: {type(scores).__name__} {str(scores)[:40]!r} is none; give {{query: {{passage: score}}}}, a data "
        f"frame with {', '.join(_COLUMNS)}, or the path of a TREC run"
    )


def _from_frame(frame: Any, name: str) -> list[GivenScores]:
    missing = [column for column in _COLUMNS if column not in frame.columns]
    if missing:
        raise FrescoError(f"scores: the data frame lacks the column {missing[0]}; it has {', '.join(frame.columns)}")
    names = list(frame["reranker"]) if "reranker" in frame.columns else [name] * len(frame)
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for reranker, query, passage, score in zip(names, *(list(frame[column]) for column in _COLUMNS), strict=True):
        own = rows.setdefault(str(reranker), {}).setdefault(str(query), {})
        if str(passage) in own:
            raise FrescoError(f"scores: {reranker} scores passage {passage} of query {query} twice")
        own[str(passage)] = score
    if not rows:
        raise FrescoError("scores: the data frame has no row")
    return [GivenScores(_checked(own, key), key, key) for key, own in rows.items()]


def _checked(scores: Mapping[Any, Any], name: str) -> dict[str, dict[str, float]]:
    checked: dict[str, dict[str, float]] = {}
    for query, own in scores.items():
        if not isinstance(own, Mapping):
            raise FrescoError(f"{name}: query {query} has {own!r}; give {{passage: score}}")
        values = checked.setdefault(str(query), {})
        for passage, score in own.items():
            if not isinstance(score, numbers.Real) or not math.isfinite(score):
                raise FrescoError(
                    f"{name}: the score of passage {passage} of query {query} is {score!r}; it must be a finite number"
                )
            values[str(passage)] = float(score)
    return checked


@RERANKERS.register(
    "run:FILE", "a TREC run made elsewhere; what has no score stands below", example="runs/mine.trec", instruction="no"
)
def _open(file: str) -> GivenScores:
    from fresco.benchmarks.trec import read_trec_run

    return GivenScores(read_trec_run(Path(file)), f"run:{file}", file, _texts_beside(Path(file)))


def _texts_beside(run: Path) -> dict[str, str]:
    try:
        found = read_state(run.with_name(QUERIES), {"queries": dict}, "remove it to score the run without this check")
    except FileNotFoundError:  # made elsewhere, or by an earlier version
        return {}
    return dict(found["queries"])
