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
from fresco.models.batching import Batch, Tokens, forward
from fresco.models.in_memory import ModelInMemory
from fresco.models.packed_linear import pack
from fresco.models.quantized import INT8, dtype_name, quantize
from fresco.models.settings import Settings
from fresco.models.tokens import Disarm, encode
from fresco.records import Pair
from fresco.rerank.first_token import trim
from fresco.rerank.model_options import Readers, split_options, whole
from fresco.rerank.model_reranker import PairReranker
from fresco.rerank.prompt_form import PromptForm, read_form
from fresco.rerank.registry import MODELS_EXTRA, RERANKERS

if TYPE_CHECKING:
    import torch

_FAMILY = "cross-encoder"
#: Fields of the configs of today's decoders and of no encoder's.
_DECODERS_HAVE = {"num_key_value_heads", "rms_norm_eps"}
OPTIONS: Readers = {"label": ("the number of an output, from 0", whole(0))}
#: Pairs by whose scores a change of layers is proven harmless.
_PROBE = [("a query", "a passage " * length) for length in (1, 12)]
_SENTENCE_TRANSFORMERS = "config_sentence_transformers.json"


class CrossEncoderReranker(PairReranker["_PairClassifier"]):
    """Scores pairs with a sentence-transformers ``CrossEncoder`` of one output.

    Attributes:
        name: ``cross-encoder:MODEL``.
        takes_instruction: Whether the model has a chat template or declares prompts.
        truncated: Pairs of which this process cut the passage's end.
    """

    family = _FAMILY

    def __init__(
        self,
        model: str | Any,
        settings: Settings,
        *,
        revision: str | None = None,
        label: int | None = None,
        shown_as: str | None = None,
    ) -> None:
        """Check the model's files; weights load at the first score.

        Args:
            model: A folder, a Hugging Face model id, or a ``CrossEncoder`` that is loaded already.
            settings: Device, dtype, lengths, a template of the user's own.
            revision: Branch, tag or commit of a hub model.
            label: Of a classifier with several outputs, the one whose logit is the score.
            shown_as: Its name, where another family handed it over.

        Raises:
            FrescoError: the model cannot be found, or is no cross-encoder.
        """
        super().__init__(loading.find_or_hold(self.family, model, settings, revision), settings)
        _check_head(self._files)
        self._label = _chosen_output(self._files, label)
        self._form = None if settings.template is None else _own_form(self._files, settings.template)
        if label is not None:
            self.name += f"#label={label}"
        self.name, self._shown_as = shown_as or self.name, shown_as
        self._templated = _has_template(self._files)
        self.takes_instruction = self._templated or _declares_prompts(self._files)
        if self._form is not None:
            self.takes_instruction = self._form.takes_instruction
        self._default = _default_prompt(self._files)

    def _load(self) -> _PairClassifier:
        return _PairClassifier(self._files, self._settings, self._label, self._form)

    def _instruct(self, loaded: _PairClassifier, instruction: str | None) -> None:
        loaded.instruct(instruction if self.takes_instruction else None)

    def _identity(self) -> str:
        label = "" if self._label is None else f"|label={self._label}"
        return f"|raw{label}" + ("" if self._form is None else f"|prompt={self._form.digest}")

    def _details(self, loaded: _PairClassifier | None) -> Mapping[str, Any]:
        source = "chat template" if self._templated else "prompt, pair" if self.takes_instruction else "pair"
        warning = self._warning()
        return {
            "template": source if self._form is None else self._form.text,
            "score": "raw output, no activation" if self._label is None else f"raw output {self._label}",
            **({} if self._default is None else {"default_instruction": self._default}),
            **({} if warning is None else {"warnings": [warning]}),
            **({} if self._form is None else {"used": f"asked by {self._form.source}"}),
            **({} if self._shown_as is None else {"used": "what sentence-transformers saved with the model"}),
        }

    def _warning(self) -> str | None:
        """Decoders are trained on a prompt; the bare pair is most likely none of them."""
        config = self._files.json("config.json")
        saved = is_saved_cross_encoder(self._files)
        if self._templated or self._form or saved or not _DECODERS_HAVE & config.keys():
            return None
        return (
            f"{self._files.architecture} is a decoder and came without a template: it reads query and passage one "
            "after the other, which is hardly what it was trained on; give its prompt with --template FILE"
        )


