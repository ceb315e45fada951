"""The fast path of local pointwise models, in one place: which pairs share a forward pass, and how they get there.

Windows of pairs are tokenized on another thread, one window ahead of the model (fast tokenizers let go of the GIL).
Inside a window pairs are sorted by their number of tokens and cut into batches by a budget of tokens, padding included,
so that hardly any padding is computed. Scores stay on the device and are copied once for each commit.

What a batch holds depends on the pairs and the budget alone, never on what is stored already: a run that was killed and
started again computes the same bits as an undisturbed one. Library defaults sort by characters, take a fixed number of
pairs and tokenize between forward passes; ``eval/scoring_speed.py`` measures the difference.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt

from fresco.errors import FrescoError
from fresco.records import Pair

if TYPE_CHECKING:
    import torch

#: Pairs that are tokenized and sorted together. Long enough that padding nearly vanishes, short enough that the first
#: scores come soon.
WINDOW = 2048
#: Most tokens of a forward pass on a CPU. Far fewer than a GPU needs keep it busy; with more, the activations of a
#: layer fall out of its caches and padding grows; with less, threads often wait for each other instead of computing.
CPU_BATCH_TOKENS = 2048
#: How often scores are copied off the device and handed over; a killed run loses at most this and one batch.
COMMIT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Tokens:
    """One pair, encoded, special tokens included.

    Attributes:
        ids: Token ids.
        type_ids: Segment ids, as many; None for models without.
    """

    ids: Sequence[int]
    type_ids: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded pairs on the model's device, each of shape (pairs, tokens), int64.

    Attributes:
        input_ids: Token ids.
        attention_mask: 1 where a token is, 0 where padding is.
        token_type_ids: Segment ids; None for models without.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    token_type_ids: torch.Tensor | None


class BatchModel(Protocol):
    """What the fast path wants of a model.

    Attributes:
        device: Where it computes.
        pad_id: The padding token.
        padding_side: Where the padding goes.
    """

    device: torch.device
    pad_id: int
    padding_side: Literal["left", "right"]

    def encode(self, pairs: Sequence[Pair]) -> list[Tokens]:
        """Tokenize; called on another thread, never on two at once."""
        ...

    def forward(self, batch: Batch) -> torch.Tensor:
        """Scores of a batch, shape (pairs,), still on the device."""
        ...


class SharingModel(BatchModel, Protocol):
    """One whose rows share work: it chooses which pairs meet in a window, and how a window is cut.

    Both are looked up by name.
    """

    def order(self, pairs: Sequence[Pair]) -> list[int]:
        """The pairs' places in the order in which windows are filled; each once."""
        ...

    def cut(
        self, pairs: Sequence[Pair], tokens: Sequence[Tokens], budget: int
    ) -> Iterator[tuple[list[int], Callable[[], torch.Tensor]]]:
        """Cut a window.

        Args:
            pairs: Of the window, those that are exact duplicates once.
            tokens: Of each.
            budget: See :func:`plan`.

        Yields:
            Places in ``tokens``, and what computes their scores, shape (places,).
        """
        ...


def token_budget(device: torch.device, batch_tokens: int) -> int:
    """Tokens of a forward pass: what was asked for, on a CPU at most :data:`CPU_BATCH_TOKENS`."""
    return min(batch_tokens, CPU_BATCH_TOKENS) if device.type == "cpu" else batch_tokens


