"""Rows of the stages' files, to and from the objects they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fresco.builder.align import Aligned
from fresco.builder.facts import Fact
from fresco.builder.facts.values import Value, read_value
from fresco.builder.passages import passage_id
from fresco.builder.revisions import Revision
from fresco.records import format_timestamp, parse_timestamp

Row = dict[str, Any]


def fact_row(fact: Fact) -> Row:
    """A fact as a row."""
    return {
        "subject": fact.subject,
        "relation": fact.relation,
        "role": fact.role,
        "value": fact.value,
        "start": format_timestamp(fact.start),
        "end": format_timestamp(fact.end) if fact.end else None,
        "source": fact.source,
        "aliases": list(fact.aliases),
    }


def row_fact(row: Mapping[str, Any]) -> Fact:
    """The fact of a row."""
    return Fact(
        subject=row["subject"],
        relation=row["relation"],
        role=row["role"],
        value=row["value"],
        start=parse_timestamp(row["start"]),
        end=parse_timestamp(row["end"]) if row["end"] else None,
        source=row["source"],
        aliases=tuple(row["aliases"]),
    )


def revision_row(revision: Revision) -> Row:
    """A revision as a row."""
    return {
        "title": revision.title,
        "page_id": revision.page_id,
        "revision_id": revision.revision_id,
        "timestamp": format_timestamp(revision.timestamp),
        "sha1": revision.sha1,
        **({"markup": revision.markup} if revision.markup != "wikitext" else {}),
    }


def row_revision(row: Mapping[str, Any]) -> Revision:
    """The revision of a row."""
    when = parse_timestamp(row["timestamp"])
    markup = row.get("markup", "wikitext")
    return Revision(row["title"], row["page_id"], row["revision_id"], when, row["sha1"], markup)


def aligned_row(aligned: Aligned) -> Row:
    """An aligned pair as a row: who held what when, and which passages say so; no text."""
    return {
        "subject": aligned.pair.subject,
        "relation": aligned.pair.relation.key,
        "role": aligned.role,
        "current": [value.label for value in aligned.current],
        "former": [value.label for value in aligned.former],
        "since": format_timestamp(aligned.pair.since),
        "size": aligned.size,
        "candidates": [
            {
                "id": passage_id(each.revision, each.section, each.window),
                "label": each.label.value,
                "states": each.states,
                "conflict": each.conflict.value if each.conflict else None,
            }
            for each in aligned.candidates
        ],
        "facts": [
            {
                "value": fact.value,
                "start": format_timestamp(fact.start),
                "end": format_timestamp(fact.end) if fact.end else None,
                "source": fact.source,
            }
            for fact in (*aligned.pair.current, *aligned.pair.earlier)
        ],
        "names": {value.label: list(value.forms) for value in (*aligned.current, *aligned.former)},
        "discarded": dict(aligned.discarded),
    }


def row_values(row: Mapping[str, Any], kind: str) -> tuple[Value, ...]:
    """Every holder of an aligned pair, the current first."""
    return tuple(_values(row["names"], (*row["current"], *row["former"]), kind))


def _values(names: Mapping[str, list[str]], labels: Iterable[str], kind: str) -> Iterable[Value]:
    for label in labels:
        read = read_value(kind, label)
        yield Value(label, kind, tuple(names[label]), read.amount if read else None)
