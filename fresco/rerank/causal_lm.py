"""``causal-lm:MODEL``: a language model asked for "yes" or "no", in the form of Qwen3-Reranker.

The prompt is the one of the model card (https://huggingface.co/Qwen/Qwen3-Reranker-0.6B), token for token. The score is
``logit(yes) - logit(no)`` at the last position, in float32; its sigmoid is the published score P(yes), which keeps the
order but ties confident passages at 0 or 1.

Three things are left out that the published code computes and throws away: logits at every position, logits of the rest
of the vocabulary, the key-value cache. The hidden state of the last token is multiplied with one vector, the difference
of the head's rows for "yes" and "no". A check at load compares this with the model's own logits, so that a model whose
logits are made otherwise (scaled, capped) is refused rather than mis-scored.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.batching import Batch, Tokens
from fresco.models.settings import Settings
from fresco.models.tokens import Disarm, encode
from fresco.records import Pair
from fresco.rerank.model_reranker import PairReranker
from fresco.rerank.registry import MODELS_EXTRA, RERANKERS

if TYPE_CHECKING:
    import torch

_FAMILY = "causal-lm"

PREFIX = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
    'provided. Note that the answer can only be "yes" or "no".<|im_end|>\n<|im_start|>user\n'
)
BODY = "<Instruct>: {instruction}\n<Query>: {query}\n<Document>: {document}"
SUFFIX = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
_CONTROL_TOKENS = ("<|im_start|>", "<|im_end|>")
_FIELDS = ("<Instruct>:", "<Query>:", "<Document>:")

#: Default of the model card's code.
MODEL_CARD_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query"
#: Default of the class ``Qwen3Reranker`` in the reference repository's example (QwenLM/Qwen3-Embedding), sic.
REPOSITORY_INSTRUCTION = "Given the user query, retrieval the relevant passages"
DEFAULT_INSTRUCTIONS = {"model card": MODEL_CARD_INSTRUCTION, "repository": REPOSITORY_INSTRUCTION}

#: Longest input of the model card's code.
MODEL_CARD_MAX_LENGTH = 8192


class CausalLmReranker(PairReranker["_YesNoModel"]):
    """Scores pairs with the yes/no logits of a language model.

    Attributes:
        name: ``causal-lm:MODEL``.
        truncated: Pairs of which this process cut the passage's end.
    """

    family = _FAMILY
    takes_instruction = True
    _files: loading.ModelFiles

    def __init__(
        self, model: str, settings: Settings, *, revision: str | None = None, default_instruction: str = "model card"
    ) -> None:
        """Check the model's files; weights load at the first score.

        Args:
            model: A folder or a Hugging Face model id.
            settings: Device, dtype, lengths.
            revision: Branch, tag or commit of a hub model.
            default_instruction: Key of :data:`DEFAULT_INSTRUCTIONS`, used where a score is asked for without one.

        Raises:
            FrescoError: the model cannot be found, or is no language model.
        """
        if default_instruction not in DEFAULT_INSTRUCTIONS:
            raise FrescoError(
                f"default instruction {default_instruction!r}: unknown; choose {' or '.join(DEFAULT_INSTRUCTIONS)}"
            )
        super().__init__(loading.find_model(_FAMILY, model, settings, revision), settings)
        self._default = default_instruction
        if not self._files.architecture.endswith("ForCausalLM"):
            raise FrescoError(
                f"{self.name}: architecture {self._files.architecture} is no causal language model; "
                f"a model with a scoring head is cross-encoder:{model}"
            )

    def _load(self) -> _YesNoModel:
        return _YesNoModel(self._files, self._settings)

    def _instruct(self, loaded: _YesNoModel, instruction: str | None) -> None:
        loaded.instruction = DEFAULT_INSTRUCTIONS[self._default] if instruction is None else instruction

    def _identity(self) -> str:
        text = f"{PREFIX}{BODY}{SUFFIX}{DEFAULT_INSTRUCTIONS[self._default]}"
        return f"|prompt={hashlib.sha256(text.encode()).hexdigest()}"

    def _details(self, loaded: _YesNoModel | None) -> Mapping[str, Any]:
        return {
            "template": PREFIX + BODY + SUFFIX,
            "default_instruction": DEFAULT_INSTRUCTIONS[self._default],
            "default_instruction_source": self._default,
            "score": "logit(yes) - logit(no)",
        }


class _YesNoModel:
    """A loaded language model as :class:`fresco.models.batching.BatchModel`."""

    padding_side: Literal["left", "right"] = "right"  # positions then count from 0 in every row, as without padding

    def __init__(self, files: loading.ModelFiles, settings: Settings) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        spec = f"{_FAMILY}:{files.model}"
        self.device = loading.torch_device(settings)
        self._tokenizer = loading.load(
            files, lambda: AutoTokenizer.from_pretrained(files.location, revision=files.revision)
        )
        model = loading.load(
            files,
            lambda: AutoModelForCausalLM.from_pretrained(
                files.location, revision=files.revision, dtype=loading.torch_dtype(settings)
            ),
        )
        model = model.to(self.device).eval()
        self.dtype = str(model.dtype).removeprefix("torch.")
        self.limit = loading.token_limit(
            spec, model, self._tokenizer, settings.max_length, default=MODEL_CARD_MAX_LENGTH
        )
        self._yes, self._no = _answers(spec, self._tokenizer)
        self._prefix, self._suffix = self._ids(PREFIX), self._ids(SUFFIX)
        self.pad_id: int = self._tokenizer.pad_token_id or 0  # masked, and behind every real token: any id will do
        self._decoder = model.base_model
        self._direction, self._bias = _head(model, self._yes, self._no)
        self._disarm = Disarm(self._tokenizer, _FIELDS)
        self.instruction = MODEL_CARD_INSTRUCTION
        self.truncated = 0
        self._check_against(spec, model)

    def encode(self, pairs: Sequence[Pair]) -> list[Tokens]:
        encoded, cut = encode(pairs, self._tokenizer, self._disarm, self._tokens, self.limit)
        self.truncated += cut
        return encoded

    def forward(self, batch: Batch) -> torch.Tensor:
        import torch

        hidden = self._decoder(
            input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
        ).last_hidden_state
        rows = torch.arange(len(hidden), device=hidden.device)
        last = hidden[rows, batch.attention_mask.sum(dim=1) - 1]
        scores: torch.Tensor = last.float() @ self._direction + self._bias
        return scores

    def _tokens(self, texts: Sequence[tuple[str, str]]) -> list[Tokens]:
        instruction = self._disarm(self.instruction)
        bodies = [BODY.format(instruction=instruction, query=query, document=passage) for query, passage in texts]
        encoded = self._tokenizer(bodies, add_special_tokens=False, return_attention_mask=False, verbose=False)
        return [Tokens([*self._prefix, *ids, *self._suffix]) for ids in encoded["input_ids"]]

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _check_against(self, spec: str, model: Any) -> None:
        """Compare the two-row head with the model's own logits on the bare template."""
        import torch

        ids = torch.tensor([[*self._prefix, *self._suffix]], device=self.device)
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=False).logits[0, -1].float()
            ours = self.forward(Batch(ids, torch.ones_like(ids), None))[0]
        theirs = logits[self._yes] - logits[self._no]
        # bfloat16 rounds each logit to 1 part in 256 and accumulates; a scaled or capped head is off by far more
        tolerance = (1e-4 if self.dtype == "float32" else 0.05) * max(1.0, float(logits.abs().max()))
        if not abs(float(ours - theirs)) <= tolerance:
            raise FrescoError(
                f"{spec}: its logits are not a plain product with the output head (difference "
                f"{float(ours - theirs):.2g}); this kind of model is not supported"
            )


