"""``cross-encoder:MODEL``: a model that reads query and passage together, loaded through sentence-transformers.

Scores are the model's raw outputs, those of ``CrossEncoder.predict(pairs, activation_fn=torch.nn.Identity())``: the
sigmoid that ``predict`` applies by default keeps the order, but makes ties of large scores in float32.

Batches come from :mod:`fresco.models.batching`; the library's own modules compute them. Models whose input a chat
template lays out (Qwen3-Reranker in sentence-transformers' form) are tokenized by the library, pair by pair.

An instruction goes where the library puts a prompt: into a chat template's system message, or before the query of a
plain encoder. The second means something only to a model that was trained with prompts, so a plain encoder takes an
instruction if its ``config_sentence_transformers.json`` declares one. The library glues prompt and query; a blank is
put between an instruction and the query, else the last word of one and the first of the other would become one word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.batching import Batch, Tokens
from fresco.models.in_memory import ModelInMemory
from fresco.models.settings import Settings
from fresco.models.tokens import Disarm, encode
from fresco.records import Pair
from fresco.rerank.first_token import trim
from fresco.rerank.model_reranker import PairReranker
from fresco.rerank.registry import MODELS_EXTRA, RERANKERS

if TYPE_CHECKING:
    import torch

_FAMILY = "cross-encoder"
_SENTENCE_TRANSFORMERS = "config_sentence_transformers.json"


class CrossEncoderReranker(PairReranker["_PairClassifier"]):
    """Scores pairs with a sentence-transformers ``CrossEncoder`` of one output.

    Attributes:
        name: ``cross-encoder:MODEL``.
        takes_instruction: Whether the model has a chat template or declares prompts.
        truncated: Pairs of which this process cut the passage's end.
    """

    family = _FAMILY

    def __init__(self, model: str | Any, settings: Settings, *, revision: str | None = None) -> None:
        """Check the model's files; weights load at the first score.

        Args:
            model: A folder, a Hugging Face model id, or a ``CrossEncoder`` that is loaded already.
            settings: Device, dtype, lengths.
            revision: Branch, tag or commit of a hub model.

        Raises:
            FrescoError: the model cannot be found, or is no cross-encoder.
        """
        super().__init__(loading.find_or_hold(_FAMILY, model, settings, revision), settings)
        _check_head(self._files)
        self._templated = _has_template(self._files)
        self.takes_instruction = self._templated or _declares_prompts(self._files)
        self._default = _default_prompt(self._files)

    def _load(self) -> _PairClassifier:
        return _PairClassifier(self._files, self._settings)

    def _instruct(self, loaded: _PairClassifier, instruction: str | None) -> None:
        loaded.instruct(instruction if self.takes_instruction else None)

    def _identity(self) -> str:
        return "|raw"

    def _details(self, loaded: _PairClassifier | None) -> Mapping[str, Any]:
        return {
            "template": "chat template" if self._templated else "prompt, pair" if self.takes_instruction else "pair",
            "score": "raw output, no activation",
            **({} if self._default is None else {"default_instruction": self._default}),
        }


class _PairClassifier:
    """A loaded cross-encoder as :class:`fresco.models.batching.BatchModel`."""

    def __init__(self, files: loading.Model, settings: Settings) -> None:
        self._model = files.loaded.eval() if isinstance(files, ModelInMemory) else _load_model(files, settings)
        self.device: torch.device = self._model.device
        spec = f"{_FAMILY}:{files.model}"
        if self._model.num_labels != 1:
            raise FrescoError(f"{spec} has {self._model.num_labels} outputs; a re-ranker has one (num_labels=1)")
        self._tokenizer = self._model.tokenizer
        if not getattr(self._tokenizer, "is_fast", False) or self._tokenizer.pad_token_id is None:
            raise FrescoError(f"{spec}: its tokenizer must be a fast one (tokenizer.json) with a padding token")
        self.pad_id: int = self._tokenizer.pad_token_id
        self.padding_side: Literal["left", "right"] = self._tokenizer.padding_side
        self.dtype = str(self._model.dtype).removeprefix("torch.")
        self.limit = loading.length_limit(files, self._model.transformers_model, self._tokenizer, settings)
        self.truncated = 0
        self._disarm = Disarm(self._tokenizer)
        self._prompt = ""
        first = self._model[0]
        # Inputs besides the tensors, the same for every pair; a language model need not compute all positions' logits.
        self._further: dict[str, Any] = {"logits_to_keep": 1} if _generates(first) else {}
        text_only = set(getattr(first, "modality_config", ())) == {"text"} and not getattr(
            first, "processing_kwargs", None
        )
        # Only pooling wants to know where a prompt ends; a classifier's prompt is text before the query.
        self._glues = text_only and getattr(first, "transformer_task", "") == "sequence-classification"
        self._text_only = text_only
        if text_only and not isinstance(files, ModelInMemory):  # the user's own object keeps its layers
            trim(self._model.transformers_model, lambda ids, mask: self.forward(Batch(ids, mask, None)))

    def instruct(self, instruction: str | None) -> None:
        """Set the instruction of the pairs to come; None for the model's own."""
        if instruction is None:
            self._prompt = self._model.prompts.get(self._model.default_prompt_name) or ""
            return
        self._prompt = self._disarm(instruction)
        if self._text_only and not self._prompt[-1:].isspace():
            self._prompt += " "

    def encode(self, pairs: Sequence[Pair]) -> list[Tokens]:
        encoded, cut = encode(pairs, self._tokenizer, self._disarm, self._tokens, self.limit)
        self.truncated += cut
        return encoded

    def forward(self, batch: Batch) -> torch.Tensor:
        features: dict[str, Any] = {
            "input_ids": batch.input_ids,
            "attention_mask": batch.attention_mask,
            **self._further,
        }
        if batch.token_type_ids is not None:
            features["token_type_ids"] = batch.token_type_ids
        scores: torch.Tensor = self._model(features)["scores"]
        return scores.float().reshape(len(batch.input_ids))

    def _tokens(self, texts: Sequence[tuple[str, str]]) -> list[Tokens]:
        if not self._text_only or (self._prompt and not self._glues):
            return [self._library_tokens(text) for text in texts]
        queries = [self._prompt + query for query, _ in texts]
        passages = [passage for _, passage in texts]
        encoded = self._tokenizer(
            queries, passages, padding=False, truncation=False, return_attention_mask=False, verbose=False
        )
        segments = encoded.get("token_type_ids") or [None] * len(texts)
        return [Tokens(ids, types) for ids, types in zip(encoded["input_ids"], segments, strict=True)]

    def _library_tokens(self, text: tuple[str, str]) -> Tokens:
        features = self._model.preprocess(
            [text], prompt=self._prompt or None, processing_kwargs={"text": {"truncation": False, "verbose": False}}
        )
        ids = features.pop("input_ids")[0].tolist()
        features.pop("attention_mask", None)
        types = features.pop("token_type_ids", None)
        self._further = {key: value for key, value in features.items() if not hasattr(value, "shape")}
        return Tokens(ids, None if types is None else types[0].tolist())


