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
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.batching import Batch, Tokens, score_all, score_in_batches
from fresco.models.settings import Settings
from fresco.models.tokens import Disarm, encode
from fresco.records import Pair, Passage, Query
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


class CausalLmReranker:
    """Scores pairs with the yes/no logits of a language model.

    Attributes:
        name: ``causal-lm:MODEL``.
        truncated: Pairs of which this process cut the passage's end.
    """

    takes_instruction = True
    pointwise = True

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
        self.name = f"{_FAMILY}:{model}"
        self._settings = settings
        self._default = default_instruction
        self._files = loading.find_model(_FAMILY, model, settings, revision)
        if not self._files.architecture.endswith("ForCausalLM"):
            raise FrescoError(
                f"{self.name}: architecture {self._files.architecture} is no causal language model; "
                f"a model with a scoring head is cross-encoder:{model}"
            )
        self._loaded: _Loaded | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Weights, configs and tokenizer, dtype, length limit, template, default instruction and library versions.

        Device and batch size are left out: they change scores by rounding only.
        """
        prompt = hashlib.sha256(f"{PREFIX}{BODY}{SUFFIX}{DEFAULT_INSTRUCTIONS[self._default]}".encode()).hexdigest()
        return (
            f"{_FAMILY}|{self._files.identity}|{self._settings.dtype}|max_length={self._settings.max_length}"
            f"|prompt={prompt}|{loading.library_versions()}"
        )

    @property
    def truncated(self) -> int:
        """Pairs of which this process cut the passage's end."""
        return self._loaded.truncated if self._loaded else 0

    def describe(self) -> Mapping[str, Any]:
        """Model, revision, template, and the instruction of a run that names none."""
        loaded = self._loaded
        return {
            "model": self._files.model,
            "revision": self._files.revision or self._files.identity,
            "dtype": loaded.dtype if loaded else self._settings.dtype,
            "device": str(loaded.device) if loaded else self._settings.device,
            "max_length": loaded.limit if loaded else self._settings.max_length,
            "batch_tokens": self._settings.batch_tokens,
            "template": PREFIX + BODY + SUFFIX,
            "default_instruction": DEFAULT_INSTRUCTIONS[self._default],
            "default_instruction_source": self._default,
            "score": "logit(yes) - logit(no)",
            "truncated": self.truncated,
        }

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> list[float]:
        """Score one pool; see :class:`fresco.rerank.base.Reranker`."""
        pairs = [(query, passage) for passage in passages]
        return score_all(self._load(instruction), pairs, self._settings.batch_tokens)

    def score_batches(
        self, pairs: Sequence[Pair], instruction: str | None, is_done: Callable[[Sequence[int]], bool]
    ) -> Iterator[tuple[Sequence[int], Sequence[float]]]:
        """Score all pairs of a run; see :class:`fresco.rerank.base.BatchScorer`."""
        yield from score_in_batches(self._load(instruction), pairs, self._settings.batch_tokens, is_done)

    def close(self) -> None:
        """Drop the weights; the next score loads them again."""
        device = self._loaded.device if self._loaded else None
        self._loaded = None
        loading.release(device)

    def _load(self, instruction: str | None) -> _Loaded:
        if self._loaded is None:
            self._loaded = _Loaded(self._files, self._settings)
        self._loaded.instruction = DEFAULT_INSTRUCTIONS[self._default] if instruction is None else instruction
        return self._loaded


class _Loaded:
    """A loaded model as :class:`fresco.models.batching.BatchModel`."""

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
