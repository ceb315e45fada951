"""``vllm:MODEL``: a cross-encoder or an LLM re-ranker computed by vLLM in this process, which batches as it goes.

A classifier runs in vLLM's pooling runner and is scored by its raw output, a language model in the generate runner by
the logits of its answer, as ``cross-encoder:`` and ``causal-lm:`` score them: texts become tokens by their code, so
that both read the same, and ``fresco parity`` compares them. Prompts are handed over a query at a time: vLLM's prefix
cache then keeps what they begin with. Options after ``MODEL#``:

``memory=0.9``
    Share of a GPU's memory that vLLM takes.
``tensor_parallel=1``
    GPUs over which the weights are spread; ``CUDA_VISIBLE_DEVICES`` says which.
``label=N``, ``profile=NAME``
    As for ``cross-encoder:`` and ``causal-lm:``.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.batching import Batch, Tokens
from fresco.models.settings import Settings
from fresco.models.shared_prefix import grouped
from fresco.models.tokens import Disarm, encode
from fresco.records import Pair
from fresco.rerank.base import Reranker
from fresco.rerank.causal_lm import OPTIONS as CAUSAL_OPTIONS
from fresco.rerank.causal_lm import AskedModel, CausalLmReranker
from fresco.rerank.cross_encoder import OPTIONS as CROSS_OPTIONS
from fresco.rerank.cross_encoder import CrossEncoderReranker, is_saved_cross_encoder, pair_tokens
from fresco.rerank.model_options import Readers, split_options, whole
from fresco.rerank.model_reranker import ModelReranker
from fresco.rerank.prompt_form import PromptForm
from fresco.rerank.registry import RERANKERS

if TYPE_CHECKING:
    import torch

_FAMILY = "vllm"
_HANDED_OVER = 512  # prompts at a time: vLLM is busy with far fewer, and a killed run loses no more


def _share(text: str) -> float:
    number = float(text)
    if not 0 < number <= 1:
        raise ValueError(text)
    return number


_OPTIONS: Readers = {
    "memory": ("a share from 0 to 1", _share),
    "tensor_parallel": ("a whole number from 1", whole(1)),
}


class _Engine:
    """vLLM with a model.

    Attributes:
        limit: Most tokens that a prompt may have.
        saved: Tokens that the prefix cache spared.

    Args:
        spec: For error messages.
        files: Of the model.
        settings: Of the run.
        options: Of :data:`_OPTIONS`.
        runner: ``pooling`` or ``generate``.
        most: Longest published input in tokens; None for what the model has positions for.
    """

    def __init__(
        self,
        spec: str,
        files: loading.ModelFiles,
        settings: Settings,
        options: Mapping[str, Any],
        runner: Literal["pooling", "generate"],
        most: int | None,
    ) -> None:
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")  # it tells its whole configuration otherwise
        from transformers import AutoConfig
        from vllm import LLM

        config = AutoConfig.from_pretrained(files.location, revision=files.revision, trust_remote_code=False)
        stub = SimpleNamespace(config=config, modules=tuple)
        given = {} if most is None else {"default": most}
        self.limit = loading.token_limit(spec, stub, loading.tokenizer(files), settings.max_length, **given)
        answer = 1 if runner == "generate" else 0  # the token that is generated wants a place, too
        positions = getattr(config.get_text_config(), "max_position_embeddings", None) or self.limit + answer
        length = min(self.limit + answer, positions)
        self.limit = length - answer
        self.saved = 0
        self._llm: Any = loading.load(
            files,
            lambda: LLM(
                model=files.location,
                revision=files.revision,
                runner=runner,
                dtype=settings.dtype,
                max_model_len=length,
                enable_prefix_caching=runner == "generate",
                gpu_memory_utilization=options.get("memory", 0.9),
                tensor_parallel_size=options.get("tensor_parallel", 1),
                seed=settings.seed,
                disable_log_stats=True,
                trust_remote_code=False,
                **({"logprobs_mode": "raw_logits"} if runner == "generate" else {}),
            ),
        )

    def logits(self, prompts: Sequence[Sequence[int]], answers: Sequence[int]) -> list[list[float]]:
        """The logits of a few tokens behind each prompt, shape (prompts, answers)."""
        from vllm import SamplingParams

        wanted = SamplingParams(max_tokens=1, temperature=0.0, logprob_token_ids=list(answers), detokenize=False)
        found = self._llm.generate([{"prompt_token_ids": list(ids)} for ids in prompts], wanted, use_tqdm=False)
        self.saved += sum(each.num_cached_tokens or 0 for each in found)
        return [[each.outputs[0].logprobs[0][token].logprob for token in answers] for each in found]

    def outputs(self, prompts: Sequence[Tokens]) -> list[list[float]]:
        """The raw outputs of a classifier, shape (prompts, labels)."""
        from vllm import PoolingParams

        asked = [PoolingParams(use_activation=False, extra_kwargs=_segments(own)) for own in prompts]
        texts = [{"prompt_token_ids": list(own.ids)} for own in prompts]
        found = self._llm.classify(texts, pooling_params=asked, use_tqdm=False)
        return [list(each.outputs.probs) for each in found]

    def close(self) -> None:
        """End vLLM's own process."""
        self._llm.llm_engine.engine_core.shutdown()


