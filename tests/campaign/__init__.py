"""Kills, faults of the disk and mutated inputs, by the thousand: what `eval/results/campaign.md` counts.

``pytest -m slow tests/campaign`` tries a sample that is drawn by a seed; the whole is
``FRESCO_CAMPAIGN=full pytest -m slow tests/campaign``, and ``FRESCO_CAMPAIGN_SEED=n`` draws another.
"""

from __future__ import annotations

import os


def how_many(sample: int, full: int) -> int:
    """Cases of one kind in this run: of the sample, or of the whole."""
    return full if os.environ.get("FRESCO_CAMPAIGN") == "full" else sample


def seed() -> int:
    """What the cases are drawn with."""
    return int(os.environ.get("FRESCO_CAMPAIGN_SEED", "0"))
