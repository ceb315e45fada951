"""``ccs parts``: what can be named on the command line and in configurations, and what each needs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from fresco.terminal.parts import Listing, MakeListing, add_parts, list_registry


def add_all_parts(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``ccs parts`` to the parser."""
    add_parts(commands, "parts", KINDS)


def _rewards() -> Listing:
    from ccs.rewards.registry import REWARDS

    return list_registry("rewards", REWARDS)


def _maskers() -> Listing:
    from ccs.rewards.mask.registry import MASKERS

    return list_registry("maskers", MASKERS)


def _similarities() -> Listing:
    from ccs.rewards.similarity import SIMILARITIES

    listing = list_registry("similarities", SIMILARITIES)
    evidence = ("evidence", "how much of the question the passages cover, and how they are linked", "nothing")
    return Listing(listing.kind, listing.named_by, listing.columns, [evidence, *listing.rows], listing.broken)


def _retrievers() -> Listing:
    from ccs.retrieve.registry import RETRIEVERS

    return list_registry("retrievers", RETRIEVERS)


def _engines() -> Listing:
    from ccs.training.registry import ENGINES

    return list_registry("engines", ENGINES)


#: Every kind of part of this package.
KINDS: Mapping[str, MakeListing] = {
    "rewards": _rewards,
    "maskers": _maskers,
    "similarities": _similarities,
    "retrievers": _retrievers,
    "engines": _engines,
}
