"""The model of a fine-tuning: opened from a re-ranker's own files, with low-rank updates where asked, exported whole.

It is a sentence-transformers ``CrossEncoder`` of one output without an activation, so that what
``CrossEncoder(FOLDER).predict`` says later are the very scores that were trained. A cross-encoder goes on from its
own scoring head; an embedding model gets a new one, drawn by the seed.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.settings import Settings
from fresco.models.tokens import shorten
from fresco.records import Passage, Query
from fresco.rerank.base import Reranker

TUNE_EXTRA = "pip install 'fresco-ccs[tune]'"
_FAMILIES = ("cross-encoder", "dense")
_HEADS = ("classifier", "score", "out_proj", "head")
_ALPHA = 2  # of LoRA, in ranks


def source_of(reranker: Reranker) -> loading.ModelFiles:
    """The files that a fine-tuning starts from.

    Raises:
        FrescoError: the re-ranker has no weights that sentence-transformers could train, or a library is missing.
    """
    files = getattr(reranker, "files", None)
    if not isinstance(files, loading.ModelFiles) or files.family not in _FAMILIES:
        families = " or ".join(f"{each}:MODEL" for each in _FAMILIES)
        raise FrescoError(f"--train: {reranker.name} has no weights to train; name {families}, or leave --train out")
    missing = [name for name in ("accelerate", "tensorboard") if importlib.util.find_spec(name) is None]
    if missing:
        raise FrescoError(f"--train needs {', '.join(missing)}: {TUNE_EXTRA}")
    return files


def open_trainable(files: loading.ModelFiles, settings: Settings, seed: int, lora: int | None) -> Any:
    """The model in float32 on the device of the settings, its new weights drawn by the seed.

    Raises:
        FrescoError: it cannot be loaded, or has several outputs.
    """
    from sentence_transformers import CrossEncoder
    from torch.nn import Identity
    from transformers import set_seed

    set_seed(seed)
    device, code = loading.torch_device(settings), loading.code_of(files, settings)
    model = loading.load(
        files,
        lambda: CrossEncoder(
            files.location,
            revision=files.revision,
            device=str(device),
            activation_fn=Identity(),
            max_length=settings.max_length,
            trust_remote_code=code["trust_remote_code"],
            **({"num_labels": 1} if files.family == "dense" else {}),
        ),
        all_weights=files.family != "dense",
    )
    if model.num_labels != 1:
        raise FrescoError(f"--train: {files.family}:{files.model} has {model.num_labels} outputs; a re-ranker has one")
    if lora is not None:
        _add_lora(model, lora)
    return model


def _add_lora(model: Any, rank: int) -> None:
    """Put low-rank updates beside every linear layer; they and the scoring head are all that is trained."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise FrescoError(f"--lora needs peft: {TUNE_EXTRA}") from None
    inner = model.transformers_model
    heads = [name for name, _ in inner.named_children() if name in _HEADS]
    linear = [
        name
        for name, module in inner.named_modules()
        if type(module).__name__ == "Linear" and name.partition(".")[0] not in heads
    ]
    for weights in model.parameters():
        weights.requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=_ALPHA * rank, target_modules=linear), inner)
    for name in heads:  # small, and new where the model embedded until now
        inner.get_submodule(name).requires_grad_(True)


def fitting(model: Any) -> Any:
    """A function of query and passage: the passage's text, its body's end cut until the pair fits.

    The library would cut the pair's end, and with it the date.
    """
    tokenizer = model.tokenizer
    limit = min(model.max_seq_length or tokenizer.model_max_length, tokenizer.model_max_length)

    def fit(query: Query, passage: Passage) -> str:
        def measure(text: str) -> int:
            ids = model.preprocess([(query.text, text)], processing_kwargs={"text": {"truncation": False}})["input_ids"]
            return int(ids.shape[1])

        if len(passage.text) + len(query.text) < limit:  # a token has a character at least, three at most are special
            return passage.text
        return shorten(passage, passage.text, tokenizer, measure, limit)

    return fit


def merged(model: Any) -> Any:
    """The model with its low-rank updates added to the weights, without a trace of them."""
    inner = model.transformers_model
    updated = [(name, module) for name, module in inner.named_modules() if hasattr(module, "lora_A")]
    for name, module in updated:
        module.merge()
        parent, _, own = name.rpartition(".")
        setattr(inner.get_submodule(parent), own, module.get_base_layer())
    return model


def export(model: Any, folder: Path, card: str) -> None:
    """Write a folder that ``CrossEncoder(FOLDER)`` opens, with its card."""
    model.save_pretrained(str(folder), create_model_card=False)
    (folder / "README.md").write_text(card, encoding="utf-8")
