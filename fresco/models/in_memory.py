"""A sentence-transformers model that the user has loaded already, in the place of a model's files.

The families read a few facts of a model (prompts, template, architecture) from its files before they load it. Here the
same facts come from the loaded object, so that an object scores as the same model does by its spec.
"""

from __future__ import annotations

import hashlib
import json
import sys
from functools import cached_property
from typing import Any

from fresco.errors import FrescoError


class ModelInMemory:
    """What :class:`fresco.models.loading.ModelFiles` is to a model on disk.

    Attributes:
        family: The re-ranker family that asks, for error messages.
        model: What the object was loaded from, as far as it says.
        revision: None: an object may have been trained since it was loaded.
        loaded: The object. It is used, never changed; its device, dtype and length limit stay its own.

    Raises:
        FrescoError: it computes elsewhere than in torch.
    """

    revision = None

    def __init__(self, family: str, loaded: Any) -> None:
        self.family, self.loaded = family, loaded
        config = getattr(loaded.transformers_model, "config", None)
        self.model = str(getattr(config, "_name_or_path", "") or type(loaded).__name__)
        if loaded.backend != "torch":
            raise FrescoError(
                f"{family}:{self.model} computes by {loaded.backend}; a loaded model must compute by torch: give a "
                "function f(query, passages) that calls it instead"
            )

    @property
    def architecture(self) -> str:
        """The class of the transformers model inside."""
        return type(self.loaded.transformers_model).__name__

    @property
    def limit(self) -> int:
        """The longest input in tokens that the object itself would read."""
        return min(self.loaded.max_seq_length or sys.maxsize, int(self.loaded.tokenizer.model_max_length))

    def has(self, name: str) -> bool:
        """Whether the object has what this file would hold."""
        return bool(self.json(name))

    def json(self, name: str) -> dict[str, Any]:
        """What this file would hold of what the families ask for."""
        if name == "config_sentence_transformers.json":
            return {
                "model_type": type(self.loaded).__name__,
                "prompts": dict(self.loaded.prompts),
                "default_prompt_name": self.loaded.default_prompt_name,
            }
        if name == "sentence_bert_config.json":
            return {"modality_config": dict(getattr(self.loaded[0], "modality_config", None) or {"text": {}})}
        return {}

    @cached_property
    def identity(self) -> str:
        """SHA-256 over all weights, modules, prompts, limits and the tokenizer: what can change a score."""
        digest = hashlib.sha256()
        facts = {
            "modules": [[type(module).__name__, module.get_config_dict()] for module in self.loaded],
            "config": self.loaded.transformers_model.config.to_dict(),
            "prompts": self.json("config_sentence_transformers.json"),
            "similarity": str(getattr(self.loaded, "similarity_fn_name", None)),
            "truncate_dim": getattr(self.loaded, "truncate_dim", None),
            "limit": self.limit,
            "tokenizer": self.loaded.tokenizer.backend_tokenizer.to_str(),
            "template": getattr(self.loaded.tokenizer, "chat_template", None),
        }
        digest.update(json.dumps(facts, sort_keys=True, default=str).encode())
        for name, weights in sorted(self.loaded.state_dict().items()):
            digest.update(f"\0{name}\0{weights.dtype}\0{tuple(weights.shape)}\0".encode())
            digest.update(_raw(weights))
        return f"in memory:{digest.hexdigest()}"


def _raw(weights: Any) -> bytes:
    """The bytes of a tensor; numpy has no bfloat16, so they are read as integers."""
    import torch

    raw: bytes = weights.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return raw