def plan(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Cut pairs into batches: longest first, each as large as the budget allows.

    Args:
        lengths: Tokens of each pair.
        budget: Most tokens of a batch, padding included; a pair that is longer makes a batch of its own.

    Returns:
        Indices into ``lengths``, each once. The same lengths and budget give the same batches.
    """
    batches: list[list[int]] = []
    room = 0
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):  # a stable sort: ties in input order
        if room == 0:
            batches.append([])
            room = max(1, budget // max(1, lengths[index]))
        batches[-1].append(index)
        room -= 1
    return batches


def pad(tokens: Sequence[Tokens], pad_id: int, side: Literal["left", "right"]) -> tuple[npt.NDArray[np.int64], ...]:
    """Lay pairs of different lengths out as arrays.

    Returns:
        Ids, attention mask and, if the pairs carry them, segment ids; each of shape (pairs, longest), int64.
    """
    lengths = np.array([len(each) for each in tokens])
    columns = np.arange(lengths.max())
    mask = columns < lengths[:, None] if side == "right" else columns[::-1] < lengths[:, None]

    def laid_out(rows: Iterator[Sequence[int]], fill: int) -> npt.NDArray[np.int64]:
        array = np.full(mask.shape, fill, dtype=np.int64)
        array[mask] = np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=int(lengths.sum()))
        return array

    arrays = [laid_out((each.ids for each in tokens), pad_id), mask.astype(np.int64)]
    if tokens[0].type_ids is not None:
        arrays.append(laid_out((each.type_ids or () for each in tokens), 0))
    return tuple(arrays)


def padded_batches(
    model: BatchModel, tokens: Sequence[Tokens], budget: int
) -> Iterator[tuple[list[int], Callable[[], torch.Tensor]]]:
    """The batches of :func:`plan`, each with what computes its scores."""
    for batch in plan([len(each) for each in tokens], budget):
        yield batch, functools.partial(forward, model, [tokens[place] for place in batch])


def score_in_batches(
    model: BatchModel,
    pairs: Sequence[Pair],
    batch_tokens: int,
    is_done: Callable[[Sequence[int]], bool] = lambda _: False,
) -> Iterator[tuple[list[int], list[float]]]:
    """Score pairs; see :class:`fresco.rerank.base.BatchScorer`.

    Args:
        model: Loaded.
        pairs: Every pair of the run.
        batch_tokens: See :func:`token_budget`.
        is_done: Whether these pairs need no scores; a window or a batch of such pairs is skipped whole.

    Yields:
        Indices into ``pairs`` and their scores, some batches at a time.

    Raises:
        FrescoError: the device ran out of memory.
    """
    budget = token_budget(model.device, batch_tokens)
    commit = _Commit()
    cut = getattr(model, "cut", None)
    for window, tokens in _encoded(model, pairs, is_done):
        alike = _alike(tokens)
        rows = [tokens[own[0]] for own in alike]
        batches = cut([pairs[window[own[0]]] for own in alike], rows, budget) if cut else None
        for batch, run in batches or padded_batches(model, rows, budget):
            indices = [window[place] for own in batch for place in alike[own]]
            if is_done(indices):
                continue
            scores = _guarded(model, [rows[own] for own in batch], run)
            if len(indices) > len(batch):
                rows_of = [row for row, own in enumerate(batch) for _ in alike[own]]
                scores = scores[rows_of]
            commit.add(indices, scores)
            if commit.is_due:
                yield commit.take()
    if commit.indices:
        yield commit.take()


def score_all(model: BatchModel, pairs: Sequence[Pair], batch_tokens: int) -> list[float]:
    """Score pairs and return the scores in their order."""
    scores = [0.0] * len(pairs)
    for indices, values in score_in_batches(model, pairs, batch_tokens):
        for index, value in zip(indices, values, strict=True):
            scores[index] = value
    return scores


class _Commit:
    """Scores that are computed (or under way, on a GPU) and not handed over."""

    def __init__(self) -> None:
        self.indices: list[int] = []
        self._scores: list[torch.Tensor] = []
        self._since = time.monotonic()

    def add(self, indices: Sequence[int], scores: torch.Tensor) -> None:
        self.indices.extend(indices)
        self._scores.append(scores)

    @property
    def is_due(self) -> bool:
        return time.monotonic() - self._since >= COMMIT_SECONDS

    def take(self) -> tuple[list[int], list[float]]:
        import torch

        taken = self.indices, torch.cat(self._scores).float().cpu().tolist()  # the one copy, which waits for the device
        self.indices, self._scores, self._since = [], [], time.monotonic()
        return taken


def _alike(tokens: Sequence[Tokens]) -> list[list[int]]:
    """Places of equal rows, in order of appearance: what a model reads twice is scored once."""
    places: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
    for place, own in enumerate(tokens):
        places.setdefault((tuple(own.ids), tuple(own.type_ids or ())), []).append(place)
    return list(places.values())


def _encoded(
    model: BatchModel, pairs: Sequence[Pair], is_done: Callable[[Sequence[int]], bool]
) -> Iterator[tuple[list[int], list[Tokens]]]:
    """Windows with their tokens; while the caller works on one, the next is tokenized."""
    order = getattr(model, "order", None)
    places = order(pairs) if order else list(range(len(pairs)))
    windows = (places[start : start + WINDOW] for start in range(0, len(places), WINDOW))
    # Where processes share a run, is_done takes a batch for this one; a window is looked at and never taken.
    stored = getattr(is_done, "stored", is_done)
    wanted = (window for window in windows if not stored(window))
    with ThreadPoolExecutor(1, thread_name_prefix="tokenizer") as thread:

        def submit() -> tuple[list[int], Future[list[Tokens]]] | None:
            window = next(wanted, None)
            if window is None:
                return None
            return window, thread.submit(model.encode, [pairs[place] for place in window])

        current = submit()
        while current is not None:
            window, future = current
            tokens = future.result()
            current = submit()
            yield window, tokens


def on_device(model: BatchModel, tokens: Sequence[Tokens]) -> Batch:
    """Rows, padded, where the model computes."""
    import torch

    arrays = [torch.from_numpy(array) for array in pad(tokens, model.pad_id, model.padding_side)]
    if model.device.type == "cuda":  # a copy from pinned memory does not hold the CPU up
        arrays = [array.pin_memory().to(model.device, non_blocking=True) for array in arrays]
    else:
        arrays = [array.to(model.device) for array in arrays]
    return Batch(arrays[0], arrays[1], arrays[2] if len(arrays) > 2 else None)


def forward(model: BatchModel, tokens: Sequence[Tokens]) -> torch.Tensor:
    """Scores of rows that meet in one padded batch, shape (rows,), on the device."""
    return model.forward(on_device(model, tokens))


def _guarded(model: BatchModel, tokens: Sequence[Tokens], run: Callable[[], torch.Tensor]) -> torch.Tensor:
    import torch

    try:
        with torch.inference_mode():
            return run()
    except torch.cuda.OutOfMemoryError as error:
        raise FrescoError(
            f"{model.device} ran out of memory on {len(tokens)} pairs of {len(tokens[0])} tokens; lower --batch-tokens"
        ) from error
