"""How a pair's texts are laid out, where an instruction says so: the mark ``{dates: ...}`` at its beginning.

Every family reads a query and a passage whose date stands in their last line. Whether a model finds a date better in
front is a part of its template that any of them can be asked with, so it goes with the instruction:

    {dates: passage first} Prefer passages that state the answer.

The mark itself is read by no model. Under it :func:`fresco.scoring.runner.score` hands over the same records with their
timestamp lines in front, so scores are stored under the texts that were read, and a file of instructions carries its
layout wherever it is scored.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Sequence
from enum import StrEnum

from fresco.errors import FrescoError
from fresco.records import Candidates, Passage, Query

_MARK = re.compile(r"\{dates:\s*(?P<which>[^{}]*?)\s*\}\s*")


class Layout(StrEnum):
    """Whose timestamp line stands in front; the value is what the mark says."""

    PLAIN = ""
    QUERY = "query first"
    PASSAGE = "passage first"
    BOTH = "both first"

    @property
    def query(self) -> bool:
        """Whether the query's does."""
        return self in (Layout.QUERY, Layout.BOTH)

    @property
    def passage(self) -> bool:
        """Whether the passages' do."""
        return self in (Layout.PASSAGE, Layout.BOTH)


def with_layout(instruction: str, layout: Layout) -> str:
    """The instruction with the mark of a layout; the mark alone where it is empty."""
    return f"{{dates: {layout}}} {instruction}".rstrip() if layout else instruction


def read_layout(instruction: str | None) -> tuple[Layout, str | None]:
    """The layout that an instruction asks for, and the instruction itself; None where the mark is all of it.

    Raises:
        FrescoError: the mark names no layout.
    """
    match = _MARK.match(instruction or "")
    if instruction is None or match is None:
        return Layout.PLAIN, instruction
    try:
        layout = Layout(match["which"])
    except ValueError:
        known = ", ".join(f"{{dates: {each}}}" for each in Layout if each)
        raise FrescoError(f"instruction {match[0].strip()}...: there is no such layout; write {known}") from None
    return layout, instruction[match.end() :] or None


def laid_out(pools: Sequence[Candidates], layout: Layout) -> Sequence[Candidates]:
    """The pools with their timestamp lines where the layout wants them."""
    if layout is Layout.PLAIN:
        return pools
    return [
        (dataclasses.replace(query, leads=layout.query), _led(passages, layout.passage)) for query, passages in pools
    ]


def _led(passages: Iterable[Passage], leads: bool) -> list[Passage]:
    return [dataclasses.replace(passage, leads=leads) for passage in passages]


def lay_out_one(query: Query, passages: Sequence[Passage], layout: Layout) -> Candidates:
    """:func:`laid_out` of a single pool."""
    return laid_out([(query, passages)], layout)[0]
