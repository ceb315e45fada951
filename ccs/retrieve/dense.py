"""Dense retrieval: passages embedded by sentence-transformers, searched by faiss.

While the index is made the embeddings are kept in shards on disk, so an interrupted build embeds nothing of a finished
shard again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ccs.retrieve.passages import Passages
from fresco.errors import FrescoError
from fresco.rerank import loading
from fresco.rerank.base import Settings

#: Exact; a graph, fast and larger; compressed, small and the least exact.
INDEX_TYPES = ("flat", "hnsw", "ivfpq")
_SHARD = 4096  # passages
_FILE = "index.faiss"
_HNSW_LINKS = 32
_HNSW_SEARCH = 128  # candidates kept while searching
_PROBED = 32  # lists of ivfpq that a query reads
_SAMPLE = 256 * 1024  # embeddings that ivfpq is trained on, at most
_CODE_DIMENSIONS = 8  # that one byte of ivfpq stands for, at most
_TRAINING_POINTS = 39  # for each centroid, below which faiss warns

FloatArray = npt.NDArray[np.float32]


class Encoder:
    """A sentence-transformers model with the prompts of its queries and passages; may be shared by threads.

    Args:
        model: Folder or Hugging Face id.
        settings: Device and dtype.
        query_prefix: Set before each query ("query: " for E5); None for the prompt that is saved with the model.
        passage_prefix: Likewise.

    Raises:
        FrescoError: the extra is missing, or the model cannot be found.
    """

    def __init__(
        self, model: str, settings: Settings, *, query_prefix: str | None = None, passage_prefix: str | None = None
    ) -> None:
        self._files = loading.find_model("dense", model, settings)
        self._settings, self._prefixes = settings, (query_prefix, passage_prefix)
        self._lock = threading.Lock()
        self._model: Any = None

    @property
    def identity(self) -> str:
        """Hash of the model's files and what else decides an embedding."""
        return f"{self._files.identity}|{self._settings.dtype}|{self._prefixes}"

    def queries(self, texts: Sequence[str]) -> FloatArray:
        """Embeddings of unit length, shape (texts, dimensions)."""
        return self._encode(texts, "encode_query", self._prefixes[0])

    def passages(self, texts: Sequence[str]) -> FloatArray:
        """Embeddings of unit length, shape (texts, dimensions)."""
        return self._encode(texts, "encode_document", self._prefixes[1])

    def _encode(self, texts: Sequence[str], method: str, prefix: str | None) -> FloatArray:
        with self._lock:  # tokenizers and the model's modules keep state
            if self._model is None:
                self._model = self._load()
            extra = {} if prefix is None else {"prompt": prefix}
            found = getattr(self._model, method)(
                list(texts), batch_size=64, normalize_embeddings=True, show_progress_bar=False, **extra
            )
        return np.ascontiguousarray(found, np.float32)

    def _load(self) -> Any:
        from sentence_transformers import SentenceTransformer

        return loading.load(
            self._files,
            lambda: SentenceTransformer(
                self._files.location,
                revision=self._files.revision,
                device=str(loading.torch_device(self._settings)),
                model_kwargs={"dtype": loading.torch_dtype(self._settings)},
                trust_remote_code=False,
            ).eval(),
            all_weights=False,
        )


def build_dense(folder: Path, passages: Passages, encoder: Encoder, kind: str, tell: Callable[[int], None]) -> None:
    """Embed the passages and make the faiss index, or what is missing of both.

    Args:
        folder: Where its files go.
        passages: What to index.
        encoder: Embeds them.
        kind: One of :data:`INDEX_TYPES`.
        tell: Told how many passages are embedded.

    Raises:
        FrescoError: faiss is missing, or there are too few passages for ivfpq.
    """
    faiss = import_faiss()
    folder.mkdir(exist_ok=True)
    shards: list[Path] = []
    for start in range(0, len(passages), _SHARD):
        end = min(start + _SHARD, len(passages))
        shards.append(folder / f"embeddings-{start:012}.npy")
        if not (folder / _FILE).exists() and not shards[-1].exists():
            found = encoder.passages([passages[number].contents for number in range(start, end)])
            unfinished = shards[-1].with_suffix(".tmp.npy")
            np.save(unfinished, found)
            unfinished.replace(shards[-1])
        tell(end)
    if not (folder / _FILE).exists():
        index = _empty_index(faiss, kind, shards, len(passages))
        for shard in shards:
            index.add(np.load(shard, allow_pickle=False))
        unfinished = folder / f".{_FILE}.tmp"
        faiss.write_index(index, str(unfinished))
        unfinished.replace(folder / _FILE)
    for shard in shards:
        shard.unlink(missing_ok=True)


