"""A re-ranker with its cure as plain Python: a question and dated documents in, the documents in order out.

    from fresco.serving import FreshReranker

    reranker = FreshReranker("cross-encoder:BAAI/bge-reranker-v2-m3", "recency.json")
    reranker.rerank("Who leads the ECB?", [{"text": "...", "date": "2024-05-01"}, ...], top_k=5)

A document without a date is shown to the model without one, and the prior takes it for as old as the median of those
that have one: a missing date is neither fresh nor stale.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError
from fresco.io.names import short
from fresco.models.settings import Settings
from fresco.records import Candidates, Kind, Passage, Query, Task
from fresco.rerank.base import Reranker, as_wrapper
from fresco.rerank.conformance import BadScoresError, named_failures, read_scores
from fresco.rerank.open import as_reranker
from fresco.rerank.recency import Recency, load_recency

#: Keys under which a mapping's text and date are looked for, in this order.
_TEXTS = ("text", "content", "contents", "page_content")
_DATES = ("date", "timestamp")


@dataclass(frozen=True)
class Document:
    """What is to be ranked.

    Attributes:
        text: What a model reads.
        date: When it was written or last changed, aware; None where unknown.
        title: Shown before the text where there is one.
        metadata: Whatever else belongs to it; handed back.
    """

    text: str
    date: datetime | None = None
    title: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ranked:
    """A document in its place.

    Attributes:
        index: Its place among the documents that were given.
        score: Comparable inside one answer only.
        document: The document.
    """

    index: int
    score: float
    document: Document


class FreshReranker:
    """A base re-ranker and its cure; safe to share between threads, which then take turns.

    Args:
        base: Whatever ``fresco.score`` takes for a re-ranker: a spec, a ``CrossEncoder``, a function, ...
        cure: A ``recency.json``, its content, or None where the base itself is the cure (a fine-tuned model).
        show_dates: Whether the model reads the dates, as the last line of question and document.
        settings: For a base that a spec names.

    Raises:
        FrescoError: the base cannot be opened or the file is no cure.
    """

    def __init__(
        self,
        base: Any,
        cure: str | Path | Recency | None = None,
        *,
        show_dates: bool = True,
        settings: Settings | None = None,
    ) -> None:
        opened = as_reranker(base, settings or Settings())
        recency = load_recency(cure) if isinstance(cure, str | Path) else cure
        self.reranker: Reranker = opened if recency is None else recency.over(opened)
        self.cure, self.show_dates = recency, show_dates
        self._turn = threading.Lock()

    @property
    def name(self) -> str:
        """Of the base and its cure."""
        return self.reranker.name

    def rerank(
        self, query: str, documents: Sequence[Any], *, asked_at: Any = None, top_k: int | None = None
    ) -> list[Ranked]:
        """The documents, best first; of equal scores the one given first.

        Args:
            query: The question.
            documents: Texts, mappings with ``text`` and ``date``, or :class:`Document` objects.
            asked_at: The time that the question is about; now where None.
            top_k: How many to give back; all where None.

        Raises:
            FrescoError: something is no document or no date, or the base failed.
        """
        return self.rerank_many([(query, documents, asked_at)], top_k=top_k)[0]

    def rerank_many(
        self, requests: Sequence[tuple[str, Sequence[Any], Any]], *, top_k: int | None = None
    ) -> list[list[Ranked]]:
        """Several questions at once, each as in :meth:`rerank`: ``(query, documents, asked_at)``."""
        read = [(as_text(query), [as_document(each) for each in documents], at) for query, documents, at in requests]
        pools = [self._pool(query, documents, asked) for query, documents, asked in read]
        with self._turn:
            scores = _score(self.reranker, pools)
        answers = []
        for (_, documents, _), own in zip(read, scores, strict=True):
            order = sorted(range(len(own)), key=lambda place: -own[place])
            answers.append([Ranked(place, own[place], documents[place]) for place in order[:top_k]])
        return answers

    def _pool(self, query: str, documents: Sequence[Document], asked_at: Any) -> Candidates:
        when = as_time(asked_at) or datetime.now(UTC)
        dates = sorted(each.date for each in documents if each.date is not None)
        unknown = dates[len(dates) // 2] if dates else when
        passages = [
            Passage(str(place), each.title, "", each.text, each.date or unknown, self.show_dates and bool(each.date))
            for place, each in enumerate(documents)
        ]
        return Query("q", query, when, Task.EK, Kind.IMPLICIT, "", dated=self.show_dates), passages


def as_document(given: Any) -> Document:
    """A document from whatever may stand for one; see :meth:`FreshReranker.rerank`.

    Raises:
        FrescoError: it has no text, or its date cannot be read.
    """
    if isinstance(given, Document):
        as_text(given.title)
        return dataclasses.replace(given, text=as_text(given.text), date=as_time(given.date))
    if isinstance(given, str):
        return Document(as_text(given))
    if isinstance(given, Mapping):
        metadata = given.get("metadata")
        metadata = metadata if isinstance(metadata, Mapping) else {}
        text = next((given[key] for key in _TEXTS if isinstance(given.get(key), str)), None)
        when = next((own[key] for own in (given, metadata) for key in _DATES if own.get(key) not in (None, "")), None)
        if text is not None:
            title = given.get("title")
            return Document(as_text(text), as_time(when), as_text(title) if isinstance(title, str) else "", metadata)
    raise FrescoError(f"{short(given)} is no document; give a text, or a mapping with text and date")


def as_text(given: str) -> str:
    """The same text, if it is one: half of a pair of surrogates is none, and tokenizers fail on it.

    Raises:
        FrescoError: it is none.
    """
    try:
        given.encode()
    except UnicodeEncodeError as error:
        raise FrescoError(f"{short(given)} is no Unicode text (half a surrogate pair at {error.start + 1})") from None
    return given


def as_time(given: Any) -> datetime | None:
    """An aware time from a date, a time, ISO 8601 text or seconds since 1970; what has no zone is in UTC.

    An empty text is how many stores say that there is no date.

    Raises:
        FrescoError: it is none of these.
    """
    if given is None or (isinstance(given, str) and not given.strip()):
        return None
    try:
        if isinstance(given, int | float) and not isinstance(given, bool):
            return datetime.fromtimestamp(given, UTC)
        read = datetime.fromisoformat(given) if isinstance(given, str) else given
        if isinstance(read, datetime):
            return (read if read.tzinfo else read.replace(tzinfo=UTC)).astimezone(UTC)
        if isinstance(read, date):
            return datetime.combine(read, time(), UTC)
    except (ValueError, OverflowError, OSError):
        pass
    raise FrescoError(f"{short(given)} is no date; write it as 2024-05-01 or 2024-05-01T12:00:00Z")


def _score(reranker: Reranker, pools: Sequence[Candidates]) -> list[list[float]]:
    """Scores of each pool, by the widest call that the re-ranker offers."""
    wrapper = as_wrapper(reranker)
    if wrapper is not None:
        below = _score(wrapper.base, pools)
        made: list[Any] = [wrapper.fuse(*pool, own) for pool, own in zip(pools, below, strict=True)]
    else:
        made = _own_scores(reranker, pools)
    try:
        return [read_scores(own, len(passages)) for (_, passages), own in zip(pools, made, strict=True)]
    except BadScoresError as error:
        raise FrescoError(f"{reranker.name}: {error}") from None


def _own_scores(reranker: Any, pools: Sequence[Candidates]) -> list[Any]:
    with named_failures(reranker):
        fit = getattr(reranker, "fit", None)
        if callable(fit):
            # No corpus is at hand: the statistics are those of one question's documents, whoever else asks meanwhile.
            made = []
            for query, passages in pools:
                if passages:
                    fit(passages)
                made.append(reranker.score(query, passages, None) if passages else [])
            return made
        if getattr(reranker, "pointwise", False) and hasattr(reranker, "score_batches"):
            pairs = [(query, passage) for query, passages in pools for passage in passages]
            flat: list[float] = [0.0] * len(pairs)
            for places, scores in reranker.score_batches(pairs, None, lambda _: False):
                for place, score in zip(places, scores, strict=True):
                    flat[int(place)] = float(score)
            values = iter(flat)
            return [[next(values) for _ in passages] for _, passages in pools]
        return [reranker.score(query, passages, None) if passages else [] for query, passages in pools]
