"""``dense:MODEL``: query and passage embedded apart by a sentence-transformers model, compared by its own similarity.

That is the cosine unless the model says otherwise. Query and document prompts that are saved with the model apply. Each
distinct text of a run is embedded once, in batches that depend on the texts alone, and a batch of passages is scored
against all its queries at once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.batching import plan, token_budget
from fresco.models.in_memory import ModelInMemory
from fresco.models.settings import Settings
from fresco.models.tokens import Disarm, shorten
from fresco.records import Pair, Passage, Query
from fresco.rerank.model_reranker import ModelReranker
from fresco.rerank.registry import MODELS_EXTRA, RERANKERS

if TYPE_CHECKING:
    import torch

_FAMILY = "dense"
_SEAM = 4  # tokens by which a text's length can be off where it meets the prompt


class Dense(ModelReranker["_Embedder"]):
    """Scores pairs by the similarity of their embeddings.

    Attributes:
        name: ``dense:MODEL``.
        truncated: Distinct passages whose end this process cut.
    """

    family = _FAMILY

    def __init__(self, model: str | Any, settings: Settings, *, revision: str | None = None) -> None:
        """Check the model's files; weights load at the first score.

        Args:
            model: A folder, a Hugging Face model id, or a ``SentenceTransformer`` that is loaded already.
            settings: Device, dtype, lengths.
            revision: Branch, tag or commit of a hub model.

        Raises:
            FrescoError: the model cannot be found, or is no embedding model.
        """
        super().__init__(loading.find_or_hold(_FAMILY, model, settings, revision), settings)
        if self._files.architecture.endswith("ForSequenceClassification"):
            raise FrescoError(
                f"{self.name}: {self._files.architecture} scores pairs and embeds nothing; "
                f"try cross-encoder:{self._files.model}"
            )

    def _load(self) -> _Embedder:
        return _Embedder(self._files, self._settings)

    def _details(self, loaded: _Embedder | None) -> Mapping[str, Any]:
        warning = _warning(self._files)
        return {"score": loaded.similarity if loaded else None, **({"warnings": [warning]} if warning else {})}

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> list[float]:
        """Score one pool; see :class:`fresco.rerank.base.Reranker`."""
        scores = [0.0] * len(passages)
        pairs = [(query, passage) for passage in passages]
        for indices, values in self.score_batches(pairs, instruction, lambda _: False):
            for index, value in zip(indices, values, strict=True):
                scores[index] = value
        return scores

    def score_batches(
        self, pairs: Sequence[Pair], instruction: str | None, is_done: Callable[[Sequence[int]], bool]
    ) -> Iterator[tuple[list[int], list[float]]]:
        """Score a run; see :class:`fresco.rerank.base.BatchScorer`."""
        return self._ready().score_batches(pairs, is_done)


class _Embedder:
    """A loaded embedding model."""

    def __init__(self, files: loading.Model, settings: Settings) -> None:
        self._name = f"{_FAMILY}:{files.model}"
        self._model = files.loaded.eval() if isinstance(files, ModelInMemory) else _load_model(files, settings)
        self.device: torch.device = self._model.device
        self._tokenizer = self._model.tokenizer
        if not getattr(self._tokenizer, "is_fast", False):
            raise FrescoError(f"{self._name}: its tokenizer must be a fast one (tokenizer.json)")
        self.dtype = str(self._model.dtype).removeprefix("torch.")
        self.similarity = str(self._model.similarity_fn_name)
        self.limit = loading.length_limit(files, self._model.transformers_model, self._tokenizer, settings)
        if not isinstance(files, ModelInMemory):
            self._model.max_seq_length = self.limit
        self._budget = token_budget(self.device, settings.batch_tokens)
        self._disarm = Disarm(self._tokenizer)
        self.truncated = 0

    def score_batches(
        self, pairs: Sequence[Pair], is_done: Callable[[Sequence[int]], bool]
    ) -> Iterator[tuple[list[int], list[float]]]:
        import torch

        queries = {query.text: query for query, _ in pairs}
        query_rows = {text: row for row, text in enumerate(queries)}
        passages = {passage.text: passage for _, passage in pairs}
        places: dict[str, list[int]] = defaultdict(list)
        for index, (_, passage) in enumerate(pairs):
            places[passage.text].append(index)
        texts = list(passages)
        inputs, lengths = self._inputs("document", list(passages.values()))
        query_vectors: torch.Tensor | None = None
        for batch in plan(lengths, self._budget):
            indices = [index for place in batch for index in places[texts[place]]]
            if is_done(indices):
                continue
            with torch.inference_mode():
                if query_vectors is None:
                    query_vectors = self._embedded_queries(list(queries.values()))
                vectors = self._embedded("document", [inputs[place] for place in batch])
                rows = [row for row, place in enumerate(batch) for _ in places[texts[place]]]
                asked = [query_rows[pairs[index][0].text] for index in indices]
                scores = self._model.similarity_pairwise(query_vectors[asked], vectors[rows])
            yield indices, scores.float().cpu().tolist()

    def _embedded_queries(self, queries: Sequence[Query]) -> torch.Tensor:
        """One vector for each query, in order, shape (queries, dimensions)."""
        import torch

        inputs, lengths = self._inputs("query", queries)
        batches = plan(lengths, self._budget)
        vectors = torch.cat([self._embedded("query", [inputs[index] for index in batch]) for batch in batches])
        planned = [index for batch in batches for index in batch]
        return vectors[sorted(range(len(planned)), key=planned.__getitem__)]

    def _embedded(self, task: str, batch: Sequence[str]) -> torch.Tensor:
        """One float32 vector for each text, shape (texts, dimensions), on the device."""
        encode = self._model.encode_query if task == "query" else self._model.encode_document
        options = {"batch_size": len(batch), "convert_to_tensor": True, "show_progress_bar": False}
        vectors: torch.Tensor = encode(list(batch), prompt=self._prompt(task), **options).float()
        return vectors

    def _prompt(self, task: str) -> str:
        names = ("query",) if task == "query" else ("document", "passage", "corpus")  # sentence-transformers' order
        return str(next((self._model.prompts[name] for name in names if name in self._model.prompts), ""))

    def _inputs(self, task: str, texts: Sequence[Query | Passage]) -> tuple[list[str], list[int]]:
        """Disarmed texts that fit, with their numbers of tokens."""
        prompt = self._prompt(task)

        def measure(text: str) -> int:
            options = {"text": {"truncation": False, "verbose": False}}
            features = self._model.preprocess([text], prompt=prompt, task=task, processing_kwargs=options)
            return int(features["input_ids"].shape[1])

        inputs = [self._disarm(each.text) for each in texts]
        ids = self._tokenizer(inputs, add_special_tokens=False, return_attention_mask=False, verbose=False)["input_ids"]
        around = measure("")  # prompt and special tokens
        lengths = [len(each) + around for each in ids]
        for index, each in enumerate(texts):
            if lengths[index] <= self.limit - _SEAM:
                continue
            if isinstance(each, Passage):
                shortened = shorten(each, inputs[index], self._tokenizer, measure, self.limit)
                self.truncated += shortened != inputs[index]
                inputs[index], lengths[index] = shortened, self.limit
            elif measure(inputs[index]) > self.limit:
                raise FrescoError(
                    f"query {each.id} is longer than the {self.limit} tokens {self._name} reads; raise --max-length"
                )
        return inputs, lengths


def _warning(files: loading.Model) -> str | None:
    """What the library makes of a model that was never trained to embed: it averages its tokens and says nothing."""
    if isinstance(files, ModelInMemory) or files.has("modules.json") or files.has("config_sentence_transformers.json"):
        return None
    kind = files.architecture
    if kind.endswith(("ForCausalLM", "ForConditionalGeneration", "ForMaskedLM")):
        return (
            f"{kind} came without sentence-transformers' files and is most likely no embedding model: the mean of its "
            "tokens is compared"
        )
    return None


def _load_model(files: loading.ModelFiles, settings: Settings) -> Any:
    from sentence_transformers import SentenceTransformer

    device = loading.torch_device(settings)
    return loading.load(
        files,
        lambda: SentenceTransformer(
            files.location,
            revision=files.revision,
            device=str(device),
            model_kwargs={"dtype": loading.torch_dtype(settings)},
            trust_remote_code=False,
        ).eval(),
        all_weights=False,  # many checkpoints lack a pooler, which no embedding uses
    )


@RERANKERS.register(
    "dense:MODEL",
    "a sentence-transformers embedding model",
    needs=MODELS_EXTRA,
    example="ORGANISATION/NAME or dense:./folder",
    instruction="no",
)
def _open(model: str, settings: Settings) -> Dense:
    return Dense(model, settings)
