"""A ranker of the ``rerankers`` library over a :class:`fresco.serving.FreshReranker`; ``pip install rerankers``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fresco.serving.adapting import DATE_KEY, dated, missing
from fresco.serving.fresh import FreshReranker

try:
    from rerankers.documents import Document
    from rerankers.models.ranker import BaseRanker
    from rerankers.results import RankedResults, Result
    from rerankers.utils import prep_docs
except ImportError as error:
    raise missing("rerankers", error) from error


class FreshRanker(BaseRanker):  # type: ignore[misc]
    """Ranks as the library's own rankers do.

    Args:
        reranker: The base and its cure.
        date_key: Under which a document's metadata holds its date.
        asked_at: The time that questions are about; now where None.
    """

    def __init__(self, reranker: FreshReranker, date_key: str = DATE_KEY, asked_at: Any = None) -> None:
        self.reranker, self.date_key, self.asked_at = reranker, date_key, asked_at

    def rank(
        self,
        query: str,
        docs: str | Document | Sequence[str | Document],
        doc_ids: Sequence[str | int] | None = None,
        metadata: Sequence[dict[str, Any]] | None = None,
    ) -> RankedResults:
        """The documents, best first, ranks from 1."""
        given = [docs] if isinstance(docs, str | Document) else list(docs)
        prepared = prep_docs(given, doc_ids, metadata) if given else []
        read = [dated(each.text, each.metadata, self.date_key) for each in prepared]
        ranked = self.reranker.rerank(query, read, asked_at=self.asked_at)
        results = [
            Result(document=prepared[each.index], score=each.score, rank=rank) for rank, each in enumerate(ranked, 1)
        ]
        return RankedResults(results=results, query=query, has_scores=True)

    def score(self, query: str, doc: str) -> float:
        """Of one text, without a date."""
        return self.reranker.rerank(query, [doc], asked_at=self.asked_at)[0].score
