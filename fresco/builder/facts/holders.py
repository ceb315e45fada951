"""What the infoboxes of a revision state about a relation: the holders by role."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from fresco.builder.clauses import of_another_body
from fresco.builder.facts.amounts import counts_something_else
from fresco.builder.facts.values import Value, fold, read_value, same
from fresco.builder.templates import FieldRule, Relation
from fresco.builder.wikitext import Entry, Infobox

_TOTAL = re.compile(r"\btotal\b", re.IGNORECASE)

#: What a number counts: "528 commercial aircraft".
_COUNTED = re.compile(r"\d[\d.,]*\s+(?:(?:thousand|million|billion)\s+)?(?P<things>[a-z]{3,}[a-z ]*)", re.IGNORECASE)
#: A part of more with its name before it: "Block 1: 6". A year is none: "2023: 50".
_LABELLED = re.compile(r"(?!(?:19|20)\d\d)[^\W\d_][^:]{0,30}:\s*\S")
_YEAR = re.compile(r"(?<![\d.,])(?:19|20)\d\d(?![\d.,]\d|\d)")
#: Words for an office, and for who holds it; one who holds a "leadership" has no name.
_OFFICES = {"presidency": "President", "chairmanship": "Chairman", "directorship": "Director", "leadership": ""}

#: Holders by role (empty where the relation has none).
State = dict[str, tuple[Value, ...]]


def read_state(
    relation: Relation,
    infoboxes: Iterable[Infobox],
    *,
    subject: str = "",
    unreadable: Callable[[], None] = lambda: None,
) -> State:
    """The holders that the infoboxes state.

    A role is left out where nothing readable is stated (empty, vacant, TBD, drawn from Wikidata, behind a template that
    is not known), and where it cannot be told which holds: several are named for a relation with a single holder, or
    one role stands there twice with different holders.

    Args:
        relation: The relation.
        infoboxes: Of one revision.
        subject: Title of the page: "Director of the Agency" is its director, "Chief of Staff" is another office.
        unreadable: Called for each role that is stated in a way that cannot be read.
    """
    state: State = {}
    doubtful = set()
    for role, holders in _stated(relation, infoboxes, subject, unreadable):
        if holders and (relation.several or len(holders) == 1):
            known = state.setdefault(role, holders)
            if role and not any(same(one, other) for one in known for other in holders):
                doubtful.add(role)
    return {role: holders for role, holders in state.items() if role not in doubtful}


def _stated(
    relation: Relation, infoboxes: Iterable[Infobox], subject: str, unreadable: Callable[[], None]
) -> Iterator[tuple[str, tuple[Value, ...]]]:
    for box in infoboxes:
        for rule in relation.fields:
            if box.kind in rule.infoboxes:
                only_first = rule.first or relation.values in ("amount", "percentage")
                if bool(box.subject) != relation.entries:
                    continue
                for role, found, years in _matches(relation, rule, box, subject):
                    entries = _main(found) if only_first else found
                    if all(entry.readable for entry in entries):
                        yield role, _distinct(_values(relation, rule, entries, years))
                    else:
                        unreadable()  # of several holders, one: who they are is not known


def _main(found: Sequence[Entry]) -> Sequence[Entry]:
    """The entry that a field with one value is about: the first, but of a composite amount the one marked as total.

    None where numbers of different things stand beside each other, and no total: which one is asked for cannot be told.
    """
    totals = [entry for entry in found if _TOTAL.search(f"{entry.text} {entry.note}")]
    things = {match["things"].strip() for entry in found if (match := _COUNTED.match(entry.text))}
    parts = sum(_LABELLED.match(entry.text) is not None for entry in found)
    return totals[:1] or (found[:1] if len(things) < 2 and parts < 2 else ())


def _matches(
    relation: Relation, rule: FieldRule, box: Infobox, subject: str
) -> Iterator[tuple[str, Sequence[Entry], tuple[int, ...]]]:
    names = [(name, match) for name in box.fields for each in rule.names if (match := each.fullmatch(name))]
    if rule.latest_year and names:
        stated = [one for one in names if box.fields[one[0]]]
        names = [max(stated, key=lambda one: one[0])] if stated else []
    for name, match in names:
        if rule.renamed and _is_another(relation, _title(box, rule.renamed.replace("{name}", name))):
            continue
        entries = box.fields[name]
        if rule.role is not None and name not in rule.bare:
            entries = tuple(entry for entry in entries if _has_role(rule, entry, subject))
        elif rule.not_role is not None:
            entries = tuple(entry for entry in entries if not rule.not_role.search(entry.note))
        role = box.subject or rule.fixed_title
        if rule.title:
            number = match.group(1) if match.re.groups else ""
            title = rule.title.replace("{n}", number)
            role = _role(_title(box, title), subject) or rule.fixed_title
            if not role or (rule.not_title and rule.not_title.search(role)):
                continue
        yield role, entries, _years(box.fields.get(f"{name} year", ()))


def _has_role(rule: FieldRule, entry: Entry, subject: str) -> bool:
    assert rule.role is not None
    # "Name, CEO" says it behind a comma instead of in brackets.
    note = entry.note or entry.text.partition(", ")[2]
    role = rule.role.search(note)
    return role is not None and not (
        (rule.not_role and rule.not_role.search(note)) or of_another_body(note, role.end(), subject)
    )


def _title(box: Infobox, name: str) -> str:
    """What a field says that names an office; empty where it says nothing that can be read."""
    titles = box.fields.get(name, ()) or box.fields.get(name.replace(" ", ""), ())
    return titles[0].text if titles and titles[0].readable else ""


def _is_another(relation: Relation, title: str) -> bool:
    """Whether a title names another office than the relation's: its plainest cue does not stand in it."""
    return bool(title) and not relation.cue_patterns()[0].search(title)


def _role(title: str, subject: str) -> str:
    title = re.sub(r"^(?:acting|interim|current)\s+", "", " ".join(title.split()), flags=re.IGNORECASE)
    title = re.split(r"[,;(]", title)[0].strip(" \u2192")
    office, _, body = title.partition(" of ")
    if _proper_words(body) <= _proper_words(subject):
        title = office
    title = _OFFICES.get(title.casefold(), title)
    return title if 2 < len(title) <= 60 and re.search(r"[^\W\d_]{3}", title) else ""


def _proper_words(name: str) -> set[str]:
    return {word for word in re.findall(r"\w+", fold(name).casefold()) if word not in ("the", "of", "and")}


def _years(entries: Sequence[Entry]) -> tuple[int, ...]:
    """The years that entries or their notes name."""
    return tuple(int(year) for entry in entries for year in _YEAR.findall(f"{entry.text} {entry.note}"))


def _values(relation: Relation, rule: FieldRule, entries: Sequence[Entry], years: tuple[int, ...]) -> Iterator[Value]:
    if rule.joined and entries:
        entries = [replace(entries[0], text=", ".join(entry.text for entry in entries))]
    for entry in entries:
        text = entry.text.partition(", ")[0] if rule.role is not None and not entry.note else entry.text
        value = read_value(relation.values, text, target=entry.target, note=entry.note)
        if value is not None and value.amount is not None:
            if counts_something_else(relation.words(), text, value.amount):
                continue
            noted = _years([replace(entry, text=text[value.amount.end :])])
            value = replace(value, years=noted or years)
        if value is not None:
            yield value


def _distinct(values: Iterable[Value]) -> tuple[Value, ...]:
    kept: list[Value] = []
    for value in values:
        if not any(same(value, other) for other in kept):
            kept.append(value)
    return tuple(kept)
