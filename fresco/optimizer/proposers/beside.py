"""What goes with a choice from the bank: clauses that others wrote, worked examples, and how pairs are laid out.

Each is a block of the model's further columns (:class:`fresco.optimizer.proposers.surrogate.Block`): any few of the
written clauses, any few of the examples, and one of the layouts. So how many examples, and which, and where the dates
stand is searched for as the clauses are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Any

from fresco.optimizer.demonstrations import NO_EXAMPLES, Demonstration, Examples, with_examples
from fresco.optimizer.proposers.base import known_values
from fresco.optimizer.proposers.file import MOST_CHARACTERS
from fresco.optimizer.proposers.surrogate import Block, Observed
from fresco.optimizer.proposers.written import WrittenClause, WrittenClauses
from fresco.rerank.layout import Layout, with_layout

_LONGEST = 800  # characters of an instruction with written clauses, its examples aside
_UNKNOWN = 0.05  # deviation of what a sentence is worth that the model has no column for


@dataclass(frozen=True)
class Beside:
    """What may stand behind a choice in one round.

    Attributes:
        written: The clauses.
        examples: Those that may be shown.
        layouts: Whether the layout is searched for, too.
    """

    written: WrittenClauses
    examples: Examples = NO_EXAMPLES
    layouts: bool = False

    @cached_property
    def blocks(self) -> tuple[Block, Block, Block]:
        """The clauses', the examples' and the layouts', which have a column for the query's date and the passages'."""
        drawn = range(len(self.examples.drawn))
        few = [own for size in range(self.examples.most + 1) for own in combinations(drawn, size)]
        layouts = [_columns_of(layout) for layout in Layout] if self.layouts else [()]
        return (
            Block(len(self.written.clauses), self.written.options),
            Block(len(drawn), few),
            Block(2 * self.layouts, layouts),
        )

    def text(self, start: str, options: Sequence[int]) -> str | None:
        """The instruction of a choice's text with an option of each block; None where it is empty or too long."""
        clauses, examples, layout = self._chosen(options)
        instruction = " ".join(filter(None, [start, *(each.text for each in clauses)]))
        if len(instruction) > _LONGEST or (examples and not instruction):
            return None
        whole = with_layout(with_examples(instruction, examples), layout)
        return whole if 0 < len(whole) <= MOST_CHARACTERS else None

    def origin(self, options: Sequence[int]) -> tuple[tuple[int, ...], dict[str, Any]]:
        """The trials that an option's clauses are from, and what the lineage shows of it."""
        clauses, examples, layout = self._chosen(options)
        detail: dict[str, Any] = {}
        if clauses:
            detail["written"] = [{"clause": each.text, "trial": each.trial} for each in clauses]
        if examples:
            detail["demonstrations"] = [each.query for each in examples]
        if layout:
            detail["layout"] = str(layout)
        return tuple(sorted({each.trial for each in clauses})), detail

    def observed(self, trials: Sequence[Any], base: tuple[float, float]) -> list[Observed]:
        """What finished trials gained over the base, by what they are made of."""
        before = len(self.written.clauses)
        places = {each.query: before + place for place, each in enumerate(self.examples.drawn)}
        before += len(places)
        found = []
        for trial, reading in zip(trials, self.written.made_of(), strict=True):
            values = known_values(trial)
            if values is None or reading is None:
                continue
            params, clauses, unknown = reading
            detail = detail_of(trial)
            shown = [places[query] for query in detail.get("demonstrations", ()) if query in places]
            if self.layouts:
                shown += [before + column for column in _columns_of(Layout(detail.get("layout", "")))]
            gains = (values[0] - base[0], values[1] - base[1])
            own = (0.0, 0.0) if trial.values else trial.user_attrs["error"]
            missed = _UNKNOWN * unknown**0.5
            errors = (math.hypot(own[0], missed), math.hypot(own[1], missed))
            found.append(Observed(params, gains, errors, (*clauses, *shown)))
        return found

    def _chosen(self, options: Sequence[int]) -> tuple[list[WrittenClause], list[Demonstration], Layout]:
        clauses, examples = (block.options[option] for block, option in zip(self.blocks[:2], options, strict=False))
        layout = list(Layout)[options[2]]
        return (
            [self.written.clauses[place] for place in clauses],
            [self.examples.drawn[place] for place in examples],
            layout,
        )


def _columns_of(layout: Layout) -> tuple[int, ...]:
    """Columns of a layout within its block."""
    return tuple(column for column, leads in enumerate((layout.query, layout.passage)) if leads)


def detail_of(trial: Any) -> Mapping[str, Any]:
    """What the lineage shows of a trial."""
    detail: Mapping[str, Any] = trial.user_attrs.get("detail", {})
    return detail


def is_plain_choice(trial: Any) -> bool:
    """Whether a trial's text is that of its choice from the bank and nothing else."""
    return not {"written", "demonstrations", "layout"} & detail_of(trial).keys()
