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


def _benchmarks() -> Listing:
    from fresco.benchmarks.registry import BENCHMARKS

    return list_registry("benchmarks", BENCHMARKS)


def _proposers() -> Listing:
    from fresco.optimizer.proposers.registry import PROPOSERS

    return list_registry("proposers", PROPOSERS)


def _fact_sources() -> Listing:
    from fresco.builder.facts.registry import FACT_SOURCES

    return list_registry("fact sources", FACT_SOURCES)


def _relations() -> Listing:
    from fresco.builder.templates import relations

    rows = [(each.key, each.name, each.subjects, each.property or "infoboxes") for each in relations().values()]
    own = ("NAME", "your own: NAME.toml in a folder", "", "")
    return Listing(
        "relations",
        "fresco build --relation; your own: --relations DIR",
        ("spec", "what", "subjects", "from"),
        [*rows, own],
    )


#: Every kind of part of this package.
KINDS: Mapping[str, MakeListing] = {
    "re-rankers": _rerankers,
    "benchmarks": _benchmarks,
    "measures": _measures,
    "proposers": _proposers,
    "fact-sources": _fact_sources,
    "relations": _relations,
}
