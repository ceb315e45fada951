"""Align a pair with its revisions: which passages state the current value, which a former one, which none.

A pair is kept when a revision of the current value's own interval states that value in its infobox and a revision of an
earlier value's interval states another (FRESCO, arXiv 2604.14227, construction, step 2), and when a passage states the
current value. Everything else is dropped with a reason.

Every section of every revision that was read is looked at, and its label follows from what it states
(:mod:`fresco.builder.reading`), never from its age.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from fresco.builder.facts import TABLE
from fresco.builder.facts.holders import State, read_state
from fresco.builder.facts.values import Value, fold, same
from fresco.builder.folding import Candidate, Source, fold_windows
from fresco.builder.infobox_text import infobox_sections
from fresco.builder.pairs import Pair, value_of
from fresco.builder.queries import spoken
from fresco.builder.reading import Reading, Sought, is_on
from fresco.builder.revisions import Revision
from fresco.builder.statements import states
from fresco.builder.wikitext import Page, Section
from fresco.records import Conflict, Label

#: Why a pair is dropped here.
NO_REVISION = "no revision of its page from its own interval"
NOT_STATED = "no infobox of its own interval states the latest value"
NOT_CHANGED = "no infobox of an older revision states another value"
NOT_IN_TEXT = "no passage states the latest value"

#: Infoboxes follow the world, and prose, by so many years at most.
LATE_YEARS = 3
#: A holder may have come so many years before the first revision that names them.
LONG_YEARS = 15

#: A revision, its page, the holders that are gone since and those that are new since.
Older = tuple[Revision, Page, tuple[Value, ...], tuple[Value, ...]]
Pages = Sequence[tuple[Revision, Page]]


@dataclass(frozen=True, slots=True)
class Aligned:
    """A pair with its labelled passages.

    Attributes:
        pair: The pair.
        role: Words of the role, as the current infobox has them.
        current: The holders at the reference date.
        former: The earlier holders that infoboxes state.
        size: Of its windows, in estimated tokens; 0: whole sections.
        candidates: The passages of its own page.
        discarded: How many windows became no candidate, by reason.
    """

    pair: Pair
    role: str
    current: tuple[Value, ...]
    former: tuple[Value, ...]
    size: int
    candidates: tuple[Candidate, ...]
    discarded: Mapping[str, int] = field(default_factory=dict)

    def labelled(self, label: Label) -> list[Candidate]:
        """The candidates that bear the label."""
        return [each for each in self.candidates if each.label is label]


def align(
    pair: Pair,
    pages: Pages,
    reference: datetime,
    *,
    infobox: bool = True,
    newest: Revision | None = None,
    documents: bool = False,
) -> Aligned | str:
    """Align a pair, or say why it is dropped.

    Args:
        pair: The pair.
        pages: The revisions that were read of its page, oldest first.
        reference: The reference date.
        infobox: Whether infoboxes are passages.
        newest: The page's newest revision at the reference date; the last of ``pages`` where None.
        documents: Whether the pages are documents that name the subject, not revisions of its own page: a sentence
            must then name it, and every conflict is one between documents.
    """
    found = changes(pair, pages, reference)
    if isinstance(found, str):
        return found
    _, page, role, current, older = found
    compatible = _compatible(pair, role, current, page, [gone for _, _, gone, _ in older])
    older = [each for each in older if not any(same(a, b) for a in each[2] for b in compatible)]
    if not older:
        return NOT_CHANGED
    sought = replace(_sought(pair, role, (*current, *compatible), current, older), named=documents)
    newest = newest or pages[-1][0]
    discarded: Counter[str] = Counter()
    size, candidates = fold_windows(list(_sources(sought, pages, pair.since, newest, infobox)), pair.subject, discarded)
    if not any(each.label is Label.POSITIVE for each in candidates):
        return NOT_IN_TEXT
    if documents:
        candidates = [_between_documents(each) for each in candidates]
    return Aligned(pair, role, sought.current, sought.former, size, tuple(candidates), dict(sorted(discarded.items())))


def _between_documents(candidate: Candidate) -> Candidate:
    of_pages = candidate.conflict in (Conflict.VERSION, Conflict.HISTORY)
    return replace(candidate, conflict=Conflict.CROSS_DOCUMENT) if of_pages else candidate


def changes(
    pair: Pair, pages: Pages, reference: datetime
) -> tuple[Revision, Page, str, tuple[Value, ...], list[Older]] | str:
    """The newest revision whose infobox states the current value, its role and holders, and those that state others.

    Args:
        pair: The pair.
        pages: The revisions that were read of its page, oldest first.
        reference: The reference date.
    """
    if pair.current[0].source == TABLE:
        return _told(pair, pages, reference)
    reason = NOT_STATED
    for revision, page, role, current in _current_revisions(pair, pages, reference):
        older = list(_older_revisions(pair, pages, role, current))
        if older:
            return revision, page, role, current, older
        reason = NOT_CHANGED
    return reason


def _told(
    pair: Pair, pages: Pages, reference: datetime
) -> tuple[Revision, Page, str, tuple[Value, ...], list[Older]] | str:
    """The same for facts that a user states: they hold whether or not an infobox says so."""
    own = [each for each in pages if pair.since <= each[0].timestamp <= reference]
    if not own:
        return NO_REVISION
    current = _with_aliases(pair.subject, holders := _holders(pair), holders)
    revision, page = own[-1]
    former = (value_of(fact, pair.relation) for fact in pair.earlier)
    older: list[Older] = [(revision, page, (value,), current) for value in former if value is not None]
    return (revision, page, pair.role, current, older) if older else NOT_CHANGED


def _sought(
    pair: Pair, role: str, current: tuple[Value, ...], stated: Sequence[Value], older: Sequence[Older]
) -> Sought:
    former: list[Value] = []
    fresh: list[Value] = []
    for _, _, gone, new in older:
        former += [value for value in gone if not any(same(value, known) for known in former)]
        fresh += [value for value in new if not any(same(value, known) for known in fresh)]
    announced = [value for fact in pair.coming if (value := value_of(fact, pair.relation)) is not None]
    known = (*current, *former)
    return Sought(
        pair.relation,
        role,
        pair.subject,
        tuple(stated),
        tuple(fresh),
        tuple(former),
        tuple(value for value in announced if not any(same(value, other) for other in known)),
        earliest=pair.since.year - LATE_YEARS,
        earliest_former=min(fact.start.year for fact in pair.earlier) - LONG_YEARS,
    )


def _sources(sought: Sought, pages: Pages, since: datetime, newest: Revision, infobox: bool) -> Iterator[Source]:
    """Every section of every revision; one text is read once, however many revisions hold it."""
    readings: dict[tuple[str, str, bool], Reading] = {}
    for revision, page in pages:
        for section in page.sections:
            key = (section.heading, section.text, False)
            if key not in readings:
                readings[key] = Reading(sought, section)
            yield Source(revision, section.index, readings[key], revision.timestamp >= since, revision == newest)
        named = is_on(page, sought.role)  # what an entry states of a page depends on it
        for box in infobox_sections(page) if infobox else ():
            key = (box.heading, box.text, named)
            if key not in readings:
                readings[key] = Reading(sought, box, page)
            yield Source(revision, box.index, readings[key], revision.timestamp >= since, revision == newest)


def _holders(pair: Pair) -> list[Value]:
    return [value for fact in pair.current if (value := value_of(fact, pair.relation)) is not None]


def _current_revisions(
    pair: Pair, pages: Sequence[tuple[Revision, Page]], reference: datetime
) -> Iterator[tuple[Revision, Page, str, tuple[Value, ...]]]:
    """Revisions of the latest value's own interval whose infobox states it, newest first."""
    holders = _holders(pair)
    for revision, page in reversed(pages):
        if not pair.since <= revision.timestamp <= reference:
            continue
        for role, stated in _roles(pair, read_state(pair.relation, page.infoboxes, subject=pair.subject)):
            if len(stated) == len(holders) and all(any(same(a, b) for b in stated) for a in holders):
                yield revision, page, role, _with_aliases(pair.subject, stated, holders)


