"""What a fine-tuning is to be: losses, dates, length, and when it stops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fresco.errors import FrescoError, require_whole

#: Each loss, and whether it looks at the whole list of a query.
LOSSES: Mapping[str, bool] = {"bce": False, "listnet": True, "lambdarank": True}
#: What a copy of a training query's dates may be; :mod:`fresco.tuning.examples` makes them.
DATES = ("shown", "hidden", "swapped")


@dataclass(frozen=True)
class FineTuning:
    """The options of a fine-tuning, which are those of ``fresco tune``.

    Attributes:
        losses: One model for each of them (and each seed).
        seeds: Models of each loss; seeds count up from that of the settings.
        epochs: Passes over the training queries.
        learning_rate: At its highest; it warms up over a tenth of the steps and falls to zero.
        batch: Pairs in one step, about.
        negatives: Of a query in each epoch's list, drawn from its pool; all of them where None.
        dates: A copy of each query for each of these.
        lora: Rank of the low-rank updates; None trains every weight.
        evaluations: How often an epoch is interrupted to look at the validation front.
        patience: Looks without a larger hypervolume after which training stops.
        queries: Validation queries of each look, about.
    """

    losses: tuple[str, ...]
    seeds: int = 1
    epochs: int = 2
    learning_rate: float = 2e-5
    batch: int = 32
    negatives: int | None = None
    dates: tuple[str, ...] = DATES
    lora: int | None = None
    evaluations: int = 2
    patience: int = 3
    queries: int = 100

    def __post_init__(self) -> None:
        for option, given, known in (("--train", self.losses, tuple(LOSSES)), ("--dates", self.dates, DATES)):
            unknown = [each for each in given if each not in known]
            if unknown or not given or len(set(given)) < len(given):
                raise FrescoError(f"{option} {','.join(given)}: choose of {', '.join(known)}, each at most once")
        for name in ("seeds", "epochs", "batch", "evaluations", "patience", "queries"):
            require_whole(name, getattr(self, name))
        for name in ("negatives", "lora"):
            if getattr(self, name) is not None:
                require_whole(name, getattr(self, name))
        if not 0 < self.learning_rate < 1:
            raise FrescoError(f"--learning-rate {self.learning_rate}: give a number between 0 and 1, such as 2e-5")

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def runs(self, seed: int) -> list[tuple[str, str, int]]:
        """Name, loss and seed of each model."""
        return [
            (loss if self.seeds == 1 else f"{loss}-{place}", loss, seed + place)
            for loss in self.losses
            for place in range(self.seeds)
        ]
