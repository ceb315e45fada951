"""What stands behind a choice from the bank: clauses that others wrote, and worked examples of the training split.

Each is a block of the model's further columns (:class:`fresco.optimizer.proposers.surrogate.Block`): any few of the
written clauses, and any few of the examples, none included. So how many examples, and which, is searched for as the
clauses are.
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
from fresco.optimizer.proposers.written import WrittenClauses

_LONGEST = 800  # characters of an instruction with written clauses, its examples aside
_UNKNOWN = 0.05  # deviation of what a sentence is worth that the model has no column for


@dataclass(frozen=True)
class Beside:
    """What may stand behind a choice in one round.

    Attributes:
        written: The clauses.
        examples: Those that may be shown.
    """

    written: WrittenClauses
    examples: Examples = NO_EXAMPLES

    @cached_property
    def blocks(self) -> tuple[Block, Block]:
        """The clauses' and the examples'."""
        drawn = range(len(self.examples.drawn))
        few = [own for size in range(self.examples.most + 1) for own in combinations(drawn, size)]
        return Block(len(self.written.clauses), self.written.options), Block(len(drawn), few)

    def text(self, start: str, options: Sequence[int]) -> str | None:
        """The instruction of a choice's text with an option of each block; None where it is empty or too long."""
        clauses, examples = self._chosen(options)
        instruction = " ".join(filter(None, [start, *(each.text for each in clauses)]))
        whole = with_examples(instruction, examples)
        return whole if 0 < len(instruction) <= _LONGEST and len(whole) <= MOST_CHARACTERS else None

    def origin(self, options: Sequence[int]) -> tuple[tuple[int, ...], dict[str, Any]]:
        """The trials that an option's clauses are from, and what the lineage shows of it."""
        clauses, examples = self._chosen(options)
        detail: dict[str, Any] = {}
        if clauses:
            detail["written"] = [{"clause": each.text, "trial": each.trial} for each in clauses]
        if examples:
            detail["demonstrations"] = [each.query for each in examples]
        return tuple(sorted({each.trial for each in clauses})), detail

    def observed(self, trials: Sequence[Any], base: tuple[float, float]) -> list[Observed]:
        """What finished trials gained over the base, by what they are made of."""
        places = {each.query: len(self.written.clauses) + place for place, each in enumerate(self.examples.drawn)}
        found = []
        for trial, reading in zip(trials, self.written.made_of(), strict=True):
            values = known_values(trial)
            if values is None or reading is None:
                continue
            params, clauses, unknown = reading
            shown = [places[query] for query in detail_of(trial).get("demonstrations", ()) if query in places]
            gains = (values[0] - base[0], values[1] - base[1])
            own = (0.0, 0.0) if trial.values else trial.user_attrs["error"]
            missed = _UNKNOWN * unknown**0.5
            errors = (math.hypot(own[0], missed), math.hypot(own[1], missed))
            found.append(Observed(params, gains, errors, (*clauses, *shown)))
        return found

    def _chosen(self, options: Sequence[int]) -> tuple[list[Any], list[Demonstration]]:
        clauses, examples = (block.options[option] for block, option in zip(self.blocks, options, strict=True))
        return [self.written.clauses[place] for place in clauses], [self.examples.drawn[place] for place in examples]


def detail_of(trial: Any) -> Mapping[str, Any]:
    """What the lineage shows of a trial."""
    detail: Mapping[str, Any] = trial.user_attrs.get("detail", {})
    return detail


def is_plain_choice(trial: Any) -> bool:
    """Whether a trial's text is that of its choice from the bank, with nothing behind it."""
    return not {"written", "demonstrations"} & detail_of(trial).keys()
