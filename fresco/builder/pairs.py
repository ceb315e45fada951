"""Subject-relation pairs: facts in groups, what holds at the reference date, and which revisions must be read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from fresco.builder.facts import Fact
from fresco.builder.facts.values import Value, bears_name_of, read_value, same
from fresco.builder.revisions import Revision
from fresco.builder.templates import Relation

#: Subject, relation, role, and why it is no pair.
Dropped = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Pair:
    """A subject, a relation (and role), and what held when.

    Attributes:
        subject: Title of the page.
        relation: The relation.
        role: Words of the role; empty where there is none.
        current: Facts that hold at the reference date.
        earlier: Facts with other values that held before, oldest first.
        coming: Facts that are to hold after the reference date, soonest first.
    """

    subject: str
    relation: Relation
    role: str
    current: tuple[Fact, ...]
    earlier: tuple[Fact, ...]
    coming: tuple[Fact, ...] = ()

    @property
    def since(self) -> datetime:
        """From when all of the current facts hold."""
        return max(fact.start for fact in self.current)


def value_of(fact: Fact, relation: Relation) -> Value | None:
    """The value of a fact in all its forms; None where it is nobody, or the subject under another name."""
    value = read_value(relation.values, fact.value, aliases=fact.aliases)
    if value is not None and relation.nested and bears_name_of(value, fact.subject):
        return None  # "49ers Enterprises" says nothing on who owns the 49ers
    return value


def pairs(
    facts: Iterable[Fact], relations: Sequence[Relation], since: datetime, reference: datetime
) -> Iterator[Pair | Dropped]:
    """Group facts, in the order of subject, relation and role.

    Yields:
        A pair, or why there is none: (subject, relation, role, reason).
    """
    by_key: dict[tuple[str, str, str], list[Fact]] = defaultdict(list)
    for fact in facts:
        by_key[fact.subject, fact.relation, fact.role].append(fact)
    known = {relation.key: relation for relation in relations}
    for (subject, key, role), group in sorted(by_key.items()):
        found = _pair(subject, known[key], role, group, since, reference)
        yield found if isinstance(found, Pair) else (subject, key, role, found)


def _pair(
    subject: str, relation: Relation, role: str, group: Sequence[Fact], since: datetime, reference: datetime
) -> Pair | str:
    dated = sorted(
        (fact for fact in group if fact.start <= reference and (fact.end is None or fact.end > since)),
        key=lambda fact: (fact.start, fact.value),
    )
    current = [fact for fact in dated if fact.end is None or fact.end > reference]
    if not current:
        return "no value holds at the reference date"
    if not relation.several:
        latest = current[-1].start
        current = [fact for fact in current if fact.start == latest]
        if len(current) > 1:
            return "several values hold at the reference date"
    holders = [value for fact in current if (value := value_of(fact, relation)) is not None]
    if len(holders) < len(current):
        return "the latest value cannot be read"
    earlier = [
        fact
        for fact in dated
        if fact not in current
        and (value := value_of(fact, relation)) is not None
        and not any(same(value, holder) for holder in holders)
    ]
    if not earlier:
        return "fewer than two distinct values"
    coming = sorted((fact for fact in group if fact.start > reference), key=lambda fact: (fact.start, fact.value))
    return Pair(subject, relation, role, tuple(current), tuple(earlier), tuple(coming))


def wanted_revisions(pair: Pair, history: Sequence[Revision], reference: datetime, most: int) -> list[Revision]:
    """The revisions to read for a pair: of each value's interval, the newest, and others evenly spread.

    Args:
        pair: The pair.
        history: All revisions of the page, oldest first.
        reference: The reference date.
        most: Revisions for each interval.
    """
    intervals = [(pair.since, None)] + [(fact.start, fact.end) for fact in pair.earlier]
    wanted: dict[Revision, None] = {}
    for start, end in intervals:
        inside = [
            each
            for each in history
            if start <= each.timestamp <= reference and (end is None or each.timestamp < end) and each.sha1
        ]
        wanted.update(dict.fromkeys(spread(inside, most)))
    return sorted(wanted, key=lambda each: (each.timestamp, each.revision_id))


def spread(revisions: Sequence[Revision], most: int) -> list[Revision]:
    """At most so many of the revisions, evenly spread, the last always among them."""
    count = len(revisions)
    if count <= most:
        return list(revisions)
    if most == 1:
        return [revisions[-1]]
    return [revisions[round(step * (count - 1) / (most - 1))] for step in range(most)]
