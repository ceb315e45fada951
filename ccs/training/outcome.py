"""What a training run ended with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run ended with.

    Attributes:
        steps: Made in all.
        stopped: Why it stopped early; empty where it did not.
        evaluations: Rows of ``evaluations.jsonl``.
        best: Step of the best checkpoint.
    """

    steps: int
    stopped: str
    evaluations: list[dict[str, Any]]
    best: int
