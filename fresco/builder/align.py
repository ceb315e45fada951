"""Align a pair with its revisions: which section states the current value, which an earlier one, which none.

A pair is kept when a revision of the current value's own interval states that value in its infobox and a revision of an
earlier value's interval states another (FRESCO, arXiv 2604.14227, construction, step 2), and when a section of the
current revision states the value. Everything else is dropped with a reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from fresco.builder.facts.holders import State, read_state
from fresco.builder.facts.values import Value, fold, same
from fresco.builder.near_duplicates import near_duplicates, shingles
from fresco.builder.pairs import Pair, value_of
from fresco.builder.queries import spoken
from fresco.builder.revisions import Revision
from fresco.builder.statements import mentions, states
from fresco.builder.templates import Relation
from fresco.builder.wikitext import Page, Section

#: Why a pair is dropped here.
NOT_STATED = "no infobox of its own interval states the latest value"
NOT_CHANGED = "no infobox of an older revision states another value"
NOT_IN_PROSE = "no section states the latest value"

#: Shorter sections are captions and stubs.
FEWEST_WORDS = 8


#: Infoboxes follow the world, and prose, by so many years at most.
LATE_YEARS = 3
#: A holder may have come so many years before the first revision that names them.
LONG_YEARS = 15

#: A revision, its page, the holders that are gone since and those that are new since.
_Older = tuple[Revision, Page, tuple[Value, ...], tuple[Value, ...]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A section of a revision.

    Attributes:
        revision: The revision.
        section: The section.
        value: For outdated ones, the earlier value that it states.
    """

    revision: Revision
    section: Section
    value: str = ""


@dataclass(frozen=True, slots=True)
class Aligned:
    """A pair with its labelled sections.

    Attributes:
        pair: The pair.
        role: Words of the role, as the current infobox has them.
        current: The holders at the reference date.
        former: The earlier holders that infoboxes state.
        positive: The section that states the current holders.
        insufficient: Other sections of its revision, none of which so much as mentions them.
        outdated: Sections of older revisions that state an earlier holder and mention no new one.
        discarded: How many sections became no candidate, by reason.
    """

    pair: Pair
    role: str
    current: tuple[Value, ...]
    former: tuple[Value, ...]
    positive: Candidate
    insufficient: tuple[Candidate, ...]
    outdated: tuple[Candidate, ...]
    discarded: Mapping[str, int] = field(default_factory=dict)


def align(pair: Pair, pages: Sequence[tuple[Revision, Page]], reference: datetime) -> Aligned | str:
    """Align a pair, or say why it is dropped.

    Args:
        pair: The pair.
        pages: The revisions that were read of its page, oldest first.
        reference: The reference date.
    """
    reason = NOT_STATED
    for revision, page, role, current in _current_revisions(pair, pages, reference):
        older = list(_older_revisions(pair, pages, role, current))
        if not older:
            reason = NOT_CHANGED
            continue
        positive = _positive(pair, role, current, page)
        if positive is None:
            reason = NOT_IN_PROSE
            continue
        compatible = _compatible(pair, role, positive, [gone for _, _, gone, _ in older])
        older = [each for each in older if not any(same(a, b) for a in each[2] for b in compatible)]
        if older:
            return _labelled(pair, role, (*current, *compatible), Candidate(revision, positive), page, older)
        reason = NOT_CHANGED
    return reason


def _labelled(
    pair: Pair,
    role: str,
    current: tuple[Value, ...],
    positive: Candidate,
    page: Page,
    older: Sequence[_Older],
) -> Aligned:
    discarded: Counter[str] = Counter()
    insufficient = _insufficient(pair.relation, role, current, page, positive, discarded)
    outdated = _outdated(pair, role, older, discarded)
    former: list[Value] = []
    for _, _, gone, _ in older:
        former += [value for value in gone if not any(same(value, known) for known in former)]
    return Aligned(
        pair=pair,
        role=role,
        current=current,
        former=tuple(former),
        positive=positive,
        insufficient=tuple(insufficient),
        outdated=tuple(outdated),
        discarded=dict(sorted(discarded.items())),
    )


def _current_revisions(
    pair: Pair, pages: Sequence[tuple[Revision, Page]], reference: datetime
) -> Iterator[tuple[Revision, Page, str, tuple[Value, ...]]]:
    """Revisions of the latest value's own interval whose infobox states it, newest first."""
    holders = [value for fact in pair.current if (value := value_of(fact, pair.relation)) is not None]
    for revision, page in reversed(pages):
        if not pair.since <= revision.timestamp <= reference:
            continue
        for role, stated in _roles(pair, read_state(pair.relation, page.infoboxes)):
            if len(stated) == len(holders) and all(any(same(a, b) for b in stated) for a in holders):
                yield revision, page, role, _with_aliases(pair.subject, stated, holders)


