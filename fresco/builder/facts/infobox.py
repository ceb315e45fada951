"""Facts from the infoboxes of dated revisions themselves: what changed between them, with no Wikidata."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fresco.builder.facts import Fact
from fresco.builder.facts.holders import State, read_state
from fresco.builder.facts.values import Value, same
from fresco.builder.templates import Relation
from fresco.builder.wikitext import Infobox

#: A value that comes and goes within this time, back to what stood before, is taken for vandalism or a mistake.
REVERTED_WITHIN = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Dated:
    """The infoboxes of a revision.

    Attributes:
        when: When it was saved.
        until: When the next revision that was read was saved; None for the last.
        infoboxes: Of its lead.
    """

    when: datetime
    until: datetime | None
    infoboxes: tuple[Infobox, ...]


def facts_of_page(title: str, dated: Sequence[Dated], relations: Sequence[Relation]) -> Iterator[Fact]:
    """The facts of one page, in the order of relations, roles and dates.

    Args:
        title: The page.
        dated: Its revisions, oldest first.
        relations: Which to look for.
    """
    for relation in relations:
        states = [(each, read_state(relation, each.infoboxes)) for each in dated]
        for role in dict.fromkeys(role for _, state in states for role in state):
            yield from _facts_of_role(title, relation, role, states)


def _facts_of_role(title: str, relation: Relation, role: str, states: Sequence[tuple[Dated, State]]) -> Iterator[Fact]:
    # Nothing stated is unknown, not changed: those revisions are passed over.
    runs: list[tuple[Dated, tuple[Value, ...]]] = []
    for each, state in states:
        holders = state.get(role)
        if holders and not (runs and _alike(runs[-1][1], holders)):
            runs.append((each, holders))
    runs = _without_reverted(runs)
    open_facts: list[tuple[Value, datetime]] = []
    for each, holders in runs:
        kept = []
        for value, since in open_facts:
            if any(same(value, holder) for holder in holders):
                kept.append((value, since))
            else:
                yield _fact(title, relation, role, value, since, each.when)
        fresh = [holder for holder in holders if not any(same(holder, value) for value, _ in kept)]
        open_facts = [*kept, *((holder, each.when) for holder in fresh)]
    # Where the last revisions state nothing, the value may or may not hold on: it is known up to there.
    unknown = next((each.when for each, state in _tail(states, role)), None)
    for value, since in open_facts:
        yield _fact(title, relation, role, value, since, unknown)


def _tail(states: Sequence[tuple[Dated, State]], role: str) -> Sequence[tuple[Dated, State]]:
    """The revisions behind the last that states the role."""
    last = max(index for index, (_, state) in enumerate(states) if role in state)
    return states[last + 1 :]


def _without_reverted(runs: list[tuple[Dated, tuple[Value, ...]]]) -> list[tuple[Dated, tuple[Value, ...]]]:
    """Runs without those that lasted less than a day and ended where they began; equal neighbours become one."""
    kept: list[tuple[Dated, tuple[Value, ...]]] = []
    for index, (each, holders) in enumerate(runs):
        following = runs[index + 1] if index + 1 < len(runs) else None
        short = following is not None and following[0].when - each.when < REVERTED_WITHIN
        if short and kept and following is not None and _alike(kept[-1][1], following[1]):
            continue
        if not (kept and _alike(kept[-1][1], holders)):
            kept.append((each, holders))
    return kept


def _alike(one: Sequence[Value], other: Sequence[Value]) -> bool:
    return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)


def _fact(title: str, relation: Relation, role: str, value: Value, start: datetime, end: datetime | None) -> Fact:
    return Fact(title, relation.key, role, value.label, start, end, "infobox", value.forms[1:])
