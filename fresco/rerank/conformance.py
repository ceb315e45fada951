"""What a re-ranker must be and do: one set of checks, for ``fresco score`` and for :mod:`fresco.testing`.

Both refuse the same plug-ins, because both ask here. Members are looked at before anything is scored; how it behaves is
tried on a few small pools (the command takes its own, the tests take hostile ones). What is measured between two
scorings of the same pair may differ by ``reranker.tolerance``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import AbstractContextManager
from itertools import islice
from typing import Any

from fresco.io.foreign import foreign_code
from fresco.records import Candidates, Pair, Passage, Query
from fresco.rerank.base import Reranker, describe, is_pointwise, tolerance_of


class NotConformingError(Exception):
    """What a re-ranker does that the protocol does not allow, in one line."""


class BadScoresError(NotConformingError):
    """Scores that cannot be taken for a pool.

    Attributes:
        count: How many there are, where that is what is wrong.
        place: The passage whose score is wrong, where it is a score.
        value: That score.
    """

    def __init__(self, said: str, *, count: int | None = None, place: int | None = None, value: object = None) -> None:
        super().__init__(said)
        self.count, self.place, self.value = count, place, value


def read_scores(scores: Any, passages: int) -> list[float]:
    """The scores of a pool as floats: from a list, a generator, a numpy array, a torch tensor.

    Raises:
        BadScoresError: they are not as many as the passages, one is no finite number, or they have no order.
    """
    plain = scores.tolist() if hasattr(scores, "tolist") else scores  # one copy from a device, not one for each score
    if isinstance(plain, str | bytes | Mapping | set | frozenset) or not isinstance(plain, Iterable):
        raise BadScoresError(f"a {type(scores).__name__} is no list of scores; return one float for each passage")
    values = list(islice(plain, passages + 1))
    if len(values) != passages:
        count = len(plain) if isinstance(plain, Sized) else len(values)  # of a generator at most one too many is read
        raise BadScoresError(f"{count} scores for {passages} passages", count=count)
    numbers = []
    for place, value in enumerate(values):
        number = _number(value)
        if number is None:
            raise BadScoresError(f"a score is NaN, infinite or no number: {value!r}", place=place, value=value)
        numbers.append(number)
    return numbers


def fault_of_name(name: object) -> str | None:
    """What is wrong with the name of a re-ranker; None where nothing is."""
    if not isinstance(name, str) or not name.strip():
        return f"its name is no text, or empty: {name!r}"
    if not name.isprintable():
        return f"its name has a line break or another character that cannot be printed: {name!r}"
    return None


def fault_of_members(reranker: Any) -> str | None:
    """What is wrong with the members of a re-ranker; None where nothing is."""
    return fault_of_name(reranker.name) or next(_faults(reranker), None)


def _faults(reranker: Any) -> Iterator[str]:
    for member in ("takes_instruction", "pointwise"):
        if not isinstance(value := getattr(reranker, member, False), bool):
            yield f"its {member} is neither True nor False: {value!r}"
    if not callable(reranker.score):
        yield "its score cannot be called"
    for member in ("score_pools", "score_batches", "fit", "describe", "close"):
        if hasattr(reranker, member) and not callable(getattr(reranker, member)):
            yield f"its {member} cannot be called"
    if not isinstance(own := getattr(reranker, "fingerprint", None), str | None):
        yield f"its fingerprint is no text: {own!r}"
    if not isinstance(size := getattr(reranker, "pools_per_call", 1), int) or size < 1:
        yield f"its pools_per_call is no whole number above zero: {size!r}"
    if not isinstance(allowed := getattr(reranker, "tolerance", 0.0), float | int) or not 0 <= allowed < 1:
        yield f"its tolerance is no number from zero to below one: {allowed!r}"


def is_foreign(reranker: Reranker) -> bool:
    """Whether scoring runs code that is not of this package; asked of the method, since a plug-in may be renamed."""
    return str(getattr(reranker.score, "__module__", "")).partition(".")[0] != "fresco"


def named_failures(reranker: Reranker) -> AbstractContextManager[None]:
    """Turns what a re-ranker raises into one line that names it; see :func:`fresco.io.foreign.foreign_code`."""

    def mend(said: str) -> str:
        return "; try a smaller --batch-tokens" if "out of memory" in said.lower() else ""

    return foreign_code(f"{reranker.name} failed", hint=mend)


def same(one: float, other: float, tolerance: float) -> bool:
    """Whether two scorings of a pair may be taken for the same score."""
    return abs(one - other) <= tolerance * max(1.0, abs(one), abs(other))


def check_behaviour(
    reranker: Reranker,
    pools: Sequence[Candidates],
    *,
    tolerance: float | None = None,
    instruction: str | None = "Prefer the newest.",
) -> None:
    """Prove on small pools that a re-ranker keeps the protocol; it is fitted and its members are right.

    Args:
        reranker: Ready to score.
        pools: At least one; the first with three passages or more, where it is to be told from a listwise one.
        tolerance: Instead of the re-ranker's own.
        instruction: Tried where it takes one.

    Raises:
        NotConformingError: the first thing found wrong.
        FrescoError: the re-ranker raised something.
    """
    with named_failures(reranker):
        _Trial(reranker, pools, tolerance_of(reranker) if tolerance is None else tolerance).run(instruction)


class _Trial:
    def __init__(self, reranker: Reranker, pools: Sequence[Candidates], tolerance: float) -> None:
        self.reranker, self.pools, self.tolerance = reranker, pools, tolerance
        self.model: Any = reranker

    def run(self, instruction: str | None) -> None:
        own = getattr(self.reranker, "describe", None)
        if own is not None and not isinstance(own(), Mapping):
            raise NotConformingError("describe gives no mapping")
        reference = [self.scored(query, passages) for query, passages in self.pools]
        again = [self.scored(query, passages) for query, passages in self.pools]
        self.same(reference, again, "score gives other values when called again")
        query, passages = self.pools[0]
        self.scored(query, passages[:1], "score of a pool of one")
        if self.reranker.takes_instruction and instruction is not None:
            self.scored(query, passages, "score with an instruction", instruction)
        if is_pointwise(self.reranker):
            self.pointwise(reference)
        if hasattr(self.model, "score_pools"):
            self.together(reference)
        if hasattr(self.model, "score_batches"):
            self.batches(reference)
        describe(self.reranker)

    def scored(
        self, query: Query, passages: Sequence[Passage], what: str = "score", instruction: str | None = None
    ) -> list[float]:
        """One pool, asked for exactly as the runner asks."""
        return _read(self.reranker.score(query, list(passages), instruction), len(passages), what)

    def pointwise(self, reference: Sequence[Sequence[float]]) -> None:
        query, passages = self.pools[0]
        backwards = list(reversed(self.scored(query, list(reversed(passages)))))
        self.same([reference[0]], [backwards], "pointwise, but a score depends on the order of the pool")
        middle = slice(len(passages) // 5, len(passages) // 2 + 1)
        part = self.scored(query, passages[middle])
        self.same([reference[0][middle]], [part], "pointwise, but a score depends on the rest of the pool")

    def together(self, reference: Sequence[Sequence[float]]) -> None:
        pools = [(query, list(passages)) for query, passages in self.pools]
        lists = list(self.model.score_pools(pools, None))
        if len(lists) != len(pools):
            raise NotConformingError(f"score_pools: {len(lists)} score lists for {len(pools)} pools")
        scores = [_read(own, len(passages), "score_pools") for own, (_, passages) in zip(lists, pools, strict=True)]
        self.same(reference, scores, "score_pools and score differ")

    def batches(self, reference: Sequence[Sequence[float]]) -> None:
        pairs: list[Pair] = [(query, passage) for query, passages in self.pools for passage in passages]
        flat = [score for scores in reference for score in scores]
        seen: dict[int, float] = {}
        for given, scores in self.model.score_batches(pairs, None, lambda _: False):
            indices = [int(index) for index in given]
            values = _read(scores, len(indices), "score_batches")
            if seen.keys() & set(indices):
                raise NotConformingError("score_batches yields a pair twice")
            seen.update(zip(indices, values, strict=True))
        if sorted(seen) != list(range(len(pairs))):
            raise NotConformingError("score_batches leaves pairs out")
        self.same([flat], [[seen[index] for index in range(len(pairs))]], "score_batches and score differ")
        asked: list[int] = []

        def is_done(indices: Sequence[int]) -> bool:
            asked.extend(int(index) for index in indices)
            return True

        if list(self.model.score_batches(pairs, None, is_done)):
            raise NotConformingError("score_batches scores what is_done says is done")
        if sorted(asked) != list(range(len(pairs))):
            raise NotConformingError("score_batches does not ask is_done about every pair")

    def same(self, expected: Sequence[Sequence[float]], got: Sequence[Sequence[float]], what: str) -> None:
        for left, right in zip(expected, got, strict=True):
            for one, other in zip(left, right, strict=True):
                if not same(one, other, self.tolerance):
                    allowed = self.tolerance * max(1.0, abs(one), abs(other))
                    raise NotConformingError(f"{what}: by {abs(one - other):.3g}, allowed {allowed:.3g}")


def _read(scores: Any, passages: int, what: str) -> list[float]:
    try:
        return read_scores(scores, passages)
    except BadScoresError as error:
        raise NotConformingError(f"{what}: {error}") from None


def _number(value: Any) -> float | None:
    if isinstance(value, str | bytes):  # float("3") would do
        return None
    try:
        number = float(value)
    except Exception:  # whatever an object's own conversion raises
        return None
    return number if math.isfinite(number) else None
