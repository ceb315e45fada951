"""A re-ranker under one fixed instruction, as a row of its own in a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fresco.records import Passage, Query
from fresco.rerank.base import Reranker, describe
from fresco.rerank.layout import lay_out_one, read_layout


class Instructed:
    """Scores as ``base`` does under ``instruction``.

    A wrapper (:class:`fresco.rerank.base.Wrapper`), so that scores are shared with every other run of that instruction.

    Args:
        base: Takes an instruction; several rows share it.
        instruction: None for the base's own default.
        name: Of the row.
        last: Whether no row after this one needs the base: closing this one then closes the base.
    """

    takes_instruction = False

    def __init__(self, base: Reranker, instruction: str | None, name: str, *, last: bool) -> None:
        self.base, self.instruction, self.name = base, instruction, name
        self._last = last

    def fit(self, passages: Iterable[Passage]) -> None:
        """Pass the benchmark's passages on to a base that wants them."""
        fit = getattr(self.base, "fit", None)
        if callable(fit):
            fit(passages)

    def fuse(self, query: Query, passages: Sequence[Passage], base_scores: Sequence[float]) -> Sequence[float]:
        """The base's own scores, which the runner had made under :attr:`instruction`."""
        return base_scores

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> Sequence[float]:
        """Score one pool; see :class:`fresco.rerank.base.Reranker`."""
        layout, instruction = read_layout(self.instruction)
        return self.base.score(*lay_out_one(query, passages, layout), instruction)

    def describe(self) -> dict[str, Any]:
        """The base's words and the instruction."""
        return {**describe(self.base), "name": self.name, "instruction": self.instruction}

    def close(self) -> None:
        """Give back what the base holds once no row needs it."""
        close = getattr(self.base, "close", None)
        if self._last and callable(close):
            close()
