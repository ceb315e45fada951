"""``sparse:MODEL``: learned sparse retrieval (SPLADE, arXiv 2109.10086) by sentence-transformers' ``SparseEncoder``.

A text becomes one weight for each word piece of the vocabulary, most of them 0; the score is the inner product unless
the model says otherwise. A masked language model is pooled as SPLADE does (the largest ``log(1 + relu(logit))`` of a
piece over the text's tokens). :mod:`fresco.rerank.embedder` says what becomes of the texts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.in_memory import ModelInMemory
from fresco.models.settings import Settings
from fresco.rerank.embedder import Embedder, EmbeddingReranker
from fresco.rerank.registry import MODELS_EXTRA, RERANKERS

if TYPE_CHECKING:
    import torch

_FAMILY = "sparse"


class Sparse(EmbeddingReranker):
    """Scores pairs by the similarity of their weights over the vocabulary.

    Attributes:
        name: ``sparse:MODEL``.
        truncated: Distinct passages whose end this process cut.
    """

    family = _FAMILY

    def __init__(self, model: str | Any, settings: Settings, *, revision: str | None = None) -> None:
        """Check the model's files; weights load at the first score.

        Args:
            model: A folder, a Hugging Face model id, or a ``SparseEncoder`` that is loaded already.
            settings: Device, dtype, lengths.
            revision: Branch, tag or commit of a hub model.

        Raises:
            FrescoError: the model cannot be found, or is no sparse encoder.
        """
        super().__init__(loading.find_or_hold(_FAMILY, model, settings, revision), settings)
        if not _is_sparse(self._files):
            # The library would put an autoencoder of random weights behind it and only log that.
            raise FrescoError(
                f"{self.name}: {self._files.architecture} is neither a masked language model nor saved as a "
                f"SparseEncoder; an embedding model is dense:{self._files.model}"
            )

    def _load(self) -> _Weights:
        return _Weights(self._files, self._settings, "SparseEncoder")

    def _details(self, loaded: Embedder | None) -> Mapping[str, Any]:
        return {"score": f"{loaded.similarity} of sparse weights" if loaded else None}


class _Weights(Embedder):
    """Weights over the vocabulary. Queries wait for their passages without their zeros, and are compared with them."""

    def _embedded(self, task: str, batch: Sequence[str]) -> list[torch.Tensor]:
        rows = self._encode(task, batch, convert_to_sparse_tensor=False).float()
        return [row.to_sparse() for row in rows] if task == "query" else list(rows)

    def _similarities(self, queries: Sequence[torch.Tensor], documents: Sequence[torch.Tensor]) -> torch.Tensor:
        import torch

        asked = torch.stack([query.to_dense() for query in queries])
        found: torch.Tensor = self._model.similarity_pairwise(asked, torch.stack(list(documents)))
        return found


def _is_sparse(files: loading.Model) -> bool:
    saved = files.json("config_sentence_transformers.json").get("model_type")
    if isinstance(files, ModelInMemory) or saved is not None:
        return saved == "SparseEncoder"
    return files.architecture.endswith("ForMaskedLM")


@RERANKERS.register(
    "sparse:MODEL",
    "a SPLADE model (sentence-transformers)",
    needs=MODELS_EXTRA,
    example="ORGANISATION/NAME or sparse:./folder",
    instruction="no",
)
def _open(model: str, settings: Settings) -> Sparse:
    return Sparse(model, settings)
