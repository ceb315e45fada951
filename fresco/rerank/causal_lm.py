"""``causal-lm:MODEL``: a language model that is asked whether the passage answers, scored by the logits of its answer.

How it is asked is the model's own business: :mod:`fresco.rerank.profiles` finds the form that it was trained with, and
the record says which was used. The score is ``logit(yes) - logit(no)`` at the last position (``logit(yes)`` where that
is what was published), in float32; its sigmoid is P(yes), which keeps the order but ties confident passages at 0 or 1.

Three things are left out that the published code computes and throws away: logits at every position, logits of the rest
of the vocabulary, the key-value cache. The hidden state of the last token is multiplied with the head's rows for the
answers. A check at load compares this with the model's own logits, so that a model whose logits are made otherwise than
we know (scaled, capped) is refused rather than mis-scored.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.batching import Batch, Tokens
from fresco.models.quantized import dtype_name
from fresco.models.reading import share
from fresco.models.settings import Settings
from fresco.records import Pair
from fresco.rerank.asked_model import AskedModel, load_language_model
from fresco.rerank.base import Reranker
from fresco.rerank.cross_encoder import CrossEncoderReranker, is_saved_cross_encoder
from fresco.rerank.layerwise import PROFILE as LAYERWISE
from fresco.rerank.layerwise import LayerModel, scoring_layer
from fresco.rerank.model_options import Readers, split_options, whole
from fresco.rerank.model_reranker import ROUGH_DIFFERENCE, PairReranker
from fresco.rerank.output_head import AnswerHead
from fresco.rerank.profiles import (
    CHAT,
    MODEL_CARD_INSTRUCTION,
    PROFILES,
    chat_form,
    check_profile,
    choose_form,
    describe_form,
)
from fresco.rerank.prompt_form import PromptForm
from fresco.rerank.registry import MODELS_EXTRA, RERANKERS

if TYPE_CHECKING:
    import torch

_FAMILY = "causal-lm"
OPTIONS: Readers = {
    "profile": (f"one of {', '.join([*PROFILES, CHAT])}", check_profile),
    "layer": ("the number of a layer with a scoring head", whole(1)),
}

#: Default of the class ``Qwen3Reranker`` in the reference repository's example (QwenLM/Qwen3-Embedding), sic.
REPOSITORY_INSTRUCTION = "Given the user query, retrieval the relevant passages"
_SCORES = {True: "logit(yes) - logit(no)", False: "logit(yes)"}
DEFAULT_INSTRUCTIONS = {"model card": MODEL_CARD_INSTRUCTION, "repository": REPOSITORY_INSTRUCTION}


class CausalLmReranker(PairReranker["AskedModel"]):
    """Scores pairs with the logits of a language model's answer.

    Attributes:
        name: ``causal-lm:MODEL``.
        takes_instruction: Whether the form has a place for one.
        truncated: Pairs of which this process cut the passage's end.
    """

    family = _FAMILY
    rough = ROUGH_DIFFERENCE
    _files: loading.ModelFiles

    def __init__(
        self,
        model: str,
        settings: Settings,
        *,
        revision: str | None = None,
        default_instruction: str = "model card",
        profile: str | None = None,
        layer: int | None = None,
    ) -> None:
        """Check the model's files; weights load at the first score.

        Args:
            model: A folder or a Hugging Face model id.
            settings: Device, dtype, lengths, a template of the user's own.
            revision: Branch, tag or commit of a hub model.
            default_instruction: Key of :data:`DEFAULT_INSTRUCTIONS`, used where a score is asked for without one and
                the form's own is the model card's.
            profile: Key of :data:`fresco.rerank.profiles.PROFILES`, or ``chat``; None for the one that fits.
            layer: Of a model with a head at each of its upper layers (:mod:`fresco.rerank.layerwise`); None: the last.

        Raises:
            FrescoError: the model cannot be found, is no language model, or has no head at that layer.
        """
        if default_instruction not in DEFAULT_INSTRUCTIONS:
            raise FrescoError(
                f"default instruction {default_instruction!r}: unknown; choose {' or '.join(DEFAULT_INSTRUCTIONS)}"
            )
        super().__init__(loading.find_model(self.family, model, settings, revision), settings)
        self._default = default_instruction
        if not self._files.architecture.endswith("ForCausalLM"):
            raise FrescoError(
                f"{self.name}: architecture {self._files.architecture} is no causal language model; "
                f"{_other_family(self._files)}"
            )
        self._layer = scoring_layer(self.name, self._files.json("config.json"), layer)
        asked = profile if self._layer is None else profile or LAYERWISE
        self._chosen = choose_form(self._files, settings.template, settings.answers, asked)
        chosen = {"profile": profile, "layer": layer}
        if written := "&".join(f"{name}={value}" for name, value in chosen.items() if value is not None):
            self.name += f"#{written}"
        self.takes_instruction = self._chosen is None or self._chosen.takes_instruction

    @cached_property
    def form(self) -> PromptForm:
        """How the model is asked; reading a chat template loads the tokenizer."""
        form = self._chosen or chat_form(self.name, loading.tokenizer(self._files), self._settings.answers)
        return form if self._layer is None else replace(form, yes=(), no=())  # its heads give a score, no words

    def _load(self) -> AskedModel:
        if self._layer is not None:
            return LayerModel(self.name, self._files, self._settings, self.form, self._layer)
        return _AnswerModel(self.name, self._files, self._settings, self.form)

    def _instruct(self, loaded: AskedModel, instruction: str | None) -> None:
        loaded.instruction = self._instruction if instruction is None else instruction

    @property
    def _instruction(self) -> str | None:
        own = self.form.instruction
        return DEFAULT_INSTRUCTIONS[self._default] if own == MODEL_CARD_INSTRUCTION else own

    def _identity(self) -> str:
        default = hashlib.sha256((self._instruction or "").encode()).hexdigest()
        layer = "" if self._layer is None else f"|layer={self._layer}"
        return f"|prompt={self.form.digest},{default}{layer}"

    def _details(self, loaded: AskedModel | None) -> Mapping[str, Any]:
        form = self.form
        return {
            "template": form.text,
            "template_source": form.source,
            "answers": form.answers,
            "default_instruction": self._instruction,
            "default_instruction_source": self._default if form.instruction == MODEL_CARD_INSTRUCTION else "template",
            "score": f"the head of layer {self._layer}" if self._layer is not None else _SCORES[bool(form.no)],
            "used": describe_form(form),
            "tokens_saved_by_sharing": loaded.saved if loaded else None,
        }


class _AnswerModel(AskedModel):
    """A loaded language model."""

    def __init__(self, spec: str, files: loading.ModelFiles, settings: Settings, form: PromptForm) -> None:
        super().__init__(spec, files, form)
        model = load_language_model(files, settings)
        self.device = model.device
        self.dtype = dtype_name(model, settings)
        self.limit = loading.token_limit(spec, model, self._tokenizer, settings.max_length, **self.published_limit)
        self._decoder = model.base_model
        self._head = AnswerHead(model, self._answers)
        self._check_against(spec, model)
        texts = [(query, "a passage " * length) for query in ("one", "another query") for length in (1, 40, 7)]
        self.sharing = share(self, self._decoder, self.dtype, self._tokens(texts), [query for query, _ in texts])

    @property
    def saved(self) -> int:
        return self.sharing.saved

    def forward(self, batch: Batch) -> torch.Tensor:
        import torch

        hidden = self._decoder(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
        ).last_hidden_state
        rows = torch.arange(len(hidden), device=hidden.device)
        return self._head(hidden[rows, batch.attention_mask.sum(dim=1) - 1])

    def cut(
        self, pairs: Sequence[Pair], tokens: Sequence[Tokens], budget: int
    ) -> Iterator[tuple[list[int], Callable[[], torch.Tensor]]]:
        """The prompts of a query, or of a passage where that comes first, share their beginning."""
        return self.sharing.cut(self, tokens, [self._key(pair) for pair in pairs], budget)

    def wanted(self, own: Tokens) -> range:
        """The last token's."""
        return range(len(own) - 1, len(own))

    def read(self, hidden: torch.Tensor, tokens: Sequence[Tokens]) -> torch.Tensor:
        """See :class:`fresco.models.reading.ReadModel`."""
        return self._head(hidden)

    def _check_against(self, spec: str, model: Any) -> None:
        """Compare the head's few rows with the model's own logits on the bare form."""
        import torch

        ids = torch.tensor([self._tokens([("", "")])[0].ids], device=self.device)
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=False).logits[0, -1].float()
            ours = self.forward(Batch(ids, torch.ones_like(ids), None))[0]
        theirs = logits[self._answers[0]] - (logits[self._answers[1]] if len(self._answers) > 1 else 0)
        if not math.isfinite(float(theirs)):
            raise FrescoError(f"{spec}: its logits are no finite numbers in {self.dtype}; try another --dtype")
        # bfloat16 rounds each logit to 1 part in 256 and accumulates; a scaled or capped head is off by far more
        tolerance = (1e-4 if self.dtype == "float32" else 0.05) * max(1.0, float(logits.abs().max()))
        if not abs(float(ours - theirs)) <= tolerance:
            raise FrescoError(
                f"{spec}: its logits are not a plain product with the output head (difference "
                f"{float(ours - theirs):.2g}); this kind of model is not supported"
            )


def _other_family(files: loading.ModelFiles) -> str:
    """Which family opens it: never one that sends the user back here."""
    architecture = files.architecture
    if architecture.endswith("ForSequenceClassification"):
        return f"a model with a scoring head is cross-encoder:{files.model}"
    if architecture.endswith("ForConditionalGeneration"):
        return f"an encoder-decoder is seq2seq:{files.model} or likelihood:{files.model}"
    return f"an embedding model is dense:{files.model}"


@RERANKERS.register(
    "causal-lm:MODEL",
    "an LLM's yes/no logits, asked as the model wants",
    needs=MODELS_EXTRA,
    example="ORGANISATION/NAME or causal-lm:./folder",
    instruction="yes",
)
def _open(arguments: str, settings: Settings) -> Reranker:
    model, options = split_options(_FAMILY, arguments, OPTIONS)
    files = loading.find_model(_FAMILY, model, settings)
    if is_saved_cross_encoder(files) and settings.template is None and not options:
        return CrossEncoderReranker(model, settings, shown_as=f"{_FAMILY}:{model}")
    return CausalLmReranker(model, settings, **options)
