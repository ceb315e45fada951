"""Work that rows share, done once, without padding: a batch is one sequence, whose tokens form a tree.

Prompts of a pool share system message, instruction and query; passages of neighbouring revisions share openings too.
In a tree of tokens each of these is computed once. The tree's tokens stand one behind the other in a single row, so the
linear layers, which take nearly all of the time on a CPU, see no padding. Only attention must know where a token's past
lies: each row's own tokens attend to the stretches of the tree that lead to them, read in place, and to themselves.

Attention is called for each row of a batch, which a CPU does not feel and a GPU would; those share by
:mod:`fresco.models.shared_prefix`. What a batch holds depends on the rows of its window alone.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fresco.models.batching import Tokens, padded_batches
from fresco.models.reading import ReadModel, Sharing, alike

if TYPE_CHECKING:
    import torch

#: How transformers knows this attention; in its table only while one of our batches is computed.
_NAME = "fresco_tree"
#: Of a model's attention, what is not done here.
_UNKNOWN = ("softcap", "s_aux", "position_bias")


@dataclass(frozen=True)
class Branch:
    """The tokens that a row adds to the tree.

    Attributes:
        start: Its first place in the sequence.
        stop: Behind its last.
        past: Stretches of the sequence that lead to it, from the root on.
    """

    start: int
    stop: int
    past: tuple[slice, ...]

    @property
    def past_length(self) -> int:
        """Tokens before its first."""
        return sum(own.stop - own.start for own in self.past)


@dataclass(frozen=True)
class Tree:
    """Rows as one sequence.

    Attributes:
        ids: Token ids of the sequence.
        positions: Of each, its position in its rows.
        rows: Of each row the places of its tokens in the sequence, shape (tokens,).
        branches: In the order of the sequence, which they cover.
    """

    ids: list[int]
    positions: list[int]
    rows: list[npt.NDArray[np.int64]]
    branches: list[Branch]
    _masks: dict[tuple[int, int], Any] = field(default_factory=dict)

    def mask(self, branch: Branch, like: torch.Tensor) -> torch.Tensor:
        """What is added to the branch's attention, shape (own tokens, past and own): nothing, or minus infinity."""
        import torch

        own, past = branch.stop - branch.start, branch.past_length
        key = (own, past)
        if key not in self._masks:
            sees = torch.ones(own, past + own, dtype=torch.bool, device=like.device).tril(past)
            self._masks[key] = torch.zeros_like(sees, dtype=like.dtype).masked_fill_(~sees, -torch.inf)
        found: torch.Tensor = self._masks[key]
        return found


def grow(rows: Sequence[Sequence[int]]) -> Tree:
    """The tree of rows in lexicographic order: what a row shares with any before it, it shares with the last."""
    tree = Tree([], [], [], [])
    path: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)
    last: Sequence[int] = ()
    for row in rows:
        shared, start = alike(last, row), len(tree.ids)
        tree.ids.extend(row[shared:])
        tree.positions.extend(range(shared, len(row)))
        stop = len(tree.ids)
        if stop > start:
            tree.branches.append(Branch(start, stop, _stretches(path[:shared])))
        path, last = np.concatenate([path[:shared], np.arange(start, stop)]), row
        tree.rows.append(path)
    return tree


def plan_trees(tokens: Sequence[Tokens], budget: int) -> list[list[int]]:
    """Cut rows into batches, in lexicographic order, each as large as the budget allows.

    Args:
        tokens: The rows.
        budget: Most tokens of a batch's tree, where one row does not take more.

    Returns:
        Places in ``tokens``, each once. The same rows give the same batches.
    """
    batches: list[list[int]] = []
    used = 0
    last: Sequence[int] = ()
    for place in sorted(range(len(tokens)), key=lambda place: tuple(tokens[place].ids)):
        row = tokens[place].ids
        added = len(row) - alike(last, row)
        if not batches or used + added > budget:
            batches.append([])
            used, added = 0, len(row)
        batches[-1].append(place)
        used, last = used + added, row
    return batches


def _stretches(places: npt.NDArray[np.int64]) -> tuple[slice, ...]:
    """Ascending places as slices, as few as there can be."""
    if not len(places):
        return ()
    runs = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
    return tuple(slice(int(run[0]), int(run[-1]) + 1) for run in runs)


class SharedTree(Sharing):
    """Runs a decoder over rows as trees, on a CPU."""

    def batches(
        self, model: ReadModel, tokens: Sequence[Tokens], keys: Sequence[Hashable], budget: int
    ) -> Iterator[tuple[list[int], Callable[[], torch.Tensor]]]:
        """See :meth:`fresco.models.reading.Sharing.batches`; what is shared is read off the rows, keys or not."""
        near = [row for row, own in enumerate(tokens) if len(own) <= self._reach]
        far = [row for row, own in enumerate(tokens) if len(own) > self._reach]
        for places in plan_trees([tokens[row] for row in near], budget):
            rows = [near[place] for place in places]
            yield rows, functools.partial(self._run, model, [tokens[row] for row in rows])
        for places, run in padded_batches(model, [tokens[row] for row in far], budget):
            yield [far[place] for place in places], run

    def _run(self, model: ReadModel, tokens: Sequence[Tokens]) -> torch.Tensor:
        import torch
        from transformers import AttentionInterface

        tree = grow([own.ids for own in tokens])
        config = self._decoder.config.get_text_config()
        before = config._attn_implementation
        AttentionInterface.register(_NAME, _attend)
        try:
            config._attn_implementation = _NAME
            hidden = self._decoder(
                input_ids=torch.tensor([tree.ids], device=model.device),
                position_ids=torch.tensor([tree.positions], device=model.device),
                use_cache=False,
                tree=tree,
            ).last_hidden_state[0]
        finally:
            config._attn_implementation = before
        self.saved += sum(map(len, tokens)) - len(tree.ids)
        places = [path[model.wanted(own)] for path, own in zip(tree.rows, tokens, strict=True)]
        return model.read(hidden[torch.from_numpy(np.concatenate(places)).to(model.device)], tokens)


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    tree: Tree,
    scaling: float | None = None,
    **further: Any,
) -> tuple[torch.Tensor, None]:
    """Attention over a tree, as transformers calls it; tensors of shape (1, heads, tokens, head size).

    Raises:
        NotImplementedError: the model's attention does something besides.
    """
    import torch

    if odd := [name for name in _UNKNOWN if further.get(name) is not None]:
        raise NotImplementedError(f"attention with {', '.join(odd)}")
    shared = query.shape[1] // key.shape[1]  # query heads of a key head
    if shared > 1:
        key, value = key.repeat_interleave(shared, dim=1), value.repeat_interleave(shared, dim=1)
    found = torch.empty((*query.shape[:-1], value.shape[-1]), dtype=query.dtype, device=query.device)
    for branch in tree.branches:
        own = slice(branch.start, branch.stop)
        keys, values = (
            torch.cat([states[:, :, each] for each in (*branch.past, own)], dim=2) for states in (key, value)
        )
        found[:, :, own] = torch.nn.functional.scaled_dot_product_attention(
            query[:, :, own], keys, values, attn_mask=tree.mask(branch, query), scale=scaling
        )
    return found.transpose(1, 2).contiguous(), None
