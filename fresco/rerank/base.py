"""What a re-ranker is: a name, whether it takes an instruction, and one score for each passage of a pool.

The protocol is small on purpose. A plug-in needs three members::

    class Longest:
        name = "longest"
        takes_instruction = False

        def score(self, query, passages, instruction=None):
            return [float(len(passage.text)) for passage in passages]

Everything else is optional and looked up by name:

``pointwise`` (bool, default False)
    A passage's score does not depend on the other passages of its pool. Then scores are stored for each pair and
    shared between pools; otherwise they belong to the whole pool.
``score_pools(pools, instruction=None)``
    Several pools at once: a list of ``(query, passages)`` in, a list of score lists out. ``pools_per_call`` (int,
    default 16) says how many the runner hands over at a time.
``score_batches(pairs, instruction, is_done)``
    Pointwise models that batch over the whole run; see :class:`BatchScorer`.
``fit(passages)``
    Called once with every passage of the benchmark before the first score (corpus statistics).
``fingerprint`` (str)
    Identity of everything that can change a score: weights, template, settings. Stored scores are found by it. The
    scores of a re-ranker without one are not kept between runs: it might read its weights from a file that changed.
``by_id`` (bool, default False)
    It looks scores up by ids and reads no text; texts that a measure makes up are not shown to it.
``tolerance`` (float, default 0.001)
    By how much two scorings of one pair may differ and still be the same score, relative to the larger of them and 1:
    other batches and devices add floats in another order. Half precision wants about 0.02.
``describe()``
    A mapping for the run's record: model, revision, dtype, device, template.
``close()``
    Gives back what the re-ranker holds (a connection, a model).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from fresco.io.foreign import foreign_code
from fresco.records import Pair, Passage, Query

#: Of re-rankers that do not say: float32 on another device stays well below it.
DEFAULT_TOLERANCE = 1e-3


@runtime_checkable
class Reranker(Protocol):
    """What every re-ranker has; plain attributes will do for the first two."""

    @property
    def name(self) -> str:
        """How it is called in tables and files: the spec, for the built-in ones."""
        ...

    @property
    def takes_instruction(self) -> bool:
        """Whether an instruction changes its scores."""
        ...

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> Sequence[float]:
        """Score one pool.

        Args:
            query: ``query.text`` is what a model reads, timestamp line included.
            passages: ``passage.text`` likewise; ``passage.timestamp`` is the date itself.
            instruction: None for the model's own default. Ignored where ``takes_instruction`` is False.

        Returns:
            One float for each passage, in order; higher is better. NaN is an error, never a rank.
        """
        ...


class Wrapper(Protocol):
    """A re-ranker over another's scores.

    The runner scores ``base`` through the store and calls :meth:`fuse`, so the base model is paid for once, whether it
    is ranked by itself, under a prior, or both. A wrapper with an attribute ``instruction`` has its base scored under
    that one (None: the base's default); without one, the run's instruction is passed on.
    """

    base: Reranker

    def fuse(self, query: Query, passages: Sequence[Passage], base_scores: Sequence[float]) -> Sequence[float]:
        """Turn the base's scores of one pool, shape (passages,), into this re-ranker's."""
        ...


class BatchScorer(Protocol):
    """A pointwise model that plans its batches over the whole run (see :mod:`fresco.models.batching`)."""

    def score_batches(
        self, pairs: Sequence[Pair], instruction: str | None, is_done: Callable[[Sequence[int]], bool]
    ) -> Iterator[tuple[Sequence[int], Sequence[float]]]:
        """Score pairs in batches that depend on the pairs and the settings alone.

        Args:
            pairs: Every distinct pair of the run.
            instruction: As for :meth:`Reranker.score`.
            is_done: Whether the scores of these pairs are stored. Such a batch is skipped whole; a batch is never made
                smaller, so that an interrupted run and an undisturbed one compute the same bits.

        Yields:
            Indices into ``pairs`` and their scores.
        """
        ...


def as_wrapper(reranker: Reranker) -> Wrapper | None:
    """The re-ranker as a wrapper, where it is one."""
    model: Any = reranker
    if not callable(getattr(model, "fuse", None)) or getattr(model, "base", None) is None:
        return None
    wrapper: Wrapper = model
    return wrapper


def is_pointwise(reranker: Reranker) -> bool:
    """Whether a pair's score may be stored and reused for the pair alone."""
    return bool(getattr(reranker, "pointwise", False))


def own_fingerprint(reranker: Reranker) -> str | None:
    """What the re-ranker itself says its scores depend on; None where it, or the one under its wrappers, says nothing.

    Scores without one are good for one run: nobody can tell whether the next one would make the same.
    """
    own = getattr(reranker, "fingerprint", None)
    if isinstance(own, str) and own:
        return own
    wrapper = as_wrapper(reranker)
    return None if wrapper is None else own_fingerprint(wrapper.base)


def fingerprint(reranker: Reranker) -> str:
    """What stored scores are found by, and what the record says; see the module's text for ``fingerprint``."""
    own = getattr(reranker, "fingerprint", None)
    if isinstance(own, str) and own:
        return own
    kind = type(reranker)
    return f"{kind.__module__}:{kind.__qualname__}:{reranker.name}:unknown"


def tolerance_of(reranker: Reranker) -> float:
    """The largest relative difference between two scorings of a pair that is rounding; see the module's text."""
    return float(getattr(reranker, "tolerance", DEFAULT_TOLERANCE))


def describe(reranker: Reranker) -> Mapping[str, Any]:
    """The re-ranker's own words for the run's record, never missing its name; plain JSON values.

    Raises:
        FrescoError: they are no mapping, or cannot be written as JSON.
    """
    own = getattr(reranker, "describe", None)
    if not callable(own):
        return {"name": reranker.name}
    with foreign_code(f"{reranker.name}: describe() failed"):
        said: dict[str, Any] = json.loads(json.dumps(dict(own()), default=str))
    return {"name": reranker.name, **said}
