"""How hard a negative is: its score for the query by an embedding model, or by BM25 where none is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from fresco.benchmarks.bm25 import CorpusRanking
from fresco.errors import FrescoError
from fresco.records import Passage


class Hardness(Protocol):
    """Scores every passage of a corpus for a query."""

    @property
    def ids(self) -> Sequence[str]:
        """The ids of the passages, sorted."""
        ...

    def scores(self, query: str) -> npt.NDArray[np.floating]:
        """One score for each id; higher is harder."""
        ...


class LexicalHardness:
    """BM25 over titles, headings and texts."""

    def __init__(self, passages: Mapping[str, Passage], queries: Sequence[str]) -> None:
        self.ids: Sequence[str] = sorted(passages)
        self._ranking = CorpusRanking({key: passages[key].content for key in self.ids}, queries)

    def scores(self, query: str) -> npt.NDArray[np.floating]:
        """BM25 of each passage."""
        return self._ranking.scores(query)


class DenseHardness:
    """Inner products of normalized embeddings, searched exactly by faiss.

    Args:
        model: Folder or Hugging Face id of a sentence-transformers model.
        passages: By id.
        device: Where the model runs.

    Raises:
        FrescoError: the extra is missing or the model cannot be loaded.
    """

    def __init__(
        self,
        model: str,
        passages: Mapping[str, Passage],
        *,
        device: str | None = None,
    ) -> None:
        try:
            import faiss
            from sentence_transformers import SentenceTransformer
        except ImportError as error:
            raise FrescoError(
                f"--embedder needs {error.name}; pip install 'fresco-ccs[build,models]', or leave it out for BM25"
            ) from None
        try:
            self._model = SentenceTransformer(model, device=device, trust_remote_code=False)
        except (OSError, ValueError) as error:
            raise FrescoError(f"--embedder {model}: cannot be loaded: {' '.join(str(error).split())[:200]}") from error
        self.ids: Sequence[str] = sorted(passages)
        vectors = self._model.encode_document(
            [passages[key].content for key in self.ids], normalize_embeddings=True, show_progress_bar=False
        )
        self._index = faiss.IndexFlatIP(vectors.shape[1])
        self._index.add(np.asarray(vectors, dtype=np.float32))

    def scores(self, query: str) -> npt.NDArray[np.floating]:
        """Cosine similarity with each passage."""
        vector = self._model.encode_query([query], normalize_embeddings=True, show_progress_bar=False)
        values, places = self._index.search(np.asarray(vector, dtype=np.float32), len(self.ids))
        scores = np.empty(len(self.ids), dtype=np.float32)
        scores[places[0]] = values[0]
        return scores