def _empty_index(faiss: Any, kind: str, shards: Sequence[Path], count: int) -> Any:
    first = np.load(shards[0], mmap_mode="r", allow_pickle=False)
    dimensions = first.shape[1]
    if kind == "flat":
        return faiss.IndexFlatIP(dimensions)
    if kind == "hnsw":
        return faiss.IndexHNSWFlat(dimensions, _HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
    least = 256 * _TRAINING_POINTS
    if count < least:
        raise FrescoError(f"--index-type ivfpq needs {least:,} passages to learn its codes from, here are {count:,}; "
                          "take flat or hnsw")  # fmt: skip
    lists = max(1, min(int(4 * count**0.5), count // _TRAINING_POINTS))
    pieces = max(n for n in range(1, dimensions + 1) if dimensions % n == 0 and n * _CODE_DIMENSIONS <= dimensions)
    index = faiss.IndexIVFPQ(faiss.IndexFlatIP(dimensions), dimensions, lists, pieces, 8, faiss.METRIC_INNER_PRODUCT)
    index.train(_sample(shards, count))
    return index


def _sample(shards: Sequence[Path], count: int) -> FloatArray:
    """Evenly spaced embeddings, the same for the same passages."""
    step = -(-count // _SAMPLE)
    # A shard begins at a multiple of its size; each gives the rows that are due in it.
    parts = [
        np.load(shard, mmap_mode="r", allow_pickle=False)[-(number * _SHARD) % step :: step]
        for number, shard in enumerate(shards)
    ]
    return np.ascontiguousarray(np.concatenate(parts), np.float32)


class DenseIndex:
    """Searches the files that :func:`build_dense` made; may be shared by threads.

    Args:
        folder: Where they are.
        encoder: Embeds the queries; the one that embedded the passages.
    """

    def __init__(self, folder: Path, encoder: Encoder) -> None:
        faiss = import_faiss()
        self._encoder = encoder
        try:
            index = faiss.read_index(str(folder / _FILE), faiss.IO_FLAG_MMAP)
        except RuntimeError as error:
            raise FrescoError(f"{folder / _FILE}: cannot be read ({str(error)[:120]}); run `ccs index` again") from None
        if hasattr(index, "nprobe"):
            index.nprobe = _PROBED
        if hasattr(index, "hnsw"):
            index.hnsw.efSearch = _HNSW_SEARCH
        if hasattr(faiss, "get_num_gpus") and faiss.get_num_gpus():  # faiss-gpu is there, and a GPU
            index = faiss.index_cpu_to_all_gpus(index)
        self._index = index

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[int, float]]]:
        """For each query ``k`` passages: number and cosine, best first."""
        scores, numbers = self._index.search(self._encoder.queries(queries), k)
        return [
            [(int(number), float(score)) for number, score in zip(row, own, strict=True) if number >= 0]
            for row, own in zip(numbers, scores, strict=True)
        ]


def import_faiss() -> Any:
    """Faiss, of the CPU or the GPU package.

    Raises:
        FrescoError: neither is installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise FrescoError("dense retrieval needs faiss: pip install 'fresco-ccs[ccs]'") from error
    return faiss


def encoder_of(settings: Mapping[str, Any], *, device: str | None = None) -> Encoder:
    """The encoder that an index's settings name."""
    return Encoder(
        settings["model"],
        Settings(device=device, dtype=settings["dtype"]),
        query_prefix=settings["query_prefix"],
        passage_prefix=settings["passage_prefix"],
    )
