"""LangChain's document compressor over a :class:`fresco.serving.FreshReranker`; ``pip install langchain-core``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fresco.serving.adapting import DATE_KEY, dated, missing
from fresco.serving.fresh import FreshReranker

try:
    from langchain_core.documents import BaseDocumentCompressor, Document
    from pydantic import ConfigDict
except ImportError as error:
    raise missing("langchain-core", error) from error


class FreshCompressor(BaseDocumentCompressor):  # type: ignore[misc]
    """Puts a retriever's documents in order.

    Attributes:
        reranker: The base and its cure.
        date_key: Under which a document's metadata holds its date.
        top_k: How many to keep; all where None.
        asked_at: The time that questions are about; now where None.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    reranker: FreshReranker
    date_key: str = DATE_KEY
    top_k: int | None = None
    asked_at: Any = None

    def compress_documents(self, documents: Sequence[Document], query: str, callbacks: Any = None) -> list[Document]:
        """The documents, best first, as copies with ``relevance_score`` in their metadata."""
        read = [dated(each.page_content, each.metadata, self.date_key) for each in documents]
        ranked = self.reranker.rerank(query, read, asked_at=self.asked_at, top_k=self.top_k)
        return [
            documents[each.index].model_copy(
                update={"metadata": {**documents[each.index].metadata, "relevance_score": each.score}}
            )
            for each in ranked
        ]
