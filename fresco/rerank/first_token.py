"""Leave out what a BERT-like cross-encoder computes and never reads: the last layer at all tokens but the first.

The scoring head reads the first token. In the last layer the others still serve as keys and values, but their own
attention and feed-forward network lead nowhere: 10 of the layer's 12 matrix products of hidden size squared, a seventh
of all work in a model of six layers. The first token's score is the same to rounding; :func:`trim` checks that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_TOLERANCE = 1e-4  # float32, relative to the largest score


def trim(model: Any, score: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> bool:
    """Replace a model's last layer by one for the first token, if the model is of that kind and scores stay the same.

    Args:
        model: Of transformers, float32 weights; others are left alone, their rounding would hide a difference.
        score: Scores of (token ids, attention mask), through the model.

    Returns:
        Whether the layer was replaced.
    """
    import torch

    layers = getattr(getattr(model.base_model, "encoder", None), "layer", None)
    if (
        not isinstance(layers, torch.nn.ModuleList)
        or not _is_bert_like(layers[-1])
        or model.config._attn_implementation != "sdpa"
        or model.config.is_decoder
        or model.dtype != torch.float32
    ):
        return False
    # Two rows of different lengths, tokens at random: what the head reads shows, padding included.
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(model.config.vocab_size, (2, 16), generator=generator).to(model.device)
    mask = torch.ones_like(ids)
    mask[1, 11:] = 0
    whole = layers[-1]
    with torch.inference_mode():
        expected = score(ids, mask)
        layers[-1] = _first_token_layer(whole)
        try:
            same = torch.allclose(score(ids, mask), expected, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)
        except (RuntimeError, IndexError, TypeError):  # a head that reads other tokens finds none
            same = False
    if not same:
        layers[-1] = whole
    return same


def _is_bert_like(layer: Any) -> bool:
    attention = getattr(getattr(layer, "attention", None), "self", None)
    return (
        all(hasattr(attention, name) for name in ("query", "key", "value", "attention_head_size"))
        and all(hasattr(layer, name) for name in ("intermediate", "output"))
        and hasattr(layer.attention, "output")
    )


def _first_token_layer(layer: Any) -> torch.nn.Module:
    import torch

    class FirstTokenLayer(torch.nn.Module):
        """The layer's own parts, applied to the first token; keys and values are those of all tokens."""

        def __init__(self) -> None:
            super().__init__()
            self.whole = layer

        def forward(
            self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, *_: Any, **__: Any
        ) -> torch.Tensor:
            attention, first = layer.attention.self, hidden_states[:, :1]

            def heads(states: torch.Tensor) -> torch.Tensor:
                return states.reshape(*states.shape[:2], -1, attention.attention_head_size).transpose(1, 2)

            context = torch.nn.functional.scaled_dot_product_attention(
                heads(attention.query(first)),
                heads(attention.key(hidden_states)),
                heads(attention.value(hidden_states)),
                attn_mask=None if attention_mask is None else attention_mask[..., :1, :],
            )
            attended = layer.attention.output(context.transpose(1, 2).flatten(2), first)
            output: torch.Tensor = layer.output(layer.intermediate(attended), attended)
            return output

    return FirstTokenLayer()
