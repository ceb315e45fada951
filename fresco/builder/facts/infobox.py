"""Facts from the infoboxes of dated revisions themselves: what changed between them, with no Wikidata."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fresco.builder.facts import Fact
from fresco.builder.facts.holders import State, read_state
from fresco.builder.facts.registry import FACT_SOURCES
from fresco.builder.facts.values import Value, amounts, fold, same, same_amount, surname
from fresco.builder.templates import Relation
from fresco.builder.wikitext import Infobox

#: A value that comes and goes within this time, back to what stood before, is taken for vandalism or a mistake.
REVERTED_WITHIN = timedelta(days=1)


#: An amount seen once that is so many times its neighbours, or so many times less, is a slip of the hand.
SLIP = 20.0

#: Sums of money that agree in so many digits are one sum.
_TELLING_DIGITS = 3

#: Where links lead today: titles to titles.
Resolve = Callable[[Collection[str]], Mapping[str, str]]
_States = Sequence[tuple["Dated", State]]


@dataclass(frozen=True, slots=True)
class Dated:
    """The infoboxes of a revision.

    Attributes:
        when: When it was saved.
        until: When the next revision that was read was saved; None for the last.
        infoboxes: Of its lead.
        prose: Gives what else stands on the page; None where it cannot be had.
        cited: Gives its references, those within infoboxes too: a source's title may name who is new.
    """

    when: datetime
    until: datetime | None
    infoboxes: tuple[Infobox, ...]
    prose: Callable[[], str] | None = field(default=None, compare=False)
    cited: Callable[[], str] | None = field(default=None, compare=False)


def _as_it_is(titles: Collection[str]) -> Mapping[str, str]:
    return {title: title for title in titles}


def facts_of_page(
    title: str,
    dated: Sequence[Dated],
    relations: Sequence[Relation],
    *,
    resolve: Resolve = _as_it_is,
    problems: Counter[str] | None = None,
) -> Iterator[Fact]:
    """The facts of one page, in the order of relations, roles and dates.

    Args:
        title: The page.
        dated: Its revisions, oldest first.
        relations: Which to look for.
        resolve: Where links lead; called where a role is held by several over time.
        problems: What was stated and yet became no fact is counted here, by reason.
    """
    counts = problems if problems is not None else Counter[str]()

    def unreadable() -> None:
        counts["value behind a template that is not known"] += 1

    for relation in relations:
        states: _States = [
            (each, read_state(relation, each.infoboxes, subject=title, unreadable=unreadable)) for each in dated
        ]
        states = _resolved(states, resolve)
        for role in dict.fromkeys(role for _, state in states for role in state):
            yield from _facts_of_role(title, relation, role, states, counts)


def _resolved(states: _States, resolve: Resolve) -> _States:
    """The states with each link's page by the title that it has today, where several pages are linked."""
    by_role: dict[str, set[str]] = defaultdict(set)
    for _, state in states:
        for role, holders in state.items():
            by_role[role].update(holder.target for holder in holders if holder.target)
    wanted = sorted(set().union(*(titles for titles in by_role.values() if len(titles) > 1)))
    if not wanted:
        return states
    leads = resolve(wanted)
    return [
        (
            each,
            {
                role: tuple(replace(holder, target=leads.get(holder.target, holder.target)) for holder in holders)
                for role, holders in state.items()
            },
        )
        for each, state in states
    ]


def _facts_of_role(
    title: str, relation: Relation, role: str, states: _States, problems: Counter[str]
) -> Iterator[Fact]:
    # Nothing stated is unknown, not changed: those revisions are passed over.
    stated = [(each, state[role]) for each, state in states if state.get(role)]
    confirmed = [one for place, one in enumerate(stated) if _is_confirmed(stated, place)]
    if len(confirmed) < len(stated):
        problems["value of one revision that nothing confirms"] += len(stated) - len(confirmed)
    if not confirmed:
        return
    runs: list[tuple[Dated, tuple[Value, ...]]] = []
    for each, holders in confirmed:
        if runs and _is_recount(runs[-1][1], holders):
            problems["count that changes without a new year in its list"] += 1
            return
        if not (runs and _alike(runs[-1][1], holders)):
            runs.append((each, holders))
    runs = _without_reverted(runs)
    if _is_copied([value for _, holders in runs for value in holders]):
        problems["figure that stands for two years, or with either sign"] += 1
        return
    names = [value for _, holders in confirmed for value in holders]
    open_facts: list[tuple[Value, datetime]] = []
    for each, holders in runs:
        kept = []
        for value, since in open_facts:
            if any(same(value, holder) for holder in holders):
                kept.append((value, since))
            else:
                yield _fact(title, relation, role, value, since, each.when, names)
        fresh = [holder for holder in holders if not any(same(holder, value) for value, _ in kept)]
        open_facts = [*kept, *((holder, each.when) for holder in fresh)]
    # Where the last revisions state nothing, the value may or may not hold on: it is known up to there.
    unknown = next((each.when for each, _ in states if each.when > confirmed[-1][0].when), None)
    for value, since in open_facts:
        yield _fact(title, relation, role, value, since, unknown, names)


