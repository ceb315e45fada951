"""What a masker is: it finds the spans of a text that name something, and a type for each.

Offsets are of Python characters in the text as given. Maskers may overlap, with themselves and with each other:
:mod:`ccs.rewards.mask.merge` makes one set of spans of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

#: Types that maskers give. What a library calls otherwise becomes one of these, see :data:`TYPES`.
TAGS = ("PERSON", "ORG", "LOC", "DATE", "NUMBER", "WORK", "EVENT", "MISC", "QUOTE")

#: Labels of common models (CoNLL-2003, OntoNotes 5, WNUT-17, Few-NERD's coarse types), upper-cased, as our types.
TYPES = {
    **{tag: tag for tag in TAGS},
    **dict.fromkeys(("PER", "PEOPLE"), "PERSON"),
    **dict.fromkeys(("ORGANIZATION", "ORGANISATION", "CORPORATION", "GROUP"), "ORG"),
    **dict.fromkeys(("LOCATION", "GPE", "FAC", "BUILDING"), "LOC"),
    "TIME": "DATE",
    **dict.fromkeys(("CARDINAL", "ORDINAL", "QUANTITY", "PERCENT", "MONEY", "NUM"), "NUMBER"),
    **dict.fromkeys(("WORK_OF_ART", "CREATIVE-WORK", "ART", "LAW"), "WORK"),
}


def tag_of(label: str) -> str:
    """Our type for a library's label, its B- or I- taken off; ``MISC`` for what is not known."""
    upper = label.upper()
    return TYPES.get(upper[2:] if upper[:2] in {"B-", "I-", "L-", "U-", "S-", "E-"} else upper, "MISC")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Characters ``start`` to ``end`` (not included) of a text, and one of :data:`TAGS`."""

    start: int
    end: int
    tag: str


@runtime_checkable
class Masker(Protocol):
    """Finds what to mask."""

    @property
    def name(self) -> str:
        """The spec that opens it."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identity of everything that can change its spans: weights, word lists, rules."""
        ...

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """Spans for each text, in any order; none is empty or reaches past the text."""
        ...
