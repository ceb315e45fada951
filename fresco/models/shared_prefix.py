"""Work that the rows of a batch share, done once: keys and values of the tokens that all of them begin with.

Prompts of a language model begin alike: system message, instruction, often the query. What is shared is read off the
rows of each batch, so a batch computes the same bits whatever ran before it; the last prefix is kept, and most batches
of a run have that very one.
"""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np

from fresco.models.batching import Batch

#: Shorter prefixes cost more in copies than they save.
LEAST = 16


class SharedPrefix:
    """Runs a decoder over right-padded rows, their common beginning once.

    Attributes:
        saved: Tokens that were not computed again.
        on: Whether it shares; off it runs the whole rows, the slow, obvious way.
    """

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self._ids: tuple[int, ...] = ()
        self._cache: Any = None
        self.saved = 0
        self.on = True

    def last_hidden(self, batch: Batch) -> Any:
        """The hidden state of each row's last token, shape (rows, hidden size)."""
        import torch

        lengths = batch.attention_mask.sum(dim=1)
        rows = torch.arange(len(lengths), device=lengths.device)
        shared = common_length(batch) if self.on and len(lengths) > 1 else 0
        if shared < LEAST:
            hidden = self._decoder(
                input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
            ).last_hidden_state
            return hidden[rows, lengths - 1]
        cache = copy.deepcopy(self._prefix(batch.input_ids[:1, :shared]))
        cache.batch_repeat_interleave(len(lengths))
        hidden = self._decoder(
            input_ids=batch.input_ids[:, shared:],
            attention_mask=batch.attention_mask,
            use_cache=True,
            **{cache_argument(self._decoder): cache},
        ).last_hidden_state
        self.saved += shared * (len(lengths) - 1)
        return hidden[rows, lengths - 1 - shared]

    def _prefix(self, ids: Any) -> Any:
        wanted = tuple(ids[0].tolist())
        if wanted != self._ids:
            self._cache = self._decoder(input_ids=ids, use_cache=True).past_key_values
            self._ids = wanted
        return self._cache


def cache_argument(decoder: Any) -> str:
    """What a decoder of transformers calls its cache: ``past_key_values``, which later versions rename ``cache``."""
    return "cache" if "cache" in inspect.signature(decoder.forward).parameters else "past_key_values"


def common_length(batch: Batch) -> int:
    """Tokens that all rows begin with, at least one left over in each."""
    ids = batch.input_ids.cpu().numpy()
    differs = (ids != ids[0]).any(axis=0)
    first = int(np.argmax(differs)) if differs.any() else ids.shape[1]
    return max(0, min(first, int(batch.attention_mask.sum(dim=1).min()) - 1))