def _roles(pair: Pair, state: State) -> Iterator[tuple[str, tuple[Value, ...]]]:
    """What the infobox states of the pair's role; of each role where the facts know none (Wikidata)."""
    for role, stated in state.items():
        if pair.role in ("", role):
            yield role, stated


def _with_aliases(subject: str, stated: Sequence[Value], known: Sequence[Value]) -> tuple[Value, ...]:
    """The stated values with the other names that the facts know them by, but none that is the subject's own."""
    own = {_plain(subject), _plain(spoken(subject))}
    found = []
    for value in stated:
        forms = [*value.forms, *(form for other in known if same(value, other) for form in other.forms)]
        forms = [form for form in dict.fromkeys(forms) if _plain(form) not in own]
        found.append(Value(value.label, value.kind, tuple(forms), value.amount))
    return tuple(found)


def _plain(name: str) -> str:
    return fold(name).casefold()


def _older_revisions(
    pair: Pair, pages: Sequence[tuple[Revision, Page]], role: str, current: Sequence[Value]
) -> Iterator[_Older]:
    """Revisions whose infobox states an earlier holder, with who is gone since and who is new since."""
    spans = [(fact, value) for fact in pair.earlier if (value := value_of(fact, pair.relation)) is not None]
    for revision, page in pages:
        stated = read_state(pair.relation, page.infoboxes).get(role, ())
        gone = tuple(
            value
            for value in stated
            if not any(same(value, holder) for holder in current)
            and any(
                same(value, earlier)
                and fact.start <= revision.timestamp
                and (fact.end is None or revision.timestamp < fact.end)
                for fact, earlier in spans
            )
        )
        new = tuple(holder for holder in current if not any(same(holder, value) for value in stated))
        # Where someone only left, every section that names the others would be right and wrong at once.
        if gone and new:
            yield revision, page, gone, new


def _positive(pair: Pair, role: str, current: Sequence[Value], page: Page) -> Section | None:
    """The section that states all current holders, most plainly, soonest after its beginning.

    Soonest, so that a model with a short window still sees it.
    """
    earliest = pair.since.year - LATE_YEARS
    found = []
    for section in page.sections:
        places = [
            states(pair.relation, role, value, section, subject=pair.subject, earliest=earliest) for value in current
        ]
        stated = [place for place in places if place is not None]
        if len(stated) == len(current):
            plain = max(place.rank for place in stated)
            found.append(((plain, max(place.start for place in stated), section.index), section))
    return min(found, key=lambda each: each[0])[1] if found else None


def _compatible(pair: Pair, role: str, positive: Section, gone: Sequence[Sequence[Value]]) -> tuple[Value, ...]:
    """Earlier holders that the section of the current ones names as holders besides: the one is part of the other.

    A neighbourhood lies in a county, a holding belongs to a group: the infobox changed, the world did not.
    """
    if not pair.relation.nested:
        return ()
    found: list[Value] = []
    for value in (value for each in gone for value in each):
        statement = states(pair.relation, role, value, positive, subject=pair.subject)
        if statement is not None and statement.rank == 0 and not any(same(value, other) for other in found):
            found.append(value)
    return tuple(found)


def _insufficient(
    relation: Relation,
    role: str,
    current: Sequence[Value],
    page: Page,
    positive: Candidate,
    discarded: Counter[str],
) -> Iterator[Candidate]:
    own = shingles(positive.section.text)
    for section in page.sections:
        if section.index == positive.section.index:
            continue
        if _mentions_any(relation, role, current, section):
            discarded["current revision, mentions the value"] += 1
        elif len(section.text.split()) < FEWEST_WORDS:
            discarded["too short"] += 1
        elif near_duplicates(own, shingles(section.text)):
            discarded["near-duplicate of the positive"] += 1
        else:
            yield Candidate(positive.revision, section)


def _outdated(
    pair: Pair,
    role: str,
    older: Sequence[_Older],
    discarded: Counter[str],
) -> list[Candidate]:
    # Newest first: of a text that stands unchanged in several revisions, the last is the hardest to tell.
    earliest = min(fact.start.year for fact in pair.earlier) - LONG_YEARS
    texts: set[str] = set()
    found = []
    for revision, page, gone, new in sorted(older, key=lambda each: each[0].timestamp, reverse=True):
        for section in page.sections:
            stated = [
                value.label
                for value in gone
                if states(pair.relation, role, value, section, subject=pair.subject, earliest=earliest)
            ]
            if not stated or len(section.text.split()) < FEWEST_WORDS:
                continue
            if _mentions_any(pair.relation, role, new, section):
                discarded["older revision, mentions the current value"] += 1
            elif section.text in texts:
                discarded["older revision, text of a later one"] += 1
            else:
                texts.add(section.text)
                found.append(Candidate(revision, section, "; ".join(stated)))
    return found


def _mentions_any(relation: Relation, role: str, values: Sequence[Value], section: Section) -> bool:
    text = f"{section.heading}\n{section.text}"
    return any(mentions(relation, role, value, text) for value in values)
