"""``dense:MODEL``: query and passage embedded apart by a sentence-transformers model, compared by its own similarity.

That is the cosine unless the model says otherwise. Query and document prompts that are saved with the model apply.
Pools come by the group, and each distinct text of a group is embedded once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError
from fresco.records import Passage, Query
from fresco.rerank import loading
from fresco.rerank.base import Candidates, Settings
from fresco.rerank.tokens import Disarm, shorten
from fresco.score.batching import plan, token_budget

if TYPE_CHECKING:
    import torch

_FAMILY = "dense"
_SEAM = 4  # tokens by which a text's length can be off where it meets the prompt


class Dense:
    """Scores pairs by the similarity of their embeddings.

    Attributes:
        name: ``dense:MODEL``.
    """

    takes_instruction = False
    pointwise = True
    pools_per_call = 64

    def __init__(self, model: str, settings: Settings, *, revision: str | None = None) -> None:
        """Check the model's files; weights load at the first score.

        Args:
            model: A folder or a Hugging Face model id.
            settings: Device, dtype, lengths.
            revision: Branch, tag or commit of a hub model.

        Raises:
            FrescoError: the model cannot be found, or is no embedding model.
        """
        self.name = f"{_FAMILY}:{model}"
        self._settings = settings
        self._files = loading.find_model(_FAMILY, model, settings, revision)
        if self._files.architecture.endswith("ForSequenceClassification"):
            raise FrescoError(
                f"{self.name}: {self._files.architecture} scores pairs and embeds nothing; try cross-encoder:{model}"
            )
        self._loaded: _Loaded | None = None

    @cached_property
    def fingerprint(self) -> str:
        """Weights, configs, prompts and tokenizer, dtype, length limit and library versions; known without loading.

        Device and batch size are left out: they change scores by rounding only.
        """
        return (
            f"{_FAMILY}|{self._files.identity}|{self._settings.dtype}|max_length={self._settings.max_length}"
            f"|{loading.library_versions()}"
        )

    @property
    def truncated(self) -> int:
        """Passages whose end this process cut, counted once for each group of pools."""
        return self._loaded.truncated if self._loaded else 0

    def describe(self) -> Mapping[str, Any]:
        """Model, revision and numeric settings; what only the loaded model knows is None before the first score."""
        loaded = self._loaded
        return {
            "model": self._files.model,
            "revision": self._files.revision or self._files.identity,
            "dtype": loaded.dtype if loaded else self._settings.dtype,
            "device": str(loaded.device) if loaded else self._settings.device,
            "max_length": loaded.limit if loaded else self._settings.max_length,
            "batch_tokens": self._settings.batch_tokens,
            "score": loaded.similarity if loaded else None,
            "truncated": self.truncated,
        }

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> list[float]:
        """Score one pool; see :class:`fresco.rerank.base.Reranker`."""
        return self.score_pools([(query, passages)], instruction)[0]

    def score_pools(self, pools: Sequence[Candidates], instruction: str | None = None) -> list[list[float]]:
        """Score several pools, embedding each distinct text once."""
        if self._loaded is None:
            self._loaded = _Loaded(self._files, self._settings)
        return self._loaded.score_pools(pools)

    def close(self) -> None:
        """Drop the weights; the next score loads them again."""
        device = self._loaded.device if self._loaded else None
        self._loaded = None
        loading.release(device)


class _Loaded:
    """A loaded model."""

    def __init__(self, files: loading.ModelFiles, settings: Settings) -> None:
        from sentence_transformers import SentenceTransformer

        self._name = f"{_FAMILY}:{files.model}"
        self.device = loading.torch_device(settings)
        self._model: Any = loading.load(
            files,
            lambda: SentenceTransformer(
                files.location,
                revision=files.revision,
                device=str(self.device),
                model_kwargs={"dtype": loading.torch_dtype(settings)},
                trust_remote_code=False,
            ).eval(),
            all_weights=False,  # many checkpoints lack a pooler, which no embedding uses
        )
        self._tokenizer = self._model.tokenizer
        if not getattr(self._tokenizer, "is_fast", False):
            raise FrescoError(f"{self._name}: its tokenizer must be a fast one (tokenizer.json)")
        self.dtype = str(self._model.dtype).removeprefix("torch.")
        self.similarity = str(self._model.similarity_fn_name)
        self.limit = loading.token_limit(
            self._name, self._model.transformers_model, self._tokenizer, settings.max_length
        )
        self._model.max_seq_length = self.limit
        self._budget = token_budget(self.device, settings.batch_tokens)
        self._disarm = Disarm(self._tokenizer)
        self.truncated = 0

    def score_pools(self, pools: Sequence[Candidates]) -> list[list[float]]:
        import torch

        queries = {query.text: query for query, _ in pools}
        passages = {passage.text: passage for _, pool in pools for passage in pool}
        query_rows = {text: row for row, text in enumerate(queries)}
        passage_rows = {text: row for row, text in enumerate(passages)}
        with torch.inference_mode():
            query_vectors = self._embedded("query", queries.values())
            passage_vectors = self._embedded("document", passages.values())
            scores = [
                self._model.similarity(
                    query_vectors[query_rows[query.text]], passage_vectors[[passage_rows[each.text] for each in pool]]
                )[0]
                for query, pool in pools
            ]
            flat = iter(torch.cat(scores).cpu().tolist())  # one copy for all pools
        return [[next(flat) for _ in pool] for _, pool in pools]

    def _embedded(self, task: str, texts: Iterable[Query | Passage]) -> torch.Tensor:
        """One float32 vector for each text, shape (texts, dimensions), on the device."""
        import torch

        names = ("query",) if task == "query" else ("document", "passage", "corpus")  # sentence-transformers' order
        prompt = next((self._model.prompts[name] for name in names if name in self._model.prompts), "")
        inputs, lengths = self._inputs(task, prompt, list(texts))
        encode = self._model.encode_query if task == "query" else self._model.encode_document
        batches = plan(lengths, self._budget)
        vectors = [
            encode(
                [inputs[index] for index in batch],
                prompt=prompt,
                batch_size=len(batch),
                convert_to_tensor=True,
                show_progress_bar=False,
            )
            for batch in batches
        ]
        planned = [index for batch in batches for index in batch]
        return torch.cat(vectors).float()[sorted(range(len(planned)), key=planned.__getitem__)]

    def _inputs(self, task: str, prompt: str, texts: Sequence[Query | Passage]) -> tuple[list[str], list[int]]:
        """Disarmed texts that fit, with their numbers of tokens."""

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
