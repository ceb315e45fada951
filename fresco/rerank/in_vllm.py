"""``vllm:MODEL``: re-rankers computed by vLLM in this process, which batches as it goes.

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
``as=likelihood|listwise``
    A language model as ``likelihood:`` (log-probabilities of the prompt) or ``listwise:`` take it, the latter with the
    options of that family.
"""

from __future__ import annotations

import functools
import importlib.util
import statistics
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.batching import Batch, Tokens
from fresco.models.settings import Settings
from fresco.models.shared_prefix import grouped
from fresco.models.tokens import Disarm, encode, fast
from fresco.records import Pair
from fresco.rerank.asked_model import AskedModel
from fresco.rerank.base import Reranker
from fresco.rerank.causal_lm import OPTIONS as CAUSAL_OPTIONS
from fresco.rerank.causal_lm import CausalLmReranker
from fresco.rerank.cross_encoder import OPTIONS as CROSS_OPTIONS
from fresco.rerank.cross_encoder import CrossEncoderReranker, is_saved_cross_encoder, pair_tokens
from fresco.rerank.layerwise import scoring_layer
from fresco.rerank.likelihood import LikelihoodReranker, QueryModel
from fresco.rerank.listwise import OPTIONS as LISTWISE_OPTIONS
from fresco.rerank.model_options import Readers, split_options
from fresco.rerank.model_reranker import ModelReranker
from fresco.rerank.prompt_form import PromptForm
from fresco.rerank.registry import RERANKERS
from fresco.rerank.vllm_chat import listwise_by_vllm
from fresco.rerank.vllm_engine import OPTIONS, Engine, Task, version

if TYPE_CHECKING:
    import torch

_FAMILY = "vllm"
LIKELIHOOD, LISTWISE = "likelihood", "listwise"
_WRITERS = (LIKELIHOOD, LISTWISE)
_AS = (f"one of {', '.join(_WRITERS)}", {each: each for each in _WRITERS}.__getitem__)
_HANDED_OVER = 512  # prompts at a time: vLLM is busy with far fewer, and a killed run loses no more


class _InParts(ABC):
    """A model of pairs that vLLM computes, which makes its own batches inside what it is handed."""

    device: torch.device
    dtype: str
    limit: int

    def __init__(self, own: _ByVllm, task: Task, most: int | None) -> None:
        """Start vLLM; what else may be wrong with the model is looked for before."""
        import torch

        self.engine = Engine(own.name, own.files, own.settings, own.engine, task, most)
        self.limit, self.dtype = self.engine.limit, own.settings.dtype
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

    def __init__(self, own: _ByVllm, form: PromptForm) -> None:
        AskedModel.__init__(self, own.name, own.files, form)
        _InParts.__init__(self, own, "logits", form.max_length)

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
    _files: loading.ModelFiles

    def __init__(self, model: Any, settings: Settings, engine: Mapping[str, Any], **options: Any) -> None:
        """As for the family whose scores they are.

        Args:
            model: A folder or a Hugging Face model id.
            settings: Dtype, lengths, a template of the user's own.
            engine: Of :data:`fresco.rerank.vllm_engine.OPTIONS`.
            **options: Of that family.
        """
        super().__init__(model, settings, **options)
        self.settings, self.engine = settings, engine

    @property
    def files(self) -> loading.ModelFiles:
        """Where its weights lie."""
        return self._files

    def _identity(self) -> str:
        return f"{super()._identity()}|{version()}"

    def close(self) -> None:
        """End vLLM; the next score starts it again."""
        if isinstance(self._loaded, _InParts):
            self._loaded.engine.close()
        super().close()


class VllmAnswers(_ByVllm, CausalLmReranker):
    """``causal-lm:`` computed by vLLM."""

    def _load(self) -> AskedModel:
        return _Answers(self, self.form)