def _is_confirmed(stated: Sequence[tuple[Dated, tuple[Value, ...]]], place: int) -> bool:
    """Whether every holder that a revision states is stated by another one too, or by its own prose or references.

    A name that stands alone is doubted only beside one that is established by two revisions. A number stands alone more
    often than not (each year's revenue in one revision): it is doubted only where both neighbours agree on another one,
    or where it is out of all proportion to them.
    """
    each, holders = stated[place]
    before = stated[place - 1][1] if place else ()
    behind = stated[place + 1][1] if place + 1 < len(stated) else ()
    for value in holders:
        if _sightings(value, stated) > 1:
            continue
        if value.kind in ("amount", "percentage", "version"):
            doubted = bool(before and behind) and _alike(before, behind)
            doubted = doubted or any(_is_slip(value, other) for other in (*before, *behind))
        else:
            doubted = any(_sightings(other, stated) > 1 for other in (*before, *behind))
        if not doubted or each.prose is None or _named(value, each.prose()):
            continue
        # Numbers stand in every other reference: there they prove nothing.
        if value.amount is not None or each.cited is None or not _named(value, each.cited()):
            return False
    return True


def _is_recount(before: Sequence[Value], behind: Sequence[Value]) -> bool:
    """Whether a count differs though the years that it counts end with the same one: nothing happened since."""
    return any(
        len(one.years) > 1 and len(other.years) > 1 and max(one.years) == max(other.years) and not same(one, other)
        for one in before
        for other in behind
    )


def _is_copied(values: Sequence[Value]) -> bool:
    """Whether a sum of money comes back with another sign, or for another year after one that differs: a slip.

    Neighbouring years may round alike. That a third year's figure is the first's to three digits is no accident.
    """
    money = [value for value in values if value.amount is not None and value.amount.money]
    for place, value in enumerate(money):
        for further, other in enumerate(money[place + 1 :]):
            one, two = value.amount, other.amount
            assert one is not None
            assert two is not None
            if one.number == -two.number != 0:
                return True
            years = value.years and other.years and max(value.years) != max(other.years)
            if further and years and max(one.digits, two.digits) >= _TELLING_DIGITS and same_amount(one, two):
                return True
    return False


def _sightings(value: Value, stated: Sequence[tuple[Dated, tuple[Value, ...]]]) -> int:
    """How many revisions state the value."""
    return sum(any(same(value, other) for other in holders) for _, holders in stated)


def _is_slip(value: Value, other: Value) -> bool:
    if value.amount is None or other.amount is None or not value.amount.number or not other.amount.number:
        return False
    ratio = abs(value.amount.number / other.amount.number)
    return not 1 / SLIP < ratio < SLIP


def _named(value: Value, prose: str) -> bool:
    """Whether a text names the value."""
    if value.amount is not None:
        return any(same(replace(value, amount=each), value) for each in amounts(prose) if not each.may_be_year)
    text = fold(prose).casefold()
    forms = [fold(form).casefold() for form in (*value.forms, surname(value)) if len(form) > 1]
    return any(re.search(rf"(?<!\w){re.escape(form)}(?!\w)", text) for form in forms)


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


def _fact(
    title: str,
    relation: Relation,
    role: str,
    value: Value,
    start: datetime,
    end: datetime | None,
    names: Sequence[Value],
) -> Fact:
    """A fact; other names under which the page shows the same thing are its aliases."""
    forms = [form for other in names if other.target == value.target != "" for form in other.forms]
    aliases = tuple(dict.fromkeys(form for form in (*value.forms[1:], *forms) if form != value.label))
    return Fact(title, relation.key, role, value.label, start, end, "infobox", aliases)


class Infoboxes:
    """The source ``infobox``.

    Args:
        infobox_facts: Reads the revisions of a build and gives their facts.
    """

    def __init__(self, infobox_facts: Callable[[], Iterator[Fact]]) -> None:
        self._read = infobox_facts

    def facts(self) -> Iterator[Fact]:
        """See :class:`fresco.builder.facts.FactSource`."""
        return self._read()


@FACT_SOURCES.register("infobox", "what changed between the revisions' own infoboxes")
def _open(_arguments: str, infobox_facts: Callable[[], Iterator[Fact]]) -> Infoboxes:
    return Infoboxes(infobox_facts)
