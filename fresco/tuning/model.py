"""The model of a fine-tuning: opened from a re-ranker's own files, with low-rank updates where asked, exported whole.

It is a sentence-transformers ``CrossEncoder`` of one output without an activation, so that what
``CrossEncoder(FOLDER).predict`` says later are the very scores that were trained. A cross-encoder goes on from its
own scoring head; an embedding model gets a new one, drawn by the seed; a language model that is asked for yes or no
keeps its prompt, as a chat template, and the difference of the two logits.
"""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.settings import Settings
from fresco.models.tokens import shorten
from fresco.records import Passage, Query
from fresco.rerank.base import Reranker, describe
from fresco.rerank.prompt_form import PromptForm

TUNE_EXTRA = "pip install 'fresco-ccs[tune]'"
_FAMILIES = ("cross-encoder", "dense", "causal-lm")
_HEADS = ("classifier", "score", "out_proj", "head")
_ALPHA = 2  # of LoRA, in ranks


@dataclass(frozen=True)
class Start:
    """What a fine-tuning starts from.

    Attributes:
        files: Of the model.
        form: How a language model is asked for its yes or no; None of other models.
        instruction: That it is asked with by default.
    """

    files: loading.ModelFiles
    form: PromptForm | None = None
    instruction: str | None = None


def source_of(reranker: Reranker) -> Start:
    """The model that a fine-tuning starts from.

    Raises:
        FrescoError: the re-ranker has no weights that sentence-transformers could train, or a library is missing.
    """
    files = getattr(reranker, "files", None)
    if not isinstance(files, loading.ModelFiles) or files.family not in _FAMILIES:
        families = ", ".join(f"{each}:MODEL" for each in _FAMILIES)
        raise FrescoError(f"--train: {reranker.name} has no weights to train; name {families}, or leave --train out")
    missing = [name for name in ("accelerate", "tensorboard") if importlib.util.find_spec(name) is None]
    if missing:
        raise FrescoError(f"--train needs {', '.join(missing)}: {TUNE_EXTRA}")
    if files.family == "causal-lm":
        return Start(files, getattr(reranker, "form", None), describe(reranker).get("default_instruction"))
    return Start(files)


def open_trainable(start: Start, settings: Settings, seed: int, lora: int | None) -> Any:
    """The model in float32 on the device of the settings, its new weights drawn by the seed.

    Raises:
        FrescoError: it cannot be loaded, or has several outputs.
    """
    from sentence_transformers import CrossEncoder
    from torch.nn import Identity
    from transformers import set_seed

    set_seed(seed)
    files = start.files
    device, code = loading.torch_device(settings), loading.code_of(files, settings)
    given = {"device": str(device), "activation_fn": Identity(), "max_length": settings.max_length}
    if start.form is not None:
        given |= {
            "modules": loading.load(files, lambda: _asking(start)),
            "prompts": {"relevance": start.instruction or ""},
        }
        given["default_prompt_name"] = "relevance" if start.instruction else None
        model = CrossEncoder(**given)
    else:
        given |= {"num_labels": 1} if files.family == "dense" else {}
        trusted = code["trust_remote_code"]
        model = loading.load(
            files,
            lambda: CrossEncoder(files.location, revision=files.revision, trust_remote_code=trusted, **given),
            all_weights=files.family != "dense",
        )
    if model.num_labels != 1:
        raise FrescoError(f"--train: {files.family}:{files.model} has {model.num_labels} outputs; a re-ranker has one")
    if lora is not None:
        _add_lora(model, lora)
    return model


def _asking(start: Start) -> list[Any]:
    """A language model that is asked in its form, and the difference of two logits, as the library's modules."""
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.cross_encoder.modules import LogitScore

    files, form = start.files, start.form
    assert form is not None
    spec, tokenizer = f"{files.family}:{files.model}", loading.tokenizer(files)
    inner = Transformer(
        files.location,
        transformer_task="text-generation",
        model_kwargs={"revision": files.revision},
        processor_kwargs={"revision": files.revision, "chat_template": chat_template(form, tokenizer)},
        config_kwargs={"revision": files.revision},
    )
    return [inner, LogitScore(*form.answer_ids(spec, tokenizer))]


def chat_template(form: PromptForm, tokenizer: Any) -> str:
    """The form as a chat template over the library's roles: ``system`` is the instruction, ``query``, ``document``."""

    def said(role: str) -> str:
        return f"(messages | selectattr('role', 'eq', '{role}') | map(attribute='content') | first | default(''))"

    fields = {"query": f"{{{{ {said('query')} }}}}", "document": f"{{{{ {said('document')} }}}}"}
    before, after = (_literal(part) for part in form.lead.split("{instruction}"))
    told = f"{before}{{{{ {said('system')} }}}}{after}"
    fields["instruction"] = f"{{% if {said('system')} %}}{told}{{% endif %}}"
    parts = re.split(r"\{(instruction|query|document)\}", form.text)
    text = "".join(fields[part] if place % 2 else _literal(part) for place, part in enumerate(parts))
    return _literal(tokenizer.bos_token if form.opens(tokenizer) else "") + text


def _literal(text: str) -> str:
    """Text that a template says as it is, line breaks at tags included."""
    return f"{{{{ {json.dumps(text)} }}}}" if text else ""


def _add_lora(model: Any, rank: int) -> None:
    """Put low-rank updates beside every linear layer; they and the scoring head are all that is trained."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise FrescoError(f"--lora needs peft: {TUNE_EXTRA}") from None
    inner = model.transformers_model
    words = inner.get_output_embeddings()  # may be the input's own, which stay as they are
    heads = [name for name, _ in inner.named_children() if name in _HEADS]
    linear = [
        name
        for name, module in inner.named_modules()
        if type(module).__name__ == "Linear" and module is not words and name.partition(".")[0] not in heads
    ]
    for weights in model.parameters():
        weights.requires_grad_(False)
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=_ALPHA * rank, target_modules=linear), inner)
    for name in heads:  # small, and new where the model embedded until now
        inner.get_submodule(name).requires_grad_(True)


def own_prompt(model: Any) -> str | None:
    """The prompt that the model is asked with by default."""
    prompt: str | None = model.prompts.get(model.default_prompt_name)
    return prompt or None


def fitting(model: Any) -> Any:
    """A function of query and passage: the passage's text, its body's end cut until the pair fits.

    The library would cut the pair's end, and with it the date.
    """
    tokenizer = model.tokenizer
    limit = min(model.max_seq_length or tokenizer.model_max_length, tokenizer.model_max_length)

    def tokens(query: str, text: str) -> int:
        long = {"text": {"truncation": False}}
        return int(
            model.preprocess([(query, text)], prompt=own_prompt(model), processing_kwargs=long)["input_ids"].shape[1]
        )

    around = tokens("", "")

    def fit(query: Query, passage: Passage) -> str:
        def measure(text: str) -> int:
            return tokens(query.text, text)

        if len(passage.text) + len(query.text) + around <= limit:  # a token has a character at least
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
