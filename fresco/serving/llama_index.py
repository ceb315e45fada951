"""LlamaIndex's node postprocessor over a :class:`fresco.serving.FreshReranker`; ``pip install llama-index-core``."""

from __future__ import annotations

from typing import Any

from fresco.errors import FrescoError
from fresco.serving.adapting import DATE_KEY, dated, missing
from fresco.serving.fresh import FreshReranker

try:
    from llama_index.core.bridge.pydantic import ConfigDict
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle
except ImportError as error:
    raise missing("llama-index-core", error) from error


class FreshPostprocessor(BaseNodePostprocessor):  # type: ignore[misc]
    """Puts a query's nodes in order; the model reads a node's text without its metadata, and its date.

    Attributes:
        reranker: The base and its cure.
        date_key: Under which a node's metadata holds its date.
        top_k: How many to keep; all where None.
        asked_at: The time that questions are about; now where None.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    reranker: FreshReranker
    date_key: str = DATE_KEY
    top_k: int | None = None
    asked_at: Any = None

    @classmethod
    def class_name(cls) -> str:
        """As LlamaIndex names it."""
        return "FreshPostprocessor"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise FrescoError("FreshPostprocessor ranks nodes for a question: give query_bundle or query_str")
        read = [
            dated(each.node.get_content(metadata_mode=MetadataMode.NONE), each.node.metadata, self.date_key)
            for each in nodes
        ]
        ranked = self.reranker.rerank(query_bundle.query_str, read, asked_at=self.asked_at, top_k=self.top_k)
        return [NodeWithScore(node=nodes[each.index].node, score=each.score) for each in ranked]