class _Pairs(_InParts):
    """A classifier of pairs."""

    padding_side: Literal["left", "right"] = "right"
    pad_id = 0

    def __init__(self, own: _ByVllm, label: int | None, form: PromptForm | None) -> None:
        self._tokenizer = fast(own.name, loading.tokenizer(own.files))
        self._label, self._form = label or 0, form
        super().__init__(own, "outputs", None if form is None else form.max_length)
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

    def __init__(self, model: str, settings: Settings, engine: Mapping[str, Any], **options: Any) -> None:
        """See :class:`_ByVllm`.

        Raises:
            FrescoError: sentence-transformers lays its pairs out, which vLLM knows nothing of.
        """
        super().__init__(model, settings, engine, **options)
        if self._form is None and (self._templated or self.takes_instruction):
            raise FrescoError(
                f"{self.name}: its pairs are laid out by sentence-transformers (chat template, prompts); score it by "
                f"cross-encoder:{model}, or write the prompt in a file: --template FILE"
            )

    def _load(self) -> Any:
        return _Pairs(self, self._label, self._form)


class _Likelihoods(_InParts, QueryModel):
    """A language model that foretells the query."""

    def __init__(self, own: _ByVllm, form: PromptForm) -> None:
        QueryModel.__init__(self, fast(own.name, loading.tokenizer(own.files)), form)
        _InParts.__init__(self, own, "text", None)

    def order(self, pairs: Sequence[Pair]) -> list[int]:
        return list(range(len(pairs)))  # nothing is shared: vLLM reads a prompt whole to tell what tokens are worth

    def _score(self, tokens: Sequence[Tokens]) -> torch.Tensor:
        import torch

        firsts = [len(own) - sum(own.type_ids or ()) for own in tokens]
        found = self.engine.log_probabilities([own.ids for own in tokens], firsts)
        return torch.tensor([statistics.fmean(each) for each in found])


class VllmLikelihood(_ByVllm, LikelihoodReranker):
    """``likelihood:`` of a decoder, computed by vLLM."""

    def __init__(self, model: str, settings: Settings, engine: Mapping[str, Any]) -> None:
        """See :class:`_ByVllm`."""
        super().__init__(model, settings, engine)
        self.name += f"#as={LIKELIHOOD}"

    def _identity(self) -> str:
        return f"|as={LIKELIHOOD}{super()._identity()}"

    def _load(self) -> QueryModel:
        return _Likelihoods(self, self.form)


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
    readers = {**OPTIONS, **CROSS_OPTIONS, **CAUSAL_OPTIONS, **LISTWISE_OPTIONS, "as": _AS}
    model, options = split_options(_FAMILY, arguments, readers)
    files = loading.find_model(_FAMILY, model, settings)
    engine = {name: options.pop(name) for name in OPTIONS if name in options}
    kind = options.pop("as", None) or files.architecture
    own, make = _choose(model, kind, files)
    if further := options.keys() - own:
        raise FrescoError(f"vllm:{model}: {min(further)}= is no option of a {kind}")
    return make(model, settings, engine, **options)


def _choose(model: str, kind: str, files: loading.ModelFiles) -> tuple[Readers, Callable[..., Reranker]]:
    """The options and the class for a model, as its architecture says or as the user wants it."""
    writes = files.architecture.endswith("ForCausalLM") and not is_saved_cross_encoder(files)
    if kind in _WRITERS and not writes:
        raise FrescoError(f"vllm:{model}: as={kind} wants a language model, which {files.architecture} is not")
    if kind == LIKELIHOOD:
        return {}, VllmLikelihood
    if kind == LISTWISE:
        return LISTWISE_OPTIONS, listwise_by_vllm
    if kind.endswith("ForSequenceClassification"):
        return CROSS_OPTIONS, VllmPairs
    if not writes:
        raise FrescoError(f"vllm:{model}: {files.architecture} is neither a classifier nor a plain language model")
    if scoring_layer(f"vllm:{model}", files.json("config.json"), None) is not None:
        raise FrescoError(f"vllm:{model}: vLLM computes no head of a single layer; score it as causal-lm:{model}")
    return CAUSAL_OPTIONS, VllmAnswers
