"""Re-rankers made of what users have at hand: a function, a re-ranker of the ``rerankers`` library, a loaded model.

None of them but a loaded model can say what can change its scores, so none but that has a fingerprint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError
from fresco.rerank.base import Reranker

if TYPE_CHECKING:
    from fresco.models.settings import Settings
    from fresco.records import Passage, Query


class FunctionReranker:
    """Scores by ``f(query: str, passages: list[str]) -> list[float]``, called once for each pool.

    Args:
        function: Reads texts with their timestamp lines, as every model does.
        name: Of the row.
    """

    takes_instruction = False

    def __init__(self, function: Callable[[str, list[str]], Sequence[float]], name: str) -> None:
        self._function, self.name = function, name

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> Sequence[float]:
        """Score one pool; see :class:`fresco.rerank.base.Reranker`."""
        return self._function(query.text, [passage.text for passage in passages])

    def describe(self) -> dict[str, Any]:
        """Where the function is defined."""
        function = self._function
        kind = function if hasattr(function, "__qualname__") else type(function)
        return {"function": f"{kind.__module__}:{kind.__qualname__}"}


class RankReranker:
    """Scores by an object of the ``rerankers`` library: ``rank(query, docs, doc_ids=...)``.

    Where it gives ranks alone (an LLM that sorts a list), a passage's score is its rank, negated.

    Args:
        ranker: The object.
        name: Of the row.
    """

    takes_instruction = False

    def __init__(self, ranker: Any, name: str) -> None:
        self._ranker, self.name = ranker, name

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> list[float]:
        """Score one pool; see :class:`fresco.rerank.base.Reranker`."""
        places = list(range(len(passages)))
        ranked = self._ranker.rank(query.text, [passage.text for passage in passages], doc_ids=places)
        scores = {
            int(result.document.doc_id): float(result.score if ranked.has_scores else -result.rank)
            for result in ranked.results
        }
        if set(scores) != set(places):
            raise FrescoError(
                f"{self.name} ranked {len(scores)} of the {len(places)} passages of query {query.id}; "
                "it must rank all of them"
            )
        return [scores[place] for place in places]

    def describe(self) -> dict[str, Any]:
        """The class, and the model where it says which."""
        kind = type(self._ranker)
        model = getattr(getattr(getattr(self._ranker, "model", None), "config", None), "_name_or_path", None)
        return {"class": f"{kind.__module__}:{kind.__qualname__}", **({"model": str(model)} if model else {})}


class Renamed:
    """Another re-ranker under a name of the user's choice; everything else is the other's own.

    Args:
        base: The other.
        name: Of the row.
    """

    def __init__(self, base: Reranker, name: str) -> None:
        self.name = name
        self._base = base

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("__") or attribute == "_base":  # of copy and pickle, before there is a base
            raise AttributeError(attribute)
        return getattr(self._base, attribute)


def adapt(given: Any, settings: Settings) -> Reranker | None:
    """A re-ranker made of an object that is none; None where no adapter knows it."""
    for recognizes, make in _ADAPTERS:
        if recognizes(given):
            return make(given, settings)
    return None


def _is_a(library: str, kind: str) -> Callable[[Any], bool]:
    """Whether an object's class is, or comes from, one of a library's; without importing the library."""

    def recognizes(given: Any) -> bool:
        return any(
            each.__name__ == kind and each.__module__.partition(".")[0] == library for each in type(given).__mro__
        )

    return recognizes


def _cross_encoder(given: Any, settings: Settings) -> Reranker:
    from fresco.rerank.cross_encoder import CrossEncoderReranker

    return CrossEncoderReranker(given, settings)


def _dense(given: Any, settings: Settings) -> Reranker:
    from fresco.rerank.dense import Dense

    return Dense(given, settings)


def _sparse(given: Any, settings: Settings) -> Reranker:
    from fresco.rerank.sparse import Sparse

    return Sparse(given, settings)


def _late(given: Any, settings: Settings) -> Reranker:
    from fresco.rerank.late import LateInteraction

    return LateInteraction(given, settings)


def _function(given: Any, _settings: Settings) -> Reranker:
    name = getattr(given, "__name__", None) or type(given).__name__
    return FunctionReranker(given, name.strip("<>"))


# In order: a library's models can be called, too, and are no functions of (query, passages).
_ADAPTERS: tuple[tuple[Callable[[Any], bool], Callable[[Any, Any], Reranker]], ...] = (
    (_is_a("sentence_transformers", "CrossEncoder"), _cross_encoder),
    (_is_a("sentence_transformers", "SentenceTransformer"), _dense),
    (_is_a("sentence_transformers", "SparseEncoder"), _sparse),
    (_is_a("sentence_transformers", "MultiVectorEncoder"), _late),
    (_is_a("rerankers", "BaseRanker"), lambda given, _: RankReranker(given, type(given).__name__)),
    (lambda given: callable(given) and not isinstance(given, type) and not hasattr(given, "forward"), _function),
)