def _answers(spec: str, tokenizer: Any) -> tuple[int, int]:
    """Token ids of "yes" and "no"."""
    if not getattr(tokenizer, "is_fast", False):
        raise FrescoError(f"{spec}: its tokenizer must be a fast one (tokenizer.json)")
    missing = [token for token in _CONTROL_TOKENS if token not in tokenizer.get_vocab()]
    if missing:
        raise FrescoError(f"{spec}: its tokenizer has no {' and no '.join(missing)}: not a model for this template")
    answers = []
    for word in ("yes", "no"):
        ids = tokenizer(word, add_special_tokens=False)["input_ids"]
        if len(ids) != 1 or ids[0] == tokenizer.unk_token_id:
            raise FrescoError(f"{spec}: its tokenizer cuts {word!r} into {len(ids)} tokens; it must be a single one")
        answers.append(ids[0])
    return answers[0], answers[1]


def _head(model: Any, yes: int, no: int) -> tuple[torch.Tensor, torch.Tensor | float]:
    """The output head's row and bias for "yes" less those for "no", float32."""
    head = model.get_output_embeddings()
    weight, bias = head.weight.detach(), getattr(head, "bias", None)
    direction = weight[yes].float() - weight[no].float()
    return direction, 0.0 if bias is None else bias[yes].detach().float() - bias[no].detach().float()


@RERANKERS.register(
    "causal-lm:MODEL",
    "an LLM's yes/no logits (Qwen3-Reranker)",
    needs=MODELS_EXTRA,
    example="ORGANISATION/NAME or causal-lm:./folder",
    instruction="yes",
)
def _open(model: str, settings: Settings) -> CausalLmReranker:
    return CausalLmReranker(model, settings)
