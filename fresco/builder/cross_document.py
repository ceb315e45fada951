"""Passages of other pages that still, or again, state a former value: outdated whatever their date."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from fresco.builder.facts.values import Value, fold
from fresco.builder.queries import spoken
from fresco.builder.statements import mentions, statements
from fresco.builder.templates import Relation
from fresco.builder.wikitext import Section
from fresco.records import Passage


def stating_elsewhere(
    subject: str,
    relation: Relation,
    role: str,
    current: Sequence[Value],
    former: Sequence[Value],
    since: datetime,
    passages: Mapping[str, Passage],
) -> Iterator[str]:
    """Ids of passages of other pages, newer than the change, that state a former value and mention no current one.

    One sentence must name the subject, the former value and a cue of the relation.

    Args:
        subject: Title of the page asked about.
        relation: The relation.
        role: Words of the role.
        current: The holders at the reference date.
        former: Earlier holders.
        since: From when the current ones hold.
        passages: By id.
    """
    name = fold(spoken(subject))
    names = [form for value in former for form in value.forms]
    for identifier, passage in passages.items():
        if passage.timestamp < since or passage.title == subject or name not in passage.body:
            continue
        # Amounts have no names; they are looked for in the sentence.
        if names and not any(form.split()[-1] in passage.body for form in names):
            continue
        section = Section(0, passage.section, passage.body)
        for value in former:
            found = statements(relation, role, value, section, subject=subject, over=True)
            if any(name in fold(passage.body[each.start : each.end]) for each in found):
                text = f"{passage.title}\n{passage.section}\n{passage.body}"
                if not any(mentions(relation, role, each, text) for each in current):
                    yield identifier
                break
