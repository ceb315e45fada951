"""Query and passage embedded apart by a model of sentence-transformers, compared by the model's own similarity.

What ``dense:``, ``sparse:`` and ``late:`` share. Query and document prompts that are saved with the model apply. Each
distinct text of a run is embedded once, in batches that depend on the texts alone, and a batch of passages is compared
with all its queries at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError
from fresco.models import loading
from fresco.models.batching import plan, token_budget
from fresco.models.in_memory import ModelInMemory
from fresco.models.quantized import dtype_name, quantize
from fresco.models.settings import Settings
from fresco.models.tokens import Disarm, fast, shorten
from fresco.records import Pair, Passage, Query
from fresco.rerank.model_reranker import ModelReranker

if TYPE_CHECKING:
    import torch

_SEAM = 4  # tokens by which a text's length can be off where it meets the prompt
_COMPARED = 256  # pairs at once: embeddings over a vocabulary, or of every token, fill memory otherwise


class EmbeddingReranker(ModelReranker["Embedder"]):
    """Scores pairs by the similarity of what an :class:`Embedder` makes of query and passage.

    Attributes:
        name: ``FAMILY:MODEL``.
        truncated: Distinct passages whose end this process cut.
    """

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


class Embedder(ABC):
    """A loaded embedding model.

    Args:
        files: Of the model, or the object that is loaded already.
        settings: Device, dtype, lengths.
        kind: The model's class in sentence-transformers.
    """

    def __init__(self, files: loading.Model, settings: Settings, kind: str) -> None:
        self._name = f"{files.family}:{files.model}"
        held = isinstance(files, ModelInMemory)
        self._model = files.loaded.eval() if isinstance(files, ModelInMemory) else _load_model(files, settings, kind)
        self.device: torch.device = self._model.device
        self._tokenizer = fast(self._name, self._model.tokenizer)
        self.dtype = str(self._model.dtype).removeprefix("torch.") if held else dtype_name(self._model, settings)
        if not held:
            quantize(self._model.transformers_model, settings)
        self.similarity = str(self._model.similarity_fn_name)
        self.limit = loading.length_limit(files, self._model.transformers_model, self._tokenizer, settings)
        self.query_limit = self._set_lengths(settings, held)
        self._budget = token_budget(self.device, settings.batch_tokens)
        self._disarm = Disarm(self._tokenizer)
        self.truncated = 0

    def _set_lengths(self, settings: Settings, held: bool) -> int:
        """Make the model read what :attr:`limit` says; the longest query in tokens.

        Args:
            settings: Of the user.
            held: The model is the user's own object, which stays as it is.
        """
        if not held:
            self._model.max_seq_length = self.limit
        return self.limit

    @abstractmethod
    def _embedded(self, task: str, batch: Sequence[str]) -> list[torch.Tensor]:
        """What is compared of each text, float32, on the device.

        Args:
            task: ``query`` or ``document``.
            batch: Texts that fit, without their prompt.
        """

    @abstractmethod
    def _similarities(self, queries: Sequence[torch.Tensor], documents: Sequence[torch.Tensor]) -> torch.Tensor:
        """The score of each query with the document of its place, shape (pairs,)."""

    def score_batches(
        self, pairs: Sequence[Pair], is_done: Callable[[Sequence[int]], bool]
    ) -> Iterator[tuple[list[int], list[float]]]:
        """Score a run; see :class:`fresco.rerank.base.BatchScorer`."""
        import torch

        queries = {query.text: query for query, _ in pairs}
        query_rows = {text: row for row, text in enumerate(queries)}
        passages = {passage.text: passage for _, passage in pairs}
        places: dict[str, list[int]] = defaultdict(list)
        for index, (_, passage) in enumerate(pairs):
            places[passage.text].append(index)
        texts = list(passages)
        inputs, lengths = self._inputs("document", list(passages.values()))
        of_queries: list[torch.Tensor] | None = None
        for batch in plan(lengths, self._budget):
            indices = [index for place in batch for index in places[texts[place]]]
            if is_done(indices):
                continue
            with torch.inference_mode():
                if of_queries is None:
                    of_queries = self._embedded_queries(list(queries.values()))
                of_passages = self._embedded("document", [inputs[place] for place in batch])
                rows = [row for row, place in enumerate(batch) for _ in places[texts[place]]]
                asked = [query_rows[pairs[index][0].text] for index in indices]
                scores: list[float] = []
                for start in range(0, len(rows), _COMPARED):
                    part = slice(start, start + _COMPARED)
                    found = self._similarities(
                        [of_queries[row] for row in asked[part]], [of_passages[row] for row in rows[part]]
                    )
                    scores += found.float().cpu().tolist()
            yield indices, scores

    def _embedded_queries(self, queries: Sequence[Query]) -> list[torch.Tensor]:
        inputs, lengths = self._inputs("query", queries)
        found: dict[int, torch.Tensor] = {}
        for batch in plan(lengths, self._budget):
            found.update(zip(batch, self._embedded("query", [inputs[index] for index in batch]), strict=True))
        return [found[index] for index in range(len(queries))]

    def _encode(self, task: str, batch: Sequence[str], **options: Any) -> Any:
        """The library's own embeddings of one batch."""
        encode = self._model.encode_query if task == "query" else self._model.encode_document
        return encode(list(batch), prompt=self._prompt(task), batch_size=len(batch), show_progress_bar=False, **options)

    def _prompt(self, task: str) -> str:
        names = ("query",) if task == "query" else ("document", "passage", "corpus")  # sentence-transformers' order
        return str(next((self._model.prompts[name] for name in names if self._model.prompts.get(name)), ""))

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
        limit = self.query_limit if task == "query" else self.limit
        for index, each in enumerate(texts):
            if lengths[index] <= limit - _SEAM:
                continue
            if isinstance(each, Passage):
                shortened = shorten(each, inputs[index], self._tokenizer, measure, limit)
                self.truncated += shortened != inputs[index]
                inputs[index], lengths[index] = shortened, limit
            elif measure(inputs[index]) > limit:
                raise FrescoError(
                    f"query {each.id} is longer than the {limit} tokens {self._name} reads; raise --max-length"
                )
        return inputs, lengths


def _load_model(files: loading.ModelFiles, settings: Settings, kind: str) -> Any:
    import sentence_transformers

    device, code = loading.torch_device(settings), loading.code_of(files, settings)
    revision = {key: value for key, value in code.items() if key == "code_revision"}
    return loading.load(
        files,
        lambda: getattr(sentence_transformers, kind)(
            files.location,
            revision=files.revision,
            device=str(device),
            model_kwargs={"dtype": loading.torch_dtype(settings, quantizes=True), **revision},
            config_kwargs=revision,
            trust_remote_code=code["trust_remote_code"],
        ).eval(),
        all_weights=False,  # many checkpoints lack a pooler, which no embedding uses
    )
