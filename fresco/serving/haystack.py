"""Haystack's ranker component over a :class:`fresco.serving.FreshReranker`; needs ``pip install haystack-ai``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError
from fresco.rerank.recency import Recency
from fresco.serving.adapting import DATE_KEY, dated, missing
from fresco.serving.fresh import FreshReranker

try:
    from haystack import Document, component, default_to_dict
except ImportError as error:
    raise missing("haystack-ai", error) from error


@component
class FreshRanker:
    """Puts documents in order.

    Args:
        base: As for :class:`FreshReranker`.
        cure: As there.
        date_key: Under which a document's meta holds its date.
        top_k: How many to keep; all where None.
        asked_at: The time that questions are about; now where None.
    """

    def __init__(
        self,
        base: Any,
        cure: str | Path | Recency | None = None,
        date_key: str = DATE_KEY,
        top_k: int | None = None,
        asked_at: Any = None,
    ) -> None:
        self.base, self.cure, self.date_key, self.top_k, self.asked_at = base, cure, date_key, top_k, asked_at
        self.reranker = FreshReranker(base, cure)

    @component.output_types(documents=list[Document])  # type: ignore[untyped-decorator]
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, list[Document]]:
        """The documents, best first, as copies with their scores.

        Raises:
            FrescoError: a document has no text, or its date is none.
        """
        read = []
        for each in documents:
            if each.content is None:
                raise FrescoError(f"document {each.id} has no text to rank; leave it out")
            read.append(dated(each.content, each.meta, self.date_key))
        kept = self.top_k if top_k is None else top_k
        ranked = self.reranker.rerank(query, read, asked_at=self.asked_at, top_k=kept)
        return {"documents": [dataclasses.replace(documents[each.index], score=each.score) for each in ranked]}

    def to_dict(self) -> dict[str, Any]:
        """For a pipeline's file.

        Raises:
            FrescoError: base or cure is an object, which no file can hold.
        """
        if not isinstance(self.base, str) or isinstance(self.cure, Recency):
            raise FrescoError("a pipeline's file holds names only: give the base as a spec and the cure as a path")
        cure = None if self.cure is None else str(self.cure)
        when = None if self.asked_at is None else str(self.asked_at)
        written: dict[str, Any] = default_to_dict(
            self, base=self.base, cure=cure, date_key=self.date_key, top_k=self.top_k, asked_at=when
        )
        return written
