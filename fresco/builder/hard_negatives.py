"""How hard a negative is: its score for the query by an embedding model, or by BM25 where none is given.

A question takes passages of its own page, whose labels are known, and near-topic passages, of which there is a bounded
number whatever the size of the corpus. Only these are scored for it, and the near-topic ones are sorted only as far as
they are asked for. The pools are those of sorting the whole corpus, which :class:`Exhaustive` does (tested).
"""

from __future__ import annotations

import heapq
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fresco.benchmarks.bm25 import CorpusRanking
from fresco.errors import FrescoError
from fresco.io.workers import Workers
from fresco.records import Passage
from fresco.stats.bm25 import word_statistics
from fresco.stats.words import words

_FIRST_BLOCK = 64  # near-topic passages that are sorted at once; each further block is four times as large
_ENCODED_AT_ONCE = 4096

_Scores = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a question may take.

    Attributes:
        own: Scores of the passages whose labels are known.
        hardest: These and the near-topic passages with their scores, the highest first, equal ones by id.
    """

    own: Mapping[str, float]
    hardest: Iterator[tuple[str, float]]


class Scores(Protocol):
    """What a ranking is made of; pickled, so that it may be made elsewhere."""

    def ranking(self, near: Sequence[str]) -> Ranking:
        """The ranking; ``near`` are the ids of the near-topic passages, sorted."""
        ...


class Hardness(Protocol):
    """Scores passages for queries."""

    def scores(self, query: str, own: Collection[str]) -> Scores:
        """The scores of the near-topic passages and of those of the question's own (by id)."""
        ...


@dataclass(frozen=True, slots=True)
class NearScores:
    """Scores that are not sorted yet.

    Attributes:
        own: Scores of the question's own passages, by id.
        near: Those of the near-topic passages, in the order of their sorted ids.
    """

    own: Mapping[str, float]
    near: _Scores

    def ranking(self, near: Sequence[str]) -> Ranking:
        """See :class:`Scores`."""
        others = ((key, score) for key, score in _hardest(near, self.near) if key not in self.own)

        def order(each: tuple[str, float]) -> tuple[float, str]:
            return -each[1], each[0]

        return Ranking(self.own, heapq.merge(sorted(self.own.items(), key=order), others, key=order))


@dataclass(frozen=True, slots=True)
class SortedScores:
    """Scores of everything that a question may take, the highest first."""

    own: Mapping[str, float]
    hardest: Sequence[tuple[str, float]]

    def ranking(self, near: Sequence[str]) -> Ranking:
        """See :class:`Scores`."""
        return Ranking(self.own, iter(self.hardest))


class Exhaustive:
    """BM25 over the whole corpus, all of it scored and sorted for each query: the plain reference.

    Args:
        passages: By id.
        near: Ids of those that may be near-topic.
        queries: All that will be asked.
    """

    def __init__(self, passages: Mapping[str, Passage], near: Collection[str], queries: Sequence[str]) -> None:
        self._ids = sorted(passages)
        self._near = near
        self._index = CorpusRanking({key: passages[key].content for key in self._ids}, queries)

    def scores(self, query: str, own: Collection[str]) -> SortedScores:
        """See :class:`Hardness`."""
        scores = self._index.scores(query)
        order = [(self._ids[place], float(scores[place])) for place in np.argsort(-scores, kind="stable")]
        chosen = [(key, score) for key, score in order if key in own or key in self._near]
        return SortedScores({key: score for key, score in chosen if key in own}, chosen)


class LexicalHardness:
    """BM25 over titles, headings and texts, with the word statistics of the whole corpus.

    Args:
        passages: By id.
        near: Ids of those that may be near-topic: they alone are indexed.
        queries: All that will be asked.
    """

    def __init__(self, passages: Mapping[str, Passage], near: Collection[str], queries: Sequence[str]) -> None:
        self._passages = passages
        self._ids = sorted(near)
        self._statistics = word_statistics(passages[key].content for key in sorted(passages))
        texts = {key: passages[key].content for key in self._ids}
        self._index = CorpusRanking(texts, queries, self._statistics)

    def scores(self, query: str, own: Collection[str]) -> NearScores:
        """See :class:`Hardness`."""
        keys = sorted(own)
        return _near_scores(keys, self._own(words(query), keys), self._index.scores(query))

    def _own(self, query: Sequence[str], keys: Sequence[str]) -> _Scores:
        if self._statistics is None:
            return np.zeros(len(keys))
        tokens = [words(self._passages[key].content) for key in keys]
        held = [Counter(each) for each in tokens]
        counts = [np.array([each[word] for each in held], np.int64) for word in query]
        return self._statistics.scores(query, counts, np.array([len(each) for each in tokens], np.int64))


