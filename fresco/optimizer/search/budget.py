"""What a search may cost: pairs, minutes of scoring and writing, or the price of a language model.

What was spent is read from the study, so a search that was stopped goes on with what is left, whoever goes on.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError
from fresco.optimizer.demonstrations import without_examples
from fresco.records import Pool

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_WRITTEN = re.compile(r"(?P<number>[0-9][0-9_,]*(?:\.[0-9]+)?)\s*(?P<unit>[a-z$]*)", re.IGNORECASE)
#: Units with what they are of, and how many of those.
_UNITS: Mapping[str, tuple[str, float]] = {
    **dict.fromkeys(("", "pair", "pairs"), ("pairs", 1.0)),
    "k": ("pairs", 1e3),
    "m": ("pairs", 1e6),
    **dict.fromkeys(("min", "minute", "minutes"), ("minutes", 1.0)),
    **dict.fromkeys(("h", "hour", "hours"), ("minutes", 60.0)),
    **dict.fromkeys(("$", "usd", "price"), ("price", 1.0)),
}


@dataclass(frozen=True)
class Budget:
    """A limit on one kind of cost.

    Attributes:
        kind: ``pairs``, ``minutes`` or ``price``.
        most: A search plans no further round once so much is spent.
    """

    kind: str
    most: float

    @classmethod
    def parse(cls, written: str) -> Budget:
        """Read ``200000``, ``200k``, ``90min``, ``2h`` or ``5usd``.

        Raises:
            FrescoError: it is none of these.
        """
        match = _WRITTEN.fullmatch(written.strip())
        number = float(match["number"].replace(",", "").replace("_", "")) if match else math.nan
        unit = match["unit"].lower() if match else "?"
        if unit not in _UNITS or not number > 0:
            raise FrescoError(
                f"--budget {written}: give pairs (200000, 200k), minutes (90min, 2h), or a price (5usd, counted by "
                "&price=IN,OUT behind the proposer's model)"
            )
        kind, times = _UNITS[unit]
        return cls(kind, number * times)

    def is_spent(self, trials: Iterable[FrozenTrial], plans: Iterable[Mapping[str, Any]]) -> bool:
        """Whether finished trials and the plans of rounds have cost all of it."""
        return spent(trials, plans)[self.kind] >= self.most

    def used(self, costs: Mapping[str, float]) -> str:
        """How much of it is gone, in words; ``costs`` are those of :func:`spent`."""
        own = costs[self.kind]
        form, unit = {"pairs": (",.0f", "pairs"), "minutes": (",.1f", "minutes"), "price": (",.2f", "in price")}[
            self.kind
        ]
        return f"{own:{form}} of {self.most:{form}} {unit} ({100 * own / self.most:.0f} %)"


def spent(trials: Iterable[FrozenTrial], plans: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """What trials and plans have cost: ``pairs``, ``minutes`` and ``price``."""
    attributes = [trial.user_attrs for trial in trials]
    costs = [plan.get("cost", {}) for plan in plans]
    pairs = sum(own.get("pairs_charged", own.get("pairs_scored", 0)) for own in attributes)
    pairs += sum(cost.get("pairs", 0) for cost in costs)
    seconds = sum(own.get("seconds", 0.0) for own in attributes) + sum(cost.get("seconds", 0.0) for cost in costs)
    return {"pairs": pairs, "minutes": seconds / 60, "price": sum(cost.get("price", 0.0) for cost in costs)}


def charged(text: str | None, pools: Sequence[Pool]) -> int:
    """Pairs that scoring an instruction on pools is charged as.

    One a pair; under an instruction with worked examples as many more as the examples make its pairs longer, in
    characters of instruction, query and passage: a re-ranker reads them again for every pair.

    Args:
        text: The instruction; None for the model's own.
        pools: What it is scored on.
    """
    pairs = sum(map(len, pools))
    plain = without_examples(text or "")
    if not (examples := len(text or "") - len(plain)):
        return pairs
    read = sum(len(plain) + len(pool.query.text) + len(passage.text) for pool in pools for passage in pool.passages)
    return math.ceil(pairs * (1 + pairs * examples / read)) if read else pairs
