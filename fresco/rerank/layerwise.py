"""Language models with a scoring head at each of their upper layers, such as bge-reranker-v2-minicpm-layerwise.

The head of one layer gives the score, and the layers above it are not computed: ``causal-lm:MODEL#layer=28``; without
the option it is the last layer's. Such a model's code comes with its weights and runs under ``--trust`` alone; it takes
``cutoff_layers`` and returns for each the head's output at every token (FlagEmbedding 1.4.2, which this follows).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.batching import Batch
from fresco.models.quantized import dtype_name
from fresco.models.settings import Settings
from fresco.rerank.asked_model import AskedModel, load_language_model
from fresco.rerank.prompt_form import PromptForm

if TYPE_CHECKING:
    import torch

#: The key of the form that they were published with, in :data:`fresco.rerank.profiles.PROFILES`.
PROFILE = "bge-minicpm"


def scoring_layer(spec: str, config: dict[str, Any], wanted: int | None) -> int | None:
    """The layer whose head gives the score; None for a model that has no such heads.

    Args:
        spec: For error messages.
        config: The model's config.json.
        wanted: What the user asked for; None for the last layer.

    Raises:
        FrescoError: the model has no head there.
    """
    first, last = config.get("start_layer"), config.get("num_hidden_layers")
    if not (isinstance(first, int) and isinstance(last, int) and config.get("head_type") == "simple"):
        if wanted is not None:
            raise FrescoError(f"{spec}#layer={wanted}: this model has one output head; leave the layer out")
        return None
    if wanted is not None and not first <= wanted <= last:
        raise FrescoError(f"{spec}#layer={wanted}: it has heads at the layers {first} to {last}")
    return last if wanted is None else wanted


class LayerModel(AskedModel):
    """A loaded model, scored by one layer's head."""

    saved = 0

    def __init__(self, spec: str, files: loading.ModelFiles, settings: Settings, form: PromptForm, layer: int) -> None:
        super().__init__(spec, files, form)
        self._model, self._layer = load_language_model(files, settings), layer
        self.device = self._model.device
        self.dtype = dtype_name(self._model, settings)
        self.limit = loading.token_limit(
            spec, self._model, self._tokenizer, settings.max_length, **self.published_limit
        )

    def forward(self, batch: Batch) -> torch.Tensor:
        """Scores of a batch, shape (pairs,)."""
        import torch

        (scores,) = self._model(
            input_ids=batch.input_ids,
            attention_mask=batch.attention_mask,
            use_cache=False,
            cutoff_layers=[self._layer],
        ).logits
        rows = torch.arange(len(scores), device=scores.device)
        last: torch.Tensor = scores[rows, batch.attention_mask.sum(dim=1) - 1]
        return last.float()
