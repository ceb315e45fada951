"""A language model that is asked about pairs in a form's words: from pairs to tokens, and its weights' loading."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from fresco.models import loading
from fresco.models.batching import Batch, Tokens
from fresco.models.packed_linear import pack
from fresco.models.quantized import INT8, quantize
from fresco.models.settings import Settings
from fresco.models.shared_prefix import grouped
from fresco.models.tokens import Disarm, encode, fast
from fresco.records import Pair
from fresco.rerank.prompt_form import PromptForm

if TYPE_CHECKING:
    import torch


class AskedModel(ABC):
    """A model that is asked in a form's words, as :class:`fresco.models.batching.BatchModel`, up to its tokens.

    Attributes:
        limit: Most tokens of a prompt; set by who loads the weights.
        instruction: Of the pairs to come.
        truncated: Pairs of which the passage's end was cut.

    Raises:
        FrescoError: its tokenizer is no fast one, or an answer is no single token.
    """

    device: torch.device
    dtype: str
    padding_side: Literal["left", "right"] = "right"  # positions then count from 0 in every row, as without padding

    def __init__(self, spec: str, files: loading.ModelFiles, form: PromptForm) -> None:
        self._form, self._tokenizer = form, fast(spec, loading.tokenizer(files))
        self._answers = form.answer_ids(spec, self._tokenizer)
        self.pad_id: int = self._tokenizer.pad_token_id or 0  # masked, and behind every real token: any id will do
        self._disarm = Disarm(self._tokenizer, form.names)
        self.instruction: str | None = form.instruction
        self.limit = sys.maxsize
        self.truncated = 0

    @property
    def published_limit(self) -> dict[str, int]:
        """The form's longest input, as an argument of :func:`fresco.models.loading.token_limit`."""
        most = self._form.max_length
        return {} if most is None else {"default": most}

    @property
    @abstractmethod
    def saved(self) -> int:
        """Tokens that were not computed again."""

    @abstractmethod
    def forward(self, batch: Batch) -> torch.Tensor:
        """Scores of a batch, shape (pairs,)."""

    def encode(self, pairs: Sequence[Pair]) -> list[Tokens]:
        """Token ids of the prompts, none longer than the limit."""
        encoded, cut = encode(pairs, self._tokenizer, self._disarm, self._tokens, self.limit)
        self.truncated += cut
        return encoded

    def order(self, pairs: Sequence[Pair]) -> list[int]:
        """Pairs that share what comes first in the prompt stand together."""
        return grouped([self._key(pair) for pair in pairs])

    def _key(self, pair: Pair) -> str:
        query, passage = pair
        text = self._form.text
        return query.text if text.find("{query}") < text.find("{document}") else passage.text

    def _tokens(self, texts: Sequence[tuple[str, str]]) -> list[Tokens]:
        instruction = None if self.instruction is None else self._disarm(self.instruction)
        return [Tokens(ids) for ids in self._form.encode(self._tokenizer, instruction, texts)]


def load_language_model(files: loading.ModelFiles, settings: Settings) -> Any:
    """A causal language model where the settings want it, quantized where they say so; its own code where trusted.

    Raises:
        FrescoError: it cannot be loaded, or needs code that is not trusted.
    """
    from transformers import AutoModelForCausalLM

    model = loading.load(
        files,
        lambda: AutoModelForCausalLM.from_pretrained(
            files.location,
            revision=files.revision,
            dtype=loading.torch_dtype(settings, quantizes=True),
            **loading.code_of(files, settings),
        ),
    )
    model = quantize(model.to(loading.torch_device(settings)).eval(), settings)
    if settings.dtype != INT8:
        pack(model, lambda: _last_states(model))
    return model


def _last_states(model: Any) -> torch.Tensor:
    """Hidden states of a few tokens, by which a change of layers is proven harmless."""
    import torch

    ids = torch.arange(1, 25, device=model.device)[None] % model.config.get_text_config().vocab_size
    states: torch.Tensor = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
    return states
