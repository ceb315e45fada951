"""``dense:MODEL``: query and passage embedded apart by a sentence-transformers model, compared by its own similarity.

That is the cosine unless the model says otherwise; :mod:`fresco.rerank.embedder` says what becomes of the texts.
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

_FAMILY = "dense"


class Dense(EmbeddingReranker):
    """Scores pairs by the similarity of their embeddings.

    Attributes:
        name: ``dense:MODEL``.
        truncated: Distinct passages whose end this process cut.
    """

    family = _FAMILY

    def __init__(self, model: str | Any, settings: Settings, *, revision: str | None = None) -> None:
        """Check the model's files; weights load at the first score.

        Args:
            model: A folder, a Hugging Face model id, or a ``SentenceTransformer`` that is loaded already.
            settings: Device, dtype, lengths.
            revision: Branch, tag or commit of a hub model.

        Raises:
            FrescoError: the model cannot be found, or is no embedding model.
        """
        super().__init__(loading.find_or_hold(_FAMILY, model, settings, revision), settings)
        if self._files.architecture.endswith("ForSequenceClassification"):
            raise FrescoError(
                f"{self.name}: {self._files.architecture} scores pairs and embeds nothing; "
                f"try cross-encoder:{self._files.model}"
            )

    def _load(self) -> _OneVector:
        return _OneVector(self._files, self._settings, "SentenceTransformer")

    def _details(self, loaded: Embedder | None) -> Mapping[str, Any]:
        warning = _warning(self._files)
        return {"score": loaded.similarity if loaded else None, **({"warnings": [warning]} if warning else {})}


class _OneVector(Embedder):
    """One vector a text."""

    def _embedded(self, task: str, batch: Sequence[str]) -> list[torch.Tensor]:
        return list(self._encode(task, batch, convert_to_tensor=True).float())

    def _similarities(self, queries: Sequence[torch.Tensor], documents: Sequence[torch.Tensor]) -> torch.Tensor:
        import torch

        found: torch.Tensor = self._model.similarity_pairwise(torch.stack(list(queries)), torch.stack(list(documents)))
        return found


def _warning(files: loading.Model) -> str | None:
    """What the library makes of a model that was never trained to embed: it averages its tokens and says nothing."""
    if isinstance(files, ModelInMemory) or files.has("modules.json") or files.has("config_sentence_transformers.json"):
        return None
    kind = files.architecture
    if kind.endswith(("ForCausalLM", "ForConditionalGeneration", "ForMaskedLM")):
        return (
            f"{kind} came without sentence-transformers' files and is most likely no embedding model: the mean of its "
            "tokens is compared"
        )
    return None


@RERANKERS.register(
    "dense:MODEL",
    "a sentence-transformers embedding model",
    needs=MODELS_EXTRA,
    example="ORGANISATION/NAME or dense:./folder",
    instruction="no",
)
def _open(model: str, settings: Settings) -> Dense:
    return Dense(model, settings)
