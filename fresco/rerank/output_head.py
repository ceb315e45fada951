"""The output head of a language model, without the logits that nobody reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


class AnswerHead:
    """The output head's rows for a few tokens, float32, scaled and capped as the model's config says.

    Args:
        model: A language model of transformers.
        tokens: One token, whose logit is the score; or two, the first less the second.
    """

    def __init__(self, model: Any, tokens: Sequence[int]) -> None:
        head = model.get_output_embeddings()
        bias = getattr(head, "bias", None)
        self._model = model
        self._rows = head.weight.detach()[list(tokens)].float()
        self._bias = 0.0 if bias is None else bias.detach()[list(tokens)].float()

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        """Scores of hidden states, shape (pairs, hidden size) to (pairs,)."""
        logits = finish_logits(self._model, hidden.float() @ self._rows.T + self._bias)
        return logits[:, 0] - logits[:, 1] if logits.shape[1] > 1 else logits[:, 0]


def finish_logits(model: Any, logits: torch.Tensor) -> torch.Tensor:
    """What some models do to the head's product: Granite divides it, Gemma 2 caps it."""
    config = model.config.get_text_config()
    logits = logits / float(getattr(config, "logits_scaling", None) or 1.0)
    cap = getattr(config, "final_logit_softcapping", None)
    return (logits / cap).tanh() * cap if cap else logits