def _segments(own: Tokens) -> dict[str, int] | None:
    """Where the second segment begins, which is all that vLLM keeps of segment ids."""
    if own.type_ids is None or 1 not in own.type_ids:
        return None
    return {"compressed_token_type_ids": list(own.type_ids).index(1)}


class _InParts(ABC):
    """A model of pairs that vLLM computes, which makes its own batches inside what it is handed."""

    def __init__(self, engine: _Engine, settings: Settings) -> None:
        import torch

        self.engine = engine
        self.limit, self.dtype = engine.limit, settings.dtype
        self.device = torch.device("cpu")  # where scores arrive

    def forward(self, batch: Batch) -> torch.Tensor:
        raise NotImplementedError("vLLM makes its own batches")

    def cut(
        self, _pairs: Sequence[Pair], tokens: Sequence[Tokens], _budget: int
    ) -> Iterator[tuple[list[int], Callable[[], torch.Tensor]]]:
        for start in range(0, len(tokens), _HANDED_OVER):
            part = list(range(start, min(start + _HANDED_OVER, len(tokens))))
            yield part, functools.partial(self._score, [tokens[place] for place in part])

    @abstractmethod
    def _score(self, tokens: Sequence[Tokens]) -> torch.Tensor:
        """Scores of pairs, shape (pairs,)."""


class _Answers(_InParts, AskedModel):
    """A language model that is asked in words."""

    def __init__(
        self,
        spec: str,
        files: loading.ModelFiles,
        settings: Settings,
        options: Mapping[str, Any],
        form: PromptForm,
    ) -> None:
        AskedModel.__init__(self, spec, files, form)
        _InParts.__init__(self, _Engine(spec, files, settings, options, "generate", form.max_length), settings)

    @property
    def saved(self) -> int:
        return self.engine.saved

    def _score(self, tokens: Sequence[Tokens]) -> torch.Tensor:
        import torch

        logits = torch.tensor(self.engine.logits([own.ids for own in tokens], self._answers))
        return logits[:, 0] - logits[:, 1] if logits.shape[1] > 1 else logits[:, 0]


class _ByVllm(ModelReranker[Any]):
    """A re-ranker over vLLM, whichever of its runners: its scores are of that version, and its process is ended."""

    family = _FAMILY

    def _identity(self) -> str:
        return f"{super()._identity()}|{_version()}"

    def close(self) -> None:
        """End vLLM; the next score starts it again."""
        if isinstance(self._loaded, _InParts):
            self._loaded.engine.close()
        super().close()


class VllmAnswers(_ByVllm, CausalLmReranker):
    """``causal-lm:`` computed by vLLM."""

    def __init__(self, model: str, settings: Settings, engine: Mapping[str, Any], **options: Any) -> None:
        """As for ``causal-lm:``.

        Args:
            model: A folder or a Hugging Face model id.
            settings: Dtype, lengths, a template of the user's own.
            engine: Of :data:`_OPTIONS`.
            **options: Of ``causal-lm:``.
        """
        super().__init__(model, settings, **options)
        self._engine = engine

    def _load(self) -> AskedModel:
        return _Answers(self.name, self._files, self._settings, self._engine, self.form)


