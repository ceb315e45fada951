"""Dated facts: who or what held a relation to a subject, from when to when, and who says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable

#: Source of facts that a user states; no document need state them in a field.
TABLE = "table"


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """One dated statement.

    Attributes:
        subject: Title of the page that it is about.
        relation: Key of the relation (:mod:`fresco.builder.templates`).
        role: Words of the role where it is part of the fact ("Secretary General"), else empty.
        value: The holder or amount, as a person would write it.
        start: From when it holds, aware, UTC.
        end: Until when, this moment not included; None: it still holds as far as the source knows.
        source: Where it comes from: ``infobox``, ``wikidata:Q...`` or ``table``.
        aliases: Other names of the value, for matching.
    """

    subject: str
    relation: str
    role: str
    value: str
    start: datetime
    end: datetime | None
    source: str
    aliases: tuple[str, ...] = ()


class FactSource(Protocol):
    """Where facts come from."""

    def facts(self) -> Iterator[Fact]:
        """Every fact the source has on the relations it was opened for, in a fixed order."""
        ...


@runtime_checkable
class CountedSource(FactSource, Protocol):
    """A source that can tell, for a plan, what its facts will take before it reads them."""

    def subjects(self) -> set[str]:
        """Titles of the pages that facts may be about."""
        ...

    def questions_left(self) -> int:
        """Requests that reading all facts takes."""
        ...

    @property
    def seconds_of_question(self) -> float:
        """What a request took so far, on average; 0 where none was made."""
        ...
