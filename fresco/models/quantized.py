"""``--dtype int8``: a model's linear layers in 8 bits on a CPU (dynamic quantization).

Weights are rounded once, a scale a row; what comes into a layer is rounded as it comes, a scale a batch. So a score
moves a little with its company, more than by rounding in float32. Heads stay in float32: they decide between scores
that lie close together. ``eval/precision.py`` shows for a model what of its measures changes and what is gained.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError
from fresco.models.settings import Settings

if TYPE_CHECKING:
    import torch

INT8 = "int8"
#: Pointwise families, whose scores may move a little. The others read a model's attention, or its text.
FAMILIES = ("cross-encoder", "causal-lm", "likelihood", "seq2seq", "dense", "sparse", "late")


def check_family(family: str, settings: Settings) -> None:
    """Refuse int8 where nothing would be quantized, or nothing pointwise is scored.

    Raises:
        FrescoError: it is asked for and the family does not know it.
    """
    if settings.dtype == INT8 and family not in FAMILIES:
        raise FrescoError(
            f"--dtype int8: {family}: does not know it, only {', '.join(FAMILIES)} do; choose float32 or bfloat16"
        )


def check_device(device: torch.device, settings: Settings) -> None:
    """Refuse int8 elsewhere than on a CPU.

    Raises:
        FrescoError: it is asked for on another device.
    """
    if settings.dtype == INT8 and device.type != "cpu":
        raise FrescoError(f"--dtype int8 computes on a CPU, not on {device}; add --device cpu, or choose bfloat16")


def quantize(model: Any, settings: Settings) -> Any:
    """Quantize a model's linear layers in place, where the settings say so; its output head stays.

    Args:
        model: Of transformers, float32 weights, on the CPU.
        settings: Of the run.

    Raises:
        FrescoError: this torch can no longer do it.
    """
    if settings.dtype != INT8:
        return model
    import torch
    from torch import nn

    try:
        from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic
    except ImportError as error:
        raise FrescoError(f"--dtype int8: torch {torch.__version__} cannot do it any more; choose bfloat16") from error

    heads = {id(each) for each in heads_of(model)}
    layers = {
        name: per_channel_dynamic_qconfig
        for name, module in model.named_modules()
        if type(module) is nn.Linear and id(module) not in heads
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch means to drop this for a package of its own
        quantize_dynamic(model, layers, inplace=True)  # type: ignore[no-untyped-call]
    return model


def heads_of(model: Any) -> list[Any]:
    """What turns hidden states into scores or logits."""
    own = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    named = [getattr(model, name, None) for name in ("classifier", "score")]
    return [part for head in (own, *named) if head is not None for part in head.modules()]


def dtype_name(model: Any, settings: Settings) -> str:
    """How a model computes, for records: ``float32``, ``bfloat16``, ``float16`` or ``int8``."""
    return INT8 if settings.dtype == INT8 else str(model.dtype).removeprefix("torch.")
