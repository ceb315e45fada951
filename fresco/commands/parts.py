"""``fresco parts`` and ``fresco rerankers``: what can be named on the command line, and what each needs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from fresco.terminal.parts import Listing, MakeListing, add_parts, list_registry


def add_all_parts(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``fresco parts`` to the parser."""
    add_parts(commands, "parts", KINDS)


def add_rerankers(commands: argparse._SubParsersAction[Any]) -> None:
    """Add ``fresco rerankers`` to the parser."""
    add_parts(commands, "rerankers", KINDS, only="re-rankers")


def _rerankers() -> Listing:
    from fresco.rerank.registry import RERANKERS

    return list_registry("re-rankers", RERANKERS)


def _measures() -> Listing:
    from fresco.metrics.measures import MEASURES

    return list_registry("measures", MEASURES)


#: Every kind of part of this package.
KINDS: Mapping[str, MakeListing] = {"re-rankers": _rerankers, "measures": _measures}
