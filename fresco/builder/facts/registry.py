"""The sources of facts: from a spec on the command line to a :class:`fresco.builder.facts.FactSource`.

Each is one file of this package that registers itself with :data:`FACT_SOURCES`; :mod:`fresco.io.registry` says how
specs and classes of the user's own are written. What makes one may ask for ``relations`` (those of the build),
``config`` (:class:`fresco.builder.config.BuildConfig`), ``folder`` (where answers may be kept), ``progress`` and
``infobox_facts`` (gives the facts of the revisions' own infoboxes).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import datetime

from fresco.builder.facts import Fact, FactSource
from fresco.builder.templates import Relation
from fresco.errors import FrescoError
from fresco.io.foreign import foreign_code
from fresco.io.registry import Registry

FACT_SOURCES: Registry[FactSource] = Registry(
    "fact source",
    flag="--facts",
    package="fresco.builder.facts",
    group="fresco.fact_sources",
    members=("facts",),
)

#: Sources whose facts lie in the pages themselves: the build says which pages those are, not the facts.
OF_PAGES = ("infobox", "fields")


def facts_of(spec: str, source: FactSource, relations: Sequence[Relation]) -> Iterator[Fact]:
    """The facts of a source, checked.

    Args:
        spec: How it was named, for messages.
        source: The source.
        relations: Those that a fact may be of.

    Raises:
        FrescoError: the source failed, or gives something that is no fact of these relations.
    """
    known = {relation.key for relation in relations}
    ours = spec.partition(":")[0] in FACT_SOURCES.parts()
    with nullcontext() if ours else foreign_code(f"--facts {spec} failed"):
        for fact in source.facts():
            if fault := _fault(fact, known):
                raise FrescoError(f"--facts {spec}: {fault}")
            yield fact


def _fault(fact: object, known: set[str]) -> str | None:
    if not isinstance(fact, Fact):
        return f"gives {fact!r}; a fact is a fresco.builder.facts.Fact"
    if fact.relation not in known:
        return f"a fact about {fact.subject!r} is of the relation {fact.relation!r}, which is not one of this build"
    for when in (fact.start, fact.end):
        if when is not None and (not isinstance(when, datetime) or when.tzinfo is None):
            return f"a fact about {fact.subject!r} has the time {when!r}; it must be a datetime with a time zone"
    return None