class _Pairs(_InParts):
    """A classifier of pairs."""

    padding_side: Literal["left", "right"] = "right"
    pad_id = 0

    def __init__(
        self,
        spec: str,
        files: loading.ModelFiles,
        settings: Settings,
        options: Mapping[str, Any],
        label: int | None,
        form: PromptForm | None,
    ) -> None:
        self._tokenizer = loading.tokenizer(files)
        if not getattr(self._tokenizer, "is_fast", False):
            raise FrescoError(f"{spec}: its tokenizer must be a fast one (tokenizer.json)")
        self._label, self._form = label or 0, form
        most = None if form is None else form.max_length
        super().__init__(_Engine(spec, files, settings, options, "pooling", most), settings)
        self._disarm = Disarm(self._tokenizer, () if form is None else form.names)
        self._instruction: str | None = None
        self.truncated = 0

    def instruct(self, instruction: str | None) -> None:
        self._instruction = instruction

    def encode(self, pairs: Sequence[Pair]) -> list[Tokens]:
        encoded, cut = encode(pairs, self._tokenizer, self._disarm, self._tokens, self.limit)
        self.truncated += cut
        return encoded

    def order(self, pairs: Sequence[Pair]) -> list[int]:
        return grouped([query.text for query, _ in pairs])

    def _score(self, tokens: Sequence[Tokens]) -> torch.Tensor:
        import torch

        return torch.tensor([own[self._label] for own in self.engine.outputs(tokens)])

    def _tokens(self, texts: Sequence[tuple[str, str]]) -> list[Tokens]:
        if self._form is not None:
            told = None if self._instruction is None else self._disarm(self._instruction)
            return [Tokens(ids) for ids in self._form.encode(self._tokenizer, told, texts)]
        return pair_tokens(self._tokenizer, texts)


class VllmPairs(_ByVllm, CrossEncoderReranker):
    """``cross-encoder:`` computed by vLLM."""

    _files: loading.ModelFiles

    def __init__(self, model: str, settings: Settings, engine: Mapping[str, Any], **options: Any) -> None:
        """As for ``cross-encoder:``.

        Args:
            model: A folder or a Hugging Face model id.
            settings: Dtype, lengths, a template of the user's own.
            engine: Of :data:`_OPTIONS`.
            **options: Of ``cross-encoder:``.

        Raises:
            FrescoError: sentence-transformers lays its pairs out, which vLLM knows nothing of.
        """
        super().__init__(model, settings, **options)
        self._engine = engine
        if self._form is None and (self._templated or self.takes_instruction):
            raise FrescoError(
                f"{self.name}: its pairs are laid out by sentence-transformers (chat template, prompts); score it by "
                f"cross-encoder:{model}, or write the prompt in a file: --template FILE"
            )

    def _load(self) -> Any:
        return _Pairs(self.name, self._files, self._settings, self._engine, self._label, self._form)


@functools.cache
def _version() -> str:
    (name, *_) = importlib.metadata.packages_distributions()["vllm"]  # builds for a CPU have a name of their own
    return f"vllm{'.'.join(importlib.metadata.version(name).split('.')[:2])}"


@RERANKERS.register(
    "vllm:MODEL",
    "a cross-encoder or LLM re-ranker by vLLM, in process",
    needs="pip install 'fresco-ccs[vllm]'",
    example="ORGANISATION/NAME or vllm:./folder",
    instruction="as for causal-lm:",
)
def _open(arguments: str, settings: Settings) -> Reranker:
    if importlib.util.find_spec("vllm") is None:
        raise FrescoError("vllm: needs vLLM; run pip install 'fresco-ccs[vllm]'")
    if settings.device not in (None, "cpu", "cuda"):
        raise FrescoError(
            f"--device {settings.device}: vllm: takes the GPUs that CUDA_VISIBLE_DEVICES names; spread a model over "
            "several with #tensor_parallel=N"
        )
    known = {**_OPTIONS, **CROSS_OPTIONS, **CAUSAL_OPTIONS}
    model, options = split_options(_FAMILY, arguments, known)
    files = loading.find_model(_FAMILY, model, settings)
    engine = {name: options.pop(name) for name in _OPTIONS if name in options}
    own: Readers
    make: Callable[..., Reranker]
    if files.architecture.endswith("ForSequenceClassification"):
        own, make = CROSS_OPTIONS, VllmPairs
    elif is_saved_cross_encoder(files) or not files.architecture.endswith("ForCausalLM"):
        raise FrescoError(f"vllm:{model}: {files.architecture} is neither a classifier nor a plain language model")
    else:
        own, make = CAUSAL_OPTIONS, VllmAnswers
    if further := options.keys() - own:
        raise FrescoError(f"vllm:{model}: {min(further)}= is no option of a {files.architecture}")
    return make(model, settings, engine, **options)
