"""BM25 over an inverted index on disk.

Scores are those of rank-bm25's ``BM25Okapi`` (k1 1.5, b 0.75, epsilon 0.25), which reads every passage for every
query; here a query reads the postings of its words alone, and of common words only what can still matter. The library
stays the reference (parity within 1e-9).

What each posting adds to a score is kept beside it in single precision. That chooses the passages that may be among the
first (:mod:`ccs.retrieve.maxscore`); their scores are then computed in double precision, word by word as asked.

The index is made in shards, each a file of its own, so an interrupted build goes on with the next shard; then the
shards are merged into one list of postings a word, memory-mapped.
"""

from __future__ import annotations

import json
import math
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ccs.retrieve.maxscore import Postings, among_the_first
from ccs.retrieve.passages import Passages
from fresco.errors import FrescoError
from fresco.io.files import replacing, write_atomically
from fresco.io.state import read_array
from fresco.stats.words import cut_whole, words

K1, B, EPSILON = 1.5, 0.75, 0.25  # rank-bm25's defaults
_SHARD = 20_000  # passages
_WORDS = "words.json"
_ARRAYS = ("starts", "documents", "counts", "lengths")
_IMPACTS, _MOST = "impacts", "most"
_SMALL = 2000  # passages
_POSTINGS = 1 << 22  # worked on at a time while building


def build_bm25(folder: Path, passages: Passages, tell: Callable[[int], None]) -> None:
    """Make the index of the passages, or what is missing of it.

    Args:
        folder: Where its files go.
        passages: What to index.
        tell: Told how many passages are counted.

    Raises:
        FrescoError: no passage holds a word.
    """
    folder.mkdir(exist_ok=True)
    shards = [folder / f"shard-{start:012}.npz" for start in range(0, len(passages), _SHARD)]
    for number, shard in enumerate(shards):
        if not (folder / _WORDS).exists() and not shard.exists():
            _write_shard(shard, passages, number * _SHARD)
        tell(min((number + 1) * _SHARD, len(passages)))
    if not (folder / _WORDS).exists():
        _merge(folder, shards)
    for shard in shards:
        shard.unlink(missing_ok=True)


def _write_shard(path: Path, passages: Passages, start: int) -> None:
    postings: dict[str, tuple[list[int], list[int]]] = {}
    lengths = []
    for number in range(start, min(start + _SHARD, len(passages))):
        tokens = words(passages[number].contents)
        lengths.append(len(tokens))
        for word, count in Counter(tokens).items():
            documents, counts = postings.setdefault(word, ([], []))
            documents.append(number)
            counts.append(count)
    vocabulary = sorted(postings)
    with replacing(path) as stream:
        np.savez(
            stream,
            words=np.frombuffer("\n".join(vocabulary).encode(), np.uint8),
            sizes=np.array([len(postings[word][0]) for word in vocabulary], np.int64),
            documents=np.concatenate([np.array(postings[word][0], np.int32) for word in vocabulary] or [_NOTHING]),
            counts=np.concatenate([np.array(postings[word][1], np.int32) for word in vocabulary] or [_NOTHING]),
            lengths=np.array(lengths, np.int64),
        )


_NOTHING = np.empty(0, np.int32)


def _merge(folder: Path, shards: Sequence[Path]) -> None:
    """One list of postings a word, in the order of the passages; memory holds one shard and the words."""
    sizes: Counter[str] = Counter()
    lengths = []
    for shard in shards:
        part = _read_shard(shard)
        for word, size in zip(part["words"], part["sizes"].tolist(), strict=True):
            sizes[word] += size
        lengths.append(part["lengths"])
    vocabulary = sorted(sizes)
    if not vocabulary:
        raise FrescoError("no passage of the corpus holds a word; BM25 has nothing to search by")
    place = {word: number for number, word in enumerate(vocabulary)}
    starts = np.concatenate([[0], np.cumsum([sizes[word] for word in vocabulary], dtype=np.int64)]).astype(np.int64)
    merged = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.int32, (int(starts[-1]),))
        for name in ("documents", "counts")
    }
    following = starts[:-1].copy()
    for shard in shards:
        part = _read_shard(shard)
        own = np.array([place[word] for word in part["words"]], np.int64)
        begins = np.concatenate([[0], np.cumsum(part["sizes"])])[:-1]
        # Each posting goes to its word's next free place, plus its rank among the shard's postings of that word.
        to = np.repeat(following[own] - begins, part["sizes"]) + np.arange(len(part["documents"]))
        for name, array in merged.items():
            array[to] = part[name]
        following[own] += part["sizes"]
    every_length = np.concatenate(lengths)
    impacts = np.lib.format.open_memmap(folder / f"{_IMPACTS}.npy", "w+", np.float32, (int(starts[-1]),))
    _fill_impacts(impacts, starts, merged["documents"], merged["counts"], every_length)
    for array in (*merged.values(), impacts):
        array.flush()
    np.save(folder / f"{_MOST}.npy", np.maximum.reduceat(impacts, starts[:-1]))
    np.save(folder / "starts.npy", starts)
    np.save(folder / "lengths.npy", every_length)
    write_atomically(folder / _WORDS, json.dumps(vocabulary, ensure_ascii=False))  # last: only now is it whole


def _read_shard(path: Path) -> dict[str, Any]:
    with np.load(path, allow_pickle=False) as arrays:
        part: dict[str, Any] = dict(arrays)
    text = part["words"].tobytes().decode()
    part["words"] = text.split("\n") if text else []
    return part


