"""Work that rows share, done once: keys and values of the tokens that the rows of a group begin with.

Prompts of a language model begin alike: those of a query's pool share system message, instruction and query, those of
a passage in many pools share the passage. Rows are planned in such groups. A batch holds several: the beginnings are
computed first, one row each, and their keys and values serve every row of their group.

What a batch holds and shares depends on the rows of its window alone, so it computes the same bits whatever ran before
it. The last beginning that filled a batch alone is kept: the next batch of a large pool has that very one.
"""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fresco.models.batching import Tokens, forward, on_device
from fresco.models.reading import ReadModel, Sharing, alike

if TYPE_CHECKING:
    import torch

#: Tokens that a group must save at least, on average: shorter beginnings cost more in copies than they save.
LEAST = 16


@dataclass(frozen=True)
class SharedBatch:
    """Rows of one forward pass.

    Attributes:
        rows: Their places in the window.
        groups: The group of each row, from 0.
        lengths: Tokens of each group's shared beginning.
    """

    rows: list[int]
    groups: list[int]
    lengths: list[int]

    @property
    def saved(self) -> int:
        """Tokens that need not be computed again."""
        return sum(self.lengths[group] for group in self.groups) - sum(self.lengths)


def plan_shared(
    tokens: Sequence[Tokens], keys: Sequence[Hashable], most: Sequence[int], budget: int
) -> list[SharedBatch]:
    """Cut rows into batches, those that share a beginning together.

    Args:
        tokens: The rows, each of at least two tokens.
        keys: Rows of the same key begin alike (how far is read off them).
        most: Of each row the tokens that may be shared, from 1 to all but one.
        budget: Most tokens of a batch, padding included, where one row does not take more.

    Returns:
        Each row once. Groups of long beginnings come first, in them long rows. The same rows give the same batches.
    """
    members: dict[Hashable, list[int]] = {}
    for row, key in enumerate(keys):
        members.setdefault(key, []).append(row)
    groups = []
    for rows in members.values():
        shared = min(_all_alike([tokens[row].ids for row in rows]), *(most[row] for row in rows))
        groups.append((shared, sorted(rows, key=lambda row: -len(tokens[row]))))
    groups.sort(key=lambda group: -group[0])  # stable: ties in order of appearance
    batches: list[SharedBatch] = []
    longest = widest = 0  # of the batch: a beginning, a rest
    for shared, rows in groups:
        fresh = True  # the group has no place in the last batch
        for row in rows:
            rest = len(tokens[row]) - shared
            if batches:
                last = batches[-1]
                cost = (len(last.rows) + 1) * max(widest, rest) + (len(last.lengths) + fresh) * max(longest, shared)
            if not batches or cost > budget:
                last = SharedBatch([], [], [])
                batches.append(last)
                longest, widest, fresh = 0, 0, True
            if fresh:
                last.lengths.append(shared)
                fresh = False
            last.rows.append(row)
            last.groups.append(len(last.lengths) - 1)
            longest, widest = max(longest, shared), max(widest, rest)
    return batches


def grouped(keys: Sequence[Hashable]) -> list[int]:
    """Places of the keys, equal ones together, in order of their first appearance."""
    first: dict[Hashable, int] = {}
    for place, key in enumerate(keys):
        first.setdefault(key, place)
    return sorted(range(len(keys)), key=lambda place: first[keys[place]])


def _all_alike(rows: Sequence[Sequence[int]]) -> int:
    """Tokens that all rows begin with: the least and the greatest of them differ first."""
    return alike(min(map(tuple, rows)), max(map(tuple, rows)))


class SharedPrefix(Sharing):
    """Runs a decoder over rows, their common beginnings once, kept as keys and values."""

    def __init__(self, decoder: Any) -> None:
        super().__init__(decoder)
        self._ids: tuple[int, ...] = ()
        self._kept: Any = None

    def batches(
        self, model: ReadModel, tokens: Sequence[Tokens], keys: Sequence[Hashable], budget: int
    ) -> Iterator[tuple[list[int], Callable[[], torch.Tensor]]]:
        """See :meth:`fresco.models.reading.Sharing.batches`."""
        most = [model.wanted(own).start for own in tokens]
        for part in plan_shared(tokens, keys, most, budget):
            own = [tokens[row] for row in part.rows]
            run = self._run if self._pays(own, part) else _whole
            yield part.rows, functools.partial(run, model, own, part)

    def _pays(self, tokens: Sequence[Tokens], part: SharedBatch) -> bool:
        """Whether enough is saved, and a window of attention reaches over every row with the gap in it."""
        rest = max(len(own) - part.lengths[group] for own, group in zip(tokens, part.groups, strict=True))
        reaches = max(part.lengths) + rest <= self._reach
        return reaches and min(part.lengths) > 0 and part.saved >= LEAST * len(part.lengths)

    def _run(self, model: ReadModel, tokens: Sequence[Tokens], part: SharedBatch) -> torch.Tensor:
        import torch

        starts = [part.lengths[group] for group in part.groups]
        first = {group: own for own, group in reversed(list(zip(tokens, part.groups, strict=True)))}
        beginnings = [Tokens(first[group].ids[:length]) for group, length in enumerate(part.lengths)]
        before = on_device(model, beginnings)
        cache = self._beginnings(before.input_ids, before.attention_mask)
        group_of = torch.tensor(part.groups, device=model.device)
        cache.batch_select_indices(group_of)
        rest = on_device(model, [Tokens(own.ids[start:]) for own, start in zip(tokens, starts, strict=True)])
        places = torch.tensor(starts, device=model.device)[:, None]
        hidden = self._decoder(
            input_ids=rest.input_ids,
            attention_mask=torch.cat([before.attention_mask[group_of], rest.attention_mask], dim=1),
            position_ids=places + torch.arange(rest.input_ids.shape[1], device=model.device),
            use_cache=True,
            **{cache_argument(self._decoder): cache},
        ).last_hidden_state
        self.saved += part.saved
        wanted = [
            (row, place - start)
            for row, (own, start) in enumerate(zip(tokens, starts, strict=True))
            for place in model.wanted(own)
        ]
        rows, columns = torch.tensor(wanted, device=model.device).T
        return model.read(hidden[rows, columns], tokens)

    def _beginnings(self, ids: torch.Tensor, mask: torch.Tensor) -> Any:
        """Keys and values of the beginnings, the caller's to change."""
        if len(ids) > 1:
            return self._decoder(input_ids=ids, attention_mask=mask, use_cache=True).past_key_values
        wanted = tuple(ids[0].tolist())
        if wanted != self._ids:
            self._kept = self._decoder(input_ids=ids, use_cache=True).past_key_values
            self._ids = wanted
        return copy.deepcopy(self._kept)


def _whole(model: ReadModel, tokens: Sequence[Tokens], _: SharedBatch) -> torch.Tensor:
    """Scores of rows that have hardly anything to share."""
    return forward(model, tokens)


def cache_argument(decoder: Any) -> str:
    """What a decoder of transformers calls its cache: ``past_key_values``, which later versions rename ``cache``."""
    return "cache" if "cache" in inspect.signature(decoder.forward).parameters else "past_key_values"