class Embedder:
    """A model that embeds passages and queries; what workers make of their own.

    Args:
        model: Folder or Hugging Face id of a sentence-transformers model.
        device: Where it runs.

    Raises:
        FrescoError: the extra is missing or the model cannot be loaded.
    """

    def __init__(self, model: str, device: str | None = None) -> None:
        try:
            import faiss  # noqa: F401 - said before the model is loaded
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise FrescoError(
                f"--embedder needs {error.name}; pip install 'fresco-ccs[build,models]', or leave it out for BM25"
            ) from None
        try:
            self._model = SentenceTransformer(model, device=device, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise FrescoError(f"--embedder {model}: cannot be loaded: {' '.join(str(error).split())[:200]}") from error

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Normalized vectors of passages, one a row; which texts come together decides the last bits."""
        found = self._model.encode_document(list(texts), normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(found, np.float32)

    def of_query(self, query: str) -> npt.NDArray[np.float32]:
        """That of a query, as the only row."""
        found = self._model.encode_query([query], normalize_embeddings=True, show_progress_bar=False)
        return np.asarray(found, np.float32)


def _mapped(parts: Iterable[npt.NDArray[np.float32]], count: int) -> npt.NDArray[np.float32]:
    """So many vectors in a file that goes with the process, read where they are needed."""
    found: npt.NDArray[np.float32] | None = None
    done = 0
    for part in parts:
        if found is None:
            file = tempfile.TemporaryFile()  # noqa: SIM115 - the map keeps it
            found = np.memmap(file, np.float32, "w+", shape=(count, part.shape[1]))
        found[done : done + len(part)] = part
        done += len(part)
    assert found is not None
    return found


class DenseHardness:
    """Inner products of normalized embeddings, searched exactly by faiss.

    Args:
        model: Folder or Hugging Face id of a sentence-transformers model.
        passages: By id.
        near: Ids of those that may be near-topic: they alone are indexed.
        device: Where the model runs.
        workers: They embed the passages, those of a cluster; None: this process does. On one machine its model uses all
            cores already, and embedding is all but the whole of the work.

    Raises:
        FrescoError: the extra is missing or the model cannot be loaded.
    """

    def __init__(
        self,
        model: str,
        passages: Mapping[str, Passage],
        near: Collection[str],
        *,
        device: str | None = None,
        workers: Workers | None = None,
    ) -> None:
        self._embedder = Embedder(model, device)
        import faiss

        self._ids = sorted(near)
        self._places = {key: place for place, key in enumerate(sorted(passages))}
        texts = [passages[key].content for key in self._places]
        batches = (texts[start : start + _ENCODED_AT_ONCE] for start in range(0, len(texts), _ENCODED_AT_ONCE))
        parts = workers.map(partial(Embedder, model, device), batches) if workers else map(self._embedder, batches)
        self._vectors = _mapped(parts, len(texts))
        own = self._vectors[[self._places[key] for key in self._ids]]
        self._index = faiss.IndexFlatIP(self._vectors.shape[1])
        self._index.add(own)

    def scores(self, query: str, own: Collection[str]) -> NearScores:
        """See :class:`Hardness`; they are cosine similarities."""
        vector = self._embedder.of_query(query)
        near = np.empty(len(self._ids), dtype=np.float32)
        if self._ids:
            values, places = self._index.search(vector, len(self._ids))
            near[places[0]] = values[0]
        keys = sorted(own)
        return _near_scores(keys, self._vectors[[self._places[key] for key in keys]] @ vector[0], near)


def _near_scores(own: Sequence[str], scores: _Scores, near: _Scores) -> NearScores:
    return NearScores({key: float(score) for key, score in zip(own, scores, strict=True)}, near)


def _hardest(ids: Sequence[str], scores: _Scores) -> Iterator[tuple[str, float]]:
    """Sorted ids by falling scores, equal ones by id; block by block, so that what nobody asks for is not sorted."""
    below, size = np.inf, _FIRST_BLOCK
    while len(rest := np.flatnonzero(scores < below)):
        below = -np.inf
        if size < len(rest):
            # All that tie with the last of a block are in it.
            below = np.partition(scores[rest], len(rest) - size)[len(rest) - size]
        block = rest[scores[rest] >= below]
        for place in block[np.argsort(-scores[block], kind="stable")]:
            yield ids[place], float(scores[place])
        size *= 4
