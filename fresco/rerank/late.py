"""``late:MODEL``: late interaction (ColBERT, arXiv 2004.12832) by sentence-transformers' ``MultiVectorEncoder``.

Every token has a vector; the score is the sum, over the query's tokens, of the largest inner product with a token of
the passage (MaxSim). Models that PyLate or Stanford's ColBERT saved load as they are: markers, query expansion,
projection and the punctuation that is left out come from their files.

One thing differs from the published code: it cuts a query at the model's query length (32 tokens by default), and the
date stands at a query's end. A longer query is read whole here; a shorter one is expanded to that length as published.
:mod:`fresco.rerank.embedder` says what else becomes of the texts.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.settings import Settings
from fresco.rerank.embedder import Embedder, EmbeddingReranker
from fresco.rerank.registry import MODELS_EXTRA, RERANKERS

if TYPE_CHECKING:
    import torch

_FAMILY = "late"
_SAVED_AS = ("MultiVectorEncoder", "ColBERT")  # the library's own; PyLate's
_PYLATE = {"query_prefix", "document_prefix", "query_length"}  # by which PyLate's older saves are known
_STANFORD = "HF_ColBERT"


class LateInteraction(EmbeddingReranker):
    """Scores pairs by the largest similarities of their tokens.

    Attributes:
        name: ``late:MODEL``.
        truncated: Distinct passages whose end this process cut.
    """

    family = _FAMILY

    def __init__(self, model: str | Any, settings: Settings, *, revision: str | None = None) -> None:
        """Check the model's files; weights load at the first score.

        Args:
            model: A folder, a Hugging Face model id, or a ``MultiVectorEncoder`` that is loaded already.
            settings: Device, dtype, lengths.
            revision: Branch, tag or commit of a hub model.

        Raises:
            FrescoError: the model cannot be found, or is no late-interaction model.
        """
        super().__init__(loading.find_or_hold(_FAMILY, model, settings, revision), settings)
        config = self._files.json("config_sentence_transformers.json")
        known = config.get("model_type") in _SAVED_AS or config.keys() >= _PYLATE
        if not known and self._files.architecture != _STANFORD:
            # The library would project its tokens by random weights and only log that.
            raise FrescoError(
                f"{self.name}: {self._files.architecture} was not saved by PyLate, ColBERT or as a MultiVectorEncoder; "
                f"an embedding model is dense:{self._files.model}"
            )

    def _load(self) -> _TokenVectors:
        return _TokenVectors(self._files, self._settings, "MultiVectorEncoder")

    def _details(self, loaded: Embedder | None) -> Mapping[str, Any]:
        return {"score": loaded.similarity if loaded else None}


class _TokenVectors(Embedder):
    """One vector a token."""

    def _set_lengths(self, settings: Settings, held: bool) -> int:
        first, most = self._model[0], self.limit
        expansion = first.query_expansion
        if held:
            self.limit = min(most, first.document_length or sys.maxsize)
            fixed = expansion["length"] if expansion and expansion["strategy"] == "fixed" else None
            return min(most, fixed or first.query_length or sys.maxsize)
        if settings.max_length is None and first.document_length:
            self.limit = min(most, first.document_length)
        first.document_length = self.limit
        first.query_length = None
        self._model.max_seq_length = most
        if expansion:
            first.query_expansion = {**expansion, "strategy": "min"}  # of shorter queries it makes the same
        return most

    def _embedded(self, task: str, batch: Sequence[str]) -> list[torch.Tensor]:
        return [each.float() for each in self._encode(task, batch)]

    def _similarities(self, queries: Sequence[torch.Tensor], documents: Sequence[torch.Tensor]) -> torch.Tensor:
        found: torch.Tensor = self._model.similarity_pairwise(list(queries), list(documents))
        return found


@RERANKERS.register(
    "late:MODEL",
    "late interaction: a ColBERT or PyLate model (sentence-transformers)",
    needs=MODELS_EXTRA,
    example="ORGANISATION/NAME or late:./folder",
    instruction="no",
)
def _open(model: str, settings: Settings) -> LateInteraction:
    return LateInteraction(model, settings)
