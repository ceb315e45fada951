"""What is read off a decoder's rows, and how rows that begin alike share work.

A :class:`ReadModel` says at which of a row's tokens it needs hidden states, and makes scores of them. A
:class:`Sharing` computes those for the rows of a window; it is proven against whole, padded rows before it is used.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from fresco.models.batching import BatchModel, Tokens, forward, padded_batches

if TYPE_CHECKING:
    import torch

_TOLERANCE = {"float32": 1e-4}  # relative to the largest score; of half precision:
_ROUGH = 0.05


def alike(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens that both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


class ReadModel(BatchModel, Protocol):
    """A decoder whose scores are made of the hidden states at some of a row's tokens."""

    def wanted(self, own: Tokens) -> range:
        """The places in a row whose hidden states :meth:`read` needs, ascending; at least one."""
        ...

    def read(self, hidden: torch.Tensor, tokens: Sequence[Tokens]) -> torch.Tensor:
        """Scores of rows, shape (rows,).

        Args:
            hidden: At the wanted places of the first row, of the second, ..., shape (places, hidden size).
            tokens: The rows.
        """
        ...


class Sharing(ABC):
    """Runs a decoder over rows, what they share once.

    Attributes:
        saved: Tokens that were not computed again.
        on: Whether it shares; off it runs the whole rows, the slow, obvious way.
    """

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        config = decoder.config.get_text_config()
        windows = (getattr(config, name, None) for name in ("sliding_window", "attention_chunk_size"))
        # Tokens that every token sees back to.
        self._reach: int = min((each for each in windows if isinstance(each, int)), default=sys.maxsize)
        self.saved = 0
        self.on = True

    @abstractmethod
    def batches(
        self, model: ReadModel, tokens: Sequence[Tokens], keys: Sequence[Hashable], budget: int
    ) -> Iterator[tuple[list[int], Callable[[], torch.Tensor]]]:
        """The batches of a window; see :meth:`fresco.models.batching.SharingModel.cut`.

        Args:
            model: Reads the scores.
            tokens: The rows.
            keys: Rows of the same key begin alike (how far is read off them).
            budget: Most tokens of a batch.
        """

    def cut(
        self, model: ReadModel, tokens: Sequence[Tokens], keys: Sequence[Hashable], budget: int
    ) -> Iterator[tuple[list[int], Callable[[], torch.Tensor]]]:
        """:meth:`batches`, or padded ones where nothing is to be shared."""
        return self.batches(model, tokens, keys, budget) if self.on else padded_batches(model, tokens, budget)

    def prove(self, model: ReadModel, tokens: Sequence[Tokens], keys: Sequence[Hashable], dtype: str) -> bool:
        """Share nothing where that changes a score: some models forget what a long prompt began with, or keep it apart.

        Args:
            model: Reads the scores.
            tokens: Rows of different lengths.
            keys: See :meth:`batches`.
            dtype: In which the model computes.

        Returns:
            Whether scores stay the same.
        """
        import torch

        try:
            with torch.inference_mode():
                plain = forward(model, tokens)
                parts = list(self.batches(model, tokens, keys, sys.maxsize))
                shared = torch.cat([run() for _, run in parts])
        except (RuntimeError, TypeError, AttributeError, LookupError, ValueError):
            self.on = False  # a cache of another kind, attention of its own
        else:
            plain = plain[[row for rows, _ in parts for row in rows]]
            tolerance = _TOLERANCE.get(dtype, _ROUGH) * max(1.0, float(plain.abs().max()))
            self.on = bool((shared - plain).abs().max() <= tolerance)
        self.saved = 0
        return self.on


def share(model: ReadModel, decoder: Any, dtype: str, tokens: Sequence[Tokens], keys: Sequence[Hashable]) -> Sharing:
    """The quickest way that leaves the scores of some rows as they are; one that shares nothing where none does.

    Args:
        model: Reads the scores.
        decoder: Of transformers.
        dtype: In which it computes.
        tokens: Rows of different lengths, some of which begin alike.
        keys: See :meth:`Sharing.batches`.
    """
    from fresco.models.shared_prefix import SharedPrefix
    from fresco.models.shared_tree import SharedTree

    ways: list[Sharing] = [SharedPrefix(decoder)]
    if model.device.type == "cpu":
        ways.insert(0, SharedTree(decoder))
    return next((way for way in ways if way.prove(model, tokens, keys, dtype)), ways[-1])