class _PairClassifier:
    """A loaded cross-encoder as :class:`fresco.models.batching.BatchModel`."""

    def __init__(self, files: loading.Model, settings: Settings, label: int | None, form: PromptForm | None) -> None:
        self._label, self._form = label, form
        self._instruction: str | None = None
        self._model = files.loaded.eval() if isinstance(files, ModelInMemory) else _load_model(files, settings)
        self.device: torch.device = self._model.device
        spec = f"{_FAMILY}:{files.model}"
        if self._model.num_labels != 1 and label is None:
            raise FrescoError(_several(spec, self._model.num_labels))
        self._tokenizer = self._model.tokenizer
        if not getattr(self._tokenizer, "is_fast", False) or self._tokenizer.pad_token_id is None:
            raise FrescoError(f"{spec}: its tokenizer must be a fast one (tokenizer.json) with a padding token")
        self.pad_id: int = self._tokenizer.pad_token_id
        self.padding_side: Literal["left", "right"] = self._tokenizer.padding_side
        held = isinstance(files, ModelInMemory)
        self.dtype = str(self._model.dtype).removeprefix("torch.") if held else dtype_name(self._model, settings)
        self.limit = loading.length_limit(files, self._model.transformers_model, self._tokenizer, settings)
        self.truncated = 0
        self._disarm = Disarm(self._tokenizer, () if form is None else form.names)
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
        if not held:  # the user's own object keeps its layers
            if text_only:
                trim(self._model.transformers_model, lambda ids, mask: self.forward(Batch(ids, mask, None)))
            quantize(self._model.transformers_model, settings)
            if settings.dtype != INT8:
                pack(self._model.transformers_model, lambda: forward(self, self._tokens(_PROBE)))

    def instruct(self, instruction: str | None) -> None:
        """Set the instruction of the pairs to come; None for the model's own."""
        self._instruction = instruction
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
        scores: torch.Tensor = self._model(features)["scores"].float()
        return scores[:, self._label] if self._label is not None else scores.reshape(len(batch.input_ids))

    def _tokens(self, texts: Sequence[tuple[str, str]]) -> list[Tokens]:
        if self._form is not None:
            told = None if self._instruction is None else self._disarm(self._instruction)
            return [Tokens(ids) for ids in self._form.encode(self._tokenizer, told, texts)]
        if not self._text_only or (self._prompt and not self._glues):
            return [self._library_tokens(text) for text in texts]
        return pair_tokens(self._tokenizer, [(self._prompt + query, passage) for query, passage in texts])

    def _library_tokens(self, text: tuple[str, str]) -> Tokens:
        features = self._model.preprocess(
            [text], prompt=self._prompt or None, processing_kwargs={"text": {"truncation": False, "verbose": False}}
        )
        ids = features.pop("input_ids")[0].tolist()
        features.pop("attention_mask", None)
        types = features.pop("token_type_ids", None)
        self._further = {key: value for key, value in features.items() if not hasattr(value, "shape")}
        return Tokens(ids, None if types is None else types[0].tolist())


def pair_tokens(tokenizer: Any, texts: Sequence[tuple[str, str]]) -> list[Tokens]:
    """Token ids of each (query, passage), however long, as the tokenizer lays a pair out."""
    encoded = tokenizer(
        [query for query, _ in texts],
        [passage for _, passage in texts],
        padding=False,
        truncation=False,
        return_attention_mask=False,
        verbose=False,
    )
    segments = encoded.get("token_type_ids") or [None] * len(texts)
    return [Tokens(ids, types) for ids, types in zip(encoded["input_ids"], segments, strict=True)]


def _load_model(files: loading.ModelFiles, settings: Settings) -> Any:
    from sentence_transformers import CrossEncoder
    from torch.nn import Identity

    device, code = loading.torch_device(settings), loading.code_of(files, settings)
    return loading.load(
        files,
        lambda: CrossEncoder(
            files.location,
            revision=files.revision,
            device=str(device),
            activation_fn=Identity(),
            model_kwargs={"dtype": loading.torch_dtype(settings, quantizes=True), **_revision(code)},
            config_kwargs=_revision(code),
            trust_remote_code=code["trust_remote_code"],
        ).eval(),
    )


def _revision(code: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in code.items() if key == "code_revision"}


def _generates(module: Any) -> bool:
    return getattr(module, "transformer_task", "") == "text-generation"


def is_saved_cross_encoder(files: loading.Model) -> bool:
    """Whether sentence-transformers saved the model as a ``CrossEncoder``: prompt, template and score come with it."""
    return files.json(_SENTENCE_TRANSFORMERS).get("model_type") == "CrossEncoder"


def _several(spec: str, outputs: int) -> str:
    return f"{spec} has {outputs} outputs; a re-ranker has one: choose the one that means relevant with #label=N"


def _chosen_output(files: loading.Model, label: int | None) -> int | None:
    """The output that is the score; None for a model of one. Told by config.json where that says how many there are."""
    config = files.json("config.json")
    labels = config.get("id2label")
    outputs: int | None = None
    if config and not is_saved_cross_encoder(files):
        outputs = len(labels) if isinstance(labels, dict) else config.get("num_labels", 2)  # 2 is what is left unsaid
    spec = f"{_FAMILY}:{files.model}"
    if label is None:
        if outputs is not None and outputs > 1:
            raise FrescoError(_several(spec, outputs))
        return None
    if outputs is not None and label >= outputs:
        raise FrescoError(f"{spec}#label={label}: it has {outputs} outputs; write 0 to {outputs - 1}")
    return label if outputs != 1 else None


def _own_form(files: loading.Model, template: str) -> PromptForm:
    if isinstance(files, ModelInMemory):
        raise FrescoError(f"--template is for models that a spec names; {files.model} is loaded already")
    return read_form(template, ())


def _check_head(files: loading.Model) -> None:
    """Refuse what the library would load with a head of random weights."""
    if is_saved_cross_encoder(files):
        return
    architecture = files.architecture
    if architecture.endswith("ForCausalLM"):
        raise FrescoError(f"{_FAMILY}:{files.model} is a language model; try causal-lm:{files.model}")
    if architecture.endswith("ForConditionalGeneration"):
        raise FrescoError(f"{_FAMILY}:{files.model} is an encoder-decoder; try seq2seq:{files.model}")
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
def _open(arguments: str, settings: Settings) -> CrossEncoderReranker:
    model, options = split_options(_FAMILY, arguments, OPTIONS)
    return CrossEncoderReranker(model, settings, **options)
