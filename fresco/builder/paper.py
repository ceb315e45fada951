"""The published construction (FRESCO, arXiv 2604.14227, steps 2 and 4), for comparison: labels by a revision's age.

One section of the current revision is the positive, its other sections are insufficient, and sections of older
revisions are never anything but outdated. Sections are whole; there are no tables and no infoboxes. Passages of other
pages come from an old snapshot and count as outdated as well (:mod:`fresco.builder.pools`). Dates decide such a
benchmark: its card holds the audit that says how far.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime

from fresco.builder.align import LATE_YEARS, LONG_YEARS, NOT_IN_TEXT, Aligned, Older, Pages, changes
from fresco.builder.facts.values import Value
from fresco.builder.folding import Candidate
from fresco.builder.near_duplicates import near_duplicates, shingles
from fresco.builder.pairs import Pair
from fresco.builder.revisions import Revision
from fresco.builder.statements import mentions, states
from fresco.builder.wikitext import Page, Section
from fresco.builder.windows import FEWEST_WORDS, Window
from fresco.records import Conflict, Label


def align_like_paper(pair: Pair, pages: Pages, reference: datetime) -> Aligned | str:
    """Align a pair as published, or say why it is dropped; see :func:`fresco.builder.align.align`."""
    found = changes(pair, pages, reference)
    if isinstance(found, str):
        return found
    revision, page, role, current, older = found
    positive = _positive(pair, role, current, page)
    if positive is None:
        return NOT_IN_TEXT
    discarded: Counter[str] = Counter()
    candidates = [
        _candidate(revision, positive, Label.POSITIVE),
        *_insufficient(pair, role, current, revision, page, positive, discarded),
        *_outdated(pair, role, older, discarded),
    ]
    former = tuple({value.label: value for _, _, gone, _ in older for value in gone}.values())
    return Aligned(pair, role, current, former, 0, tuple(candidates), dict(sorted(discarded.items())))


def _candidate(revision: Revision, section: Section, label: Label, states_: str = "") -> Candidate:
    window = Window(0, len(section.text))
    conflict = Conflict.VERSION if label is Label.OUTDATED else None
    return Candidate(revision, section.index, window, section.heading, section.text, label, states_, conflict)


def _positive(pair: Pair, role: str, current: Sequence[Value], page: Page) -> Section | None:
    """The section that states all current holders, most plainly, soonest after its beginning."""
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


def _insufficient(
    pair: Pair,
    role: str,
    current: Sequence[Value],
    revision: Revision,
    page: Page,
    positive: Section,
    discarded: Counter[str],
) -> Iterator[Candidate]:
    own = shingles(positive.text)
    for section in page.sections:
        if section.index == positive.index:
            continue
        if _mentions_any(pair, role, current, section):
            discarded["current revision, mentions the value"] += 1
        elif len(section.text.split()) < FEWEST_WORDS:
            discarded["too short"] += 1
        elif near_duplicates(own, shingles(section.text)):
            discarded["near-duplicate of the positive"] += 1
        else:
            yield _candidate(revision, section, Label.INSUFFICIENT)


def _outdated(pair: Pair, role: str, older: Sequence[Older], discarded: Counter[str]) -> Iterator[Candidate]:
    # Newest first: of a text that stands unchanged in several revisions, the last is the hardest to tell.
    earliest = min(fact.start.year for fact in pair.earlier) - LONG_YEARS
    texts: set[str] = set()
    for revision, page, gone, new in sorted(older, key=lambda each: each[0].timestamp, reverse=True):
        for section in page.sections:
            stated = [
                value.label
                for value in gone
                if states(pair.relation, role, value, section, subject=pair.subject, earliest=earliest)
            ]
            if not stated or len(section.text.split()) < FEWEST_WORDS:
                continue
            if _mentions_any(pair, role, new, section):
                discarded["older revision, mentions the current value"] += 1
            elif section.text in texts:
                discarded["older revision, text of a later one"] += 1
            else:
                texts.add(section.text)
                yield _candidate(revision, section, Label.OUTDATED, "; ".join(stated))


def _mentions_any(pair: Pair, role: str, values: Sequence[Value], section: Section) -> bool:
    text = f"{section.heading}\n{section.text}"
    return any(mentions(pair.relation, role, value, text) for value in values)
