"""Kills, faults of the disk and mutated inputs: what `eval/results/campaign.md` counts.

``pytest -m slow tests/campaign`` tries a sample that a seed draws, in minutes. ``FRESCO_CAMPAIGN=20`` tries 20 times
as many, which is the whole; ``FRESCO_CAMPAIGN_SEED=n`` draws others.
"""

from __future__ import annotations

import os


def how_many(sample: int) -> int:
    """Cases of one kind in this run.

    Args:
        sample: How many there are in CI.
    """
    return sample * int(os.environ.get("FRESCO_CAMPAIGN", "1"))


def seed() -> int:
    """What the cases are drawn with."""
    return int(os.environ.get("FRESCO_CAMPAIGN_SEED", "0"))