def _load_model(files: loading.ModelFiles, settings: Settings) -> Any:
    from sentence_transformers import CrossEncoder
    from torch.nn import Identity

    device = loading.torch_device(settings)
    return loading.load(
        files,
        lambda: CrossEncoder(
            files.location,
            revision=files.revision,
            device=str(device),
            activation_fn=Identity(),
            model_kwargs={"dtype": loading.torch_dtype(settings)},
            trust_remote_code=False,
        ).eval(),
    )


def _generates(module: Any) -> bool:
    return getattr(module, "transformer_task", "") == "text-generation"


def _check_head(files: loading.Model) -> None:
    """Refuse what the library would load with a head of random weights."""
    if files.json(_SENTENCE_TRANSFORMERS).get("model_type") == "CrossEncoder":
        return
    architecture = files.architecture
    if architecture.endswith("ForCausalLM"):
        raise FrescoError(f"{_FAMILY}:{files.model} is a language model; try causal-lm:{files.model}")
    if not architecture.endswith("ForSequenceClassification"):
        raise FrescoError(
            f"{_FAMILY}:{files.model}: architecture {architecture} has no scoring head; "
            f"an embedding model is dense:{files.model}"
        )


def _has_template(files: loading.Model) -> bool:
    """Whether the library lays the pair out with a chat template; told by the files alone."""
    modalities = files.json("sentence_bert_config.json").get("modality_config")
    if modalities is not None:
        return "message" in modalities
    return files.has("chat_template.jinja") or bool(files.json("tokenizer_config.json").get("chat_template"))


def _declares_prompts(files: loading.Model) -> bool:
    """Whether the model was made to be given prompts: the library saves them with it."""
    prompts = files.json(_SENTENCE_TRANSFORMERS).get("prompts")
    return isinstance(prompts, dict) and any(isinstance(text, str) and text for text in prompts.values())


def _default_prompt(files: loading.Model) -> str | None:
    """The prompt that the library takes where none is given, without white space around it."""
    config = files.json(_SENTENCE_TRANSFORMERS)
    prompts, name = config.get("prompts"), config.get("default_prompt_name")
    text = prompts.get(name) if isinstance(prompts, dict) and isinstance(name, str) else None
    return (text.strip() or None) if isinstance(text, str) else None


@RERANKERS.register(
    "cross-encoder:MODEL",
    "a sentence-transformers cross-encoder",
    needs=MODELS_EXTRA,
    example="ORGANISATION/NAME or cross-encoder:./folder",
    instruction="where the model has a prompt",
)
def _open(model: str, settings: Settings) -> CrossEncoderReranker:
    return CrossEncoderReranker(model, settings)