class Bm25Index:
    """Searches the files that :func:`build_bm25` made; may be shared by threads.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        def mapped(name: str) -> npt.NDArray[Any]:
            # A view without the memmap's class, whose slices cost more than many lists of postings.
            return np.asarray(read_array(folder / f"{name}.npy", "run `ccs index` again", mapped=True))

        self._starts, self._documents, self._counts, lengths = map(mapped, _ARRAYS)
        vocabulary = json.loads((folder / _WORDS).read_text(encoding="utf-8"))
        if (odd := next(filter(cut_whole, vocabulary), None)) is not None:
            raise FrescoError(
                f"{folder}: holds {odd[:40]!r} as one word, as an earlier version read it; run `ccs index` again"
            )
        self._place = {word: number for number, word in enumerate(vocabulary)}
        self._idf = _idf(np.diff(self._starts), len(lengths))
        self._norm = _norm(lengths)
        if (folder / f"{_MOST}.npy").exists():
            self._impacts, self._most = mapped(_IMPACTS), mapped(_MOST)
        else:  # an index that an earlier version made
            self._impacts = np.empty(len(self._documents), np.float32)
            _fill_impacts(self._impacts, self._starts, self._documents, self._counts, lengths)
            self._most = np.maximum.reduceat(self._impacts, self._starts[:-1])
        self._own = threading.local()

    def search(self, queries: Sequence[str], k: int) -> list[list[tuple[int, float]]]:
        """For each query at most ``k`` passages that hold one of its words: number and score, best first.

        Equal scores stand in the order of the corpus.
        """
        return [self._search(query, k) for query in queries]

    def search_plainly(self, query: str, k: int) -> list[tuple[int, float]]:
        """One query of :meth:`search` by every posting of its words in double precision: the reference."""
        scores = np.zeros(len(self._norm))
        held = np.zeros(len(self._norm), bool)
        for place, times in self._asked(query):
            own = self._range(place)
            documents, counts = self._documents[own], self._counts[own]
            scores[documents] += times * self._idf[place] * (counts * (K1 + 1) / (counts + self._norm[documents]))
            held[documents] = True
        found = np.flatnonzero(held)
        order = found[np.argsort(-scores[found], kind="stable")][:k]
        return [(int(number), float(scores[number])) for number in order]

    def _search(self, query: str, k: int) -> list[tuple[int, float]]:
        asked = self._asked(query)
        # Of a few passages a word's weight may be below 0, where no bound holds; and bounds cost more than they spare.
        if not asked or len(self._norm) < _SMALL or min(self._idf[place] for place, _ in asked) <= 0:
            return self.search_plainly(query, k)
        if not hasattr(self._own, "sums"):
            self._own.sums = np.zeros(len(self._norm), np.float32)  # this thread's
        lists = [
            Postings(self._documents[own], self._impacts[own], times, float(self._most[place]))
            for place, times in asked
            for own in (self._range(place),)
        ]
        numbers = np.sort(among_the_first(lists, k, self._own.sums))
        scores = np.zeros(len(numbers))
        norm = self._norm[numbers]
        for place, times in asked:
            own = self._range(place)
            documents = self._documents[own]
            at = np.searchsorted(documents, numbers)
            at[at == len(documents)] = 0
            here = documents[at] == numbers
            counts = self._counts[own][at[here]]
            scores[here] += times * self._idf[place] * (counts * (K1 + 1) / (counts + norm[here]))
        order = np.argsort(-scores, kind="stable")[:k]
        return list(zip(numbers[order].tolist(), scores[order].tolist(), strict=True))

    def _asked(self, query: str) -> list[tuple[int, int]]:
        """Place and number of each word that the index knows, in the query's order."""
        counted = Counter(words(query)).items()
        return [(self._place[word], times) for word, times in counted if word in self._place]

    def _range(self, place: int) -> slice:
        return slice(int(self._starts[place]), int(self._starts[place + 1]))


def _norm(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """What a passage's length does to the count of a word in it."""
    return np.asarray(K1 * (1 - B + B * lengths / (lengths.sum() / len(lengths) or 1)))


def _fill_impacts(
    impacts: npt.NDArray[np.float32],
    starts: npt.NDArray[np.int64],
    documents: npt.NDArray[np.int32],
    counts: npt.NDArray[np.int32],
    lengths: npt.NDArray[np.int64],
) -> None:
    """What each posting adds to the score of a query with its word once, some words at a time."""
    idf, norm = _idf(np.diff(starts), len(lengths)), _norm(lengths)
    word = 0
    while word < len(idf):
        end = max(word + 1, int(np.searchsorted(starts, starts[word] + _POSTINGS, side="right")) - 1)
        own = slice(int(starts[word]), int(starts[end]))
        weights = np.repeat(idf[word:end], np.diff(starts[word : end + 1]))
        impacts[own] = weights * (counts[own] * (K1 + 1) / (counts[own] + norm[documents[own]]))
        word = end


def _idf(frequencies: npt.NDArray[np.int64], passages: int) -> npt.NDArray[np.float64]:
    """As ``BM25Okapi``: where a word is in more than half of the passages, a share of the mean stands for its own."""
    idf = np.log(passages - frequencies + 0.5) - np.log(frequencies + 0.5)
    mean = math.fsum(idf.tolist()) / len(idf)
    return np.asarray(np.where(idf < 0, EPSILON * mean, idf))