def _roles(pair: Pair, state: State) -> Iterator[tuple[str, tuple[Value, ...]]]:
    """What the infobox states of the pair's role; of each role where the facts know none (Wikidata)."""
    for role, stated in state.items():
        if pair.role in ("", role):
            yield role, stated


def _with_aliases(subject: str, stated: Sequence[Value], known: Sequence[Value]) -> tuple[Value, ...]:
    """The stated values with the other names that the facts know them by, but none that is the subject's own."""
    own = {_folded_name(subject), _folded_name(spoken(subject))}
    found = []
    for value in stated:
        forms = [*value.forms, *(form for other in known if same(value, other) for form in other.forms)]
        forms = [form for form in dict.fromkeys(forms) if _folded_name(form) not in own]
        found.append(Value(value.label, value.kind, tuple(forms), value.amount))
    return tuple(found)


def _folded_name(name: str) -> str:
    return fold(name).casefold()


def _older_revisions(
    pair: Pair, pages: Sequence[tuple[Revision, Page]], role: str, current: Sequence[Value]
) -> Iterator[Older]:
    """Revisions whose infobox states an earlier holder, with who is gone since and who is new since."""
    spans = [(fact, value) for fact in pair.earlier if (value := value_of(fact, pair.relation)) is not None]
    for revision, page in pages:
        stated = read_state(pair.relation, page.infoboxes, subject=pair.subject).get(role, ())
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


def _compatible(
    pair: Pair, role: str, current: Sequence[Value], page: Page, gone: Sequence[Sequence[Value]]
) -> tuple[Value, ...]:
    """Earlier holders that a section of the current ones names as holders besides: the one is part of the other.

    A neighbourhood lies in a county, a holding belongs to a group: the infobox changed, the world did not.
    """
    if not pair.relation.nested:
        return ()
    sections = [
        section
        for section in page.sections
        if all(states(pair.relation, role, value, section, subject=pair.subject) for value in current)
    ]
    found: list[Value] = []
    for value in (value for each in gone for value in each):
        stated = [_plainly(pair, role, value, section) for section in sections]
        if any(stated) and not any(same(value, other) for other in found):
            found.append(value)
    return tuple(found)


def _plainly(pair: Pair, role: str, value: Value, section: Section) -> bool:
    statement = states(pair.relation, role, value, section, subject=pair.subject)
    return statement is not None and statement.rank == 0
