"""Parts that somebody brought along: what they raise becomes one line, and what they give back is checked.

:mod:`ccs.testing` asks the same questions with the same words, so a part that passes there is not refused here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory
from ccs.retrieve.base import Retriever
from ccs.rewards.base import Reward
from ccs.rewards.mask.base import TAGS, Masker, Span
from fresco.errors import FrescoError
from fresco.io.foreign import foreign_code


def read_scores(values: Any, batch: Sequence[Trajectory], what: str) -> list[float | None]:
    """The numbers of a reward.

    Raises:
        FrescoError: not one finite number or None for each trajectory.
    """
    found = _listed(values, len(batch), f"{what}: score", "trajectories")
    for number, value in enumerate(found):
        if value is not None and not _is_number(value):
            raise FrescoError(f"{what}: score {number} is {value!r:.60}; a finite number or None is wanted")
    return [None if value is None else float(value) for value in found]


def read_spans(values: Any, texts: Sequence[str], what: str) -> list[list[Span]]:
    """The spans of a masker.

    Raises:
        FrescoError: not one list for each text, or a span that is empty, reaches past its text or has another tag.
    """
    found = _listed(values, len(texts), f"{what}: spans", "texts")
    for text, spans in zip(texts, found, strict=True):
        for span in _listed(spans, None, f"{what}: the spans of {text!r:.40}", ""):
            if not isinstance(span, Span):
                raise FrescoError(f"{what}: gave {span!r:.60}; a ccs.rewards.mask.Span is wanted")
            if not (isinstance(span.start, int) and isinstance(span.end, int) and 0 <= span.start < span.end):
                raise FrescoError(f"{what}: {span} is empty or begins before its text")
            if span.end > len(text):
                raise FrescoError(f"{what}: {span} reaches past {text!r:.40}, which has {len(text)} characters")
            if span.tag not in TAGS:
                raise FrescoError(f"{what}: the tag of {span} is none of {', '.join(TAGS)}")
    return [list(spans) for spans in found]


def read_hits(values: Any, queries: Sequence[str], k: int, what: str) -> list[list[Hit]]:
    """The passages of a retriever.

    Raises:
        FrescoError: not one list of at most ``k`` hits for each query, or a hit without text.
    """
    found = _listed(values, len(queries), f"{what}: search", "queries")
    for query, hits in zip(queries, found, strict=True):
        for hit in _listed(hits, None, f"{what}: what it found for {query!r:.40}", ""):
            if not isinstance(hit, Hit):
                raise FrescoError(f"{what}: found {hit!r:.60}; a ccs.agent.trajectory.Hit is wanted")
            if not isinstance(hit.id, str) or not isinstance(hit.contents, str) or not hit.contents.strip():
                raise FrescoError(f"{what}: id and contents of {hit!r:.80} must be text, and contents not empty")
            if hit.score is not None and not _is_number(hit.score):
                raise FrescoError(f"{what}: the score of {hit!r:.80} is no finite number")
        if len(hits) > k:
            raise FrescoError(f"{what}: found {len(hits)} passages for {query!r:.40}, and {k} were wanted")
    return [list(hits) for hits in found]


class ForeignReward:
    """A reward that somebody brought along; see the module's text."""

    def __init__(self, inner: Reward, spec: str) -> None:
        self._inner, self._what = inner, f"reward {spec}"
        self.name, self.fingerprint = inner.name, inner.fingerprint
        self.needs_gold, self.signed = inner.needs_gold, inner.signed

    def score(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[float | None]:
        """See :class:`ccs.rewards.base.Reward`."""
        with foreign_code(f"{self._what}: score failed"):
            values = self._inner.score(batch, questions)
            return read_scores(values, batch, self._what)


class ForeignMasker:
    """A masker that somebody brought along; see the module's text."""

    def __init__(self, inner: Masker, spec: str) -> None:
        self._inner, self._what = inner, f"mask.masker {spec}"
        self.name, self.fingerprint = inner.name, inner.fingerprint

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """See :class:`ccs.rewards.mask.base.Masker`."""
        with foreign_code(f"{self._what}: spans failed"):
            return read_spans(self._inner.spans(texts), texts, self._what)


class ForeignRetriever:
    """A retriever that somebody brought along; see the module's text."""

    def __init__(self, inner: Retriever, spec: str) -> None:
        self._inner, self._what = inner, f"--retriever {spec}"
        self.name = getattr(inner, "name", spec)

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See :class:`ccs.retrieve.base.Retriever`."""
        try:
            return read_hits(self._inner.search(queries, k), queries, k, self._what)
        except FrescoError:
            raise
        except Exception as error:  # searches run in many threads: standard output is left alone here
            said = " ".join(str(error).split())
            raise FrescoError(f"{self._what}: search failed: {type(error).__name__}: {said}") from error


def _listed(values: Any, count: int | None, what: str, of: str) -> list[Any]:
    if isinstance(values, str | bytes | Mapping) or not hasattr(values, "__iter__") or not hasattr(values, "__len__"):
        raise FrescoError(f"{what} gave {values!r:.60}; a list is wanted")
    if count is not None and len(values) != count:
        raise FrescoError(f"{what} gave {len(values)} for {count} {of}")
    return list(values)


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, bool | str) and math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError):
        return False
