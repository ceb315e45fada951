"""Dense retrieval: passages embedded by sentence-transformers, searched by faiss.

While the index is made the embeddings are kept in shards on disk, so an interrupted build embeds nothing of a finished
shard again.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ccs.retrieve.passages import Passages
from fresco.errors import FrescoError
from fresco.io.files import replacing
from fresco.models import loading
from fresco.models.settings import Settings
from fresco.models.tokens import Disarm

#: Exact; a graph, fast and larger; compressed codes whose best are compared again by embeddings of a byte a number:
#: a quarter of the size.
INDEX_TYPES = ("flat", "hnsw", "ivfpq")
_SHARD = 1024  # passages: minutes of work on a CPU
_FILE = "index.faiss"
_HNSW_LINKS = 32
_HNSW_SEARCH = 128  # candidates kept while searching
_PROBED = 64  # lists of ivfpq that a query reads
_COMPARED = 100  # of the passages that they give, compared again, at least
_COMPARED_TIMES = 10  # and for each passage wanted
_SAMPLE = 256 * 1024  # embeddings that ivfpq is trained on, at most
_CODE_DIMENSIONS = 8  # that one byte of ivfpq stands for, at most
_TRAINING_POINTS = 39  # for each centroid, below which faiss warns

#: E5's first models are trained with these prefixes and save none; without them they find markedly less.
_E5 = re.compile(r"(multilingual-)?e5-(small|base|large)(-v2)?", re.IGNORECASE)
_E5_PREFIXES = {"query": "query: ", "passage": "passage: "}

FloatArray = npt.NDArray[np.float32]


class Encoder:
    """A sentence-transformers model with the prompts of its queries and passages; may be shared by threads.

    Args:
        model: Folder or Hugging Face id.
        settings: Device and dtype.
        query_prefix: Set before each query ("query: "); None for the prompt that is saved with the model, or E5's own
            for a model of E5's name.
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
        self._disarm: Callable[[str], str] = str

    @property
    def identity(self) -> str:
        """Hash of the model's files and what else decides an embedding."""
        return f"{self._files.identity}|{self._settings.dtype}|{self._prefixes}"

    def queries(self, texts: Sequence[str]) -> FloatArray:
        """Embeddings, shape (texts, dimensions), to be compared by the inner product.

        They have unit length, unless the model is one of those that compare by the inner product itself.
        """
        return self._encode(texts, "query", self._prefixes[0])

    def passages(self, texts: Sequence[str]) -> FloatArray:
        """Likewise."""
        return self._encode(texts, "passage", self._prefixes[1])

    def _encode(self, texts: Sequence[str], task: str, prefix: str | None) -> FloatArray:
        with self._lock:  # tokenizers and the model's modules keep state
            if self._model is None:
                self._model = self._load()
                self._disarm = Disarm(self._model.tokenizer)
            if prefix is None and not any(self._model.prompts.values()) and _E5.fullmatch(Path(self._files.model).name):
                prefix = _E5_PREFIXES[task]
            extra = {} if prefix is None else {"prompt": prefix}
            found = (self._model.encode_query if task == "query" else self._model.encode_document)(
                [self._disarm(text) for text in texts],
                batch_size=64,
                normalize_embeddings=self._model.similarity_fn_name != "dot",
                show_progress_bar=False,
                **extra,
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


def build_dense(
    folder: Path,
    passages: Passages,
    encoder: Encoder,
    kind: str,
    tell: Callable[[int], None],
    *,
    embed: Callable[[Iterable[Sequence[str]]], Iterator[FloatArray]] | None = None,
) -> None:
    """Embed the passages and make the faiss index, or what is missing of both.

    Args:
        folder: Where its files go.
        passages: What to index.
        encoder: Embeds them.
        kind: One of :data:`INDEX_TYPES`.
        tell: Told how many passages are embedded.
        embed: Embeds shards of texts one after another, as the encoder would, which is asked where it is None.

    Raises:
        FrescoError: faiss is missing, or there are too few passages for ivfpq.
    """
    faiss = import_faiss()
    folder.mkdir(exist_ok=True)
    parts = [range(start, min(start + _SHARD, len(passages))) for start in range(0, len(passages), _SHARD)]
    shards = [folder / f"embeddings-{part.start:012}.npy" for part in parts]
    missing = [
        (part, shard)
        for part, shard in zip(parts, shards, strict=True)
        if not (folder / _FILE).exists() and not shard.exists()
    ]
    texts = ([passages[number].contents for number in part] for part, _ in missing)
    done = len(passages) - sum(len(part) for part, _ in missing)
    tell(done)
    for (part, shard), found in zip(missing, (embed or partial(map, encoder.passages))(texts), strict=True):
        with replacing(shard) as stream:
            np.save(stream, found)
        done += len(part)
        tell(done)
    if not (folder / _FILE).exists():
        index = _empty_index(faiss, kind, shards, len(passages))
        for shard in shards:
            index.add(np.load(shard, allow_pickle=False))
        with replacing(folder / _FILE) as stream:
            faiss.write_index(index, faiss.PyCallbackIOWriter(stream.write))
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
    sample = _sample(shards, count)
    lists = min(int(4 * count**0.5), len(sample) // _TRAINING_POINTS)
    pieces = max(n for n in range(1, dimensions + 1) if dimensions % n == 0 and n * _CODE_DIMENSIONS <= dimensions)
    # "np": without the training for Hamming distances, which we do not use and which takes most of the time.
    index = faiss.index_factory(dimensions, f"IVF{lists},PQ{pieces}np,Refine(SQ8)", faiss.METRIC_INNER_PRODUCT)
    index.train(sample)
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
        self.encoder = encoder
        # The newer flag maps all types; the older one reads flat and hnsw into memory whole.
        mapped = getattr(faiss, "IO_FLAG_MMAP_IFC", faiss.IO_FLAG_MMAP)
        try:
            index = faiss.read_index(str(folder / _FILE), mapped)
        except RuntimeError as error:
            raise FrescoError(f"{folder / _FILE}: cannot be read ({str(error)[:120]}); run `ccs index` again") from None
        if hasattr(index, "hnsw"):
            index.hnsw.efSearch = _HNSW_SEARCH
        self._parameters: Callable[[int], Any] = lambda k: None
        if hasattr(index, "refine_index"):
            self._parameters = lambda k: faiss.IndexRefineSearchParameters(
                k_factor=max(_COMPARED_TIMES, _COMPARED / k),
                base_index_params=faiss.SearchParametersIVF(nprobe=_PROBED),
            )
        self._index = _on_gpus(faiss, index)

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[int, float]]]:
        """For each query ``k`` passages: number and similarity, best first."""
        scores, numbers = self._index.search(self.encoder.queries(queries), k, params=self._parameters(k))
        return [
            [(int(number), float(score)) for number, score in zip(row, own, strict=True) if number >= 0]
            for row, own in zip(numbers, scores, strict=True)
        ]


def _on_gpus(faiss: Any, index: Any) -> Any:
    """A flat index on all GPUs, where faiss-gpu is installed and a GPU is there; the others are quick on the CPU."""
    if not (isinstance(index, faiss.IndexFlat) and getattr(faiss, "get_num_gpus", int)()):
        return index
    options = faiss.GpuMultipleClonerOptions()
    options.shard = True  # many passages fit no single GPU
    try:
        return faiss.index_cpu_to_all_gpus(index, co=options)
    except RuntimeError as error:
        said = str(error).strip().splitlines()[-1][:120]
        raise FrescoError(
            f"the index cannot be put on the GPU ({said}); CUDA_VISIBLE_DEVICES= leaves it in memory"
        ) from None


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


def embedding(settings: Mapping[str, Any], device: str | None) -> Callable[[Sequence[str]], FloatArray]:
    """What a worker on another machine embeds shards with."""
    return encoder_of(settings, device=device).passages


def encoder_of(settings: Mapping[str, Any], *, device: str | None = None) -> Encoder:
    """The encoder that an index's settings name."""
    return Encoder(
        settings["model"],
        Settings(device=device, dtype=settings["dtype"]),
        query_prefix=settings["query_prefix"],
        passage_prefix=settings["passage_prefix"],
    )
