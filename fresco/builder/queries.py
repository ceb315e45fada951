"""Queries from templates: an explicit and an implicit one for each pair, no language model."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from fresco.builder.templates import Relation
from fresco.records import Kind


def query_rows(pair: Mapping[str, Any], relation: Relation, timestamp: str) -> list[dict[str, Any]]:
    """The two queries of an aligned pair.

    Args:
        pair: A row of the ``align`` stage.
        relation: Its relation.
        timestamp: When the queries are asked.
    """
    return [
        {
            "_id": query_id(pair["subject"], relation.key, pair["role"], kind),
            "text": query_text(pair["subject"], relation, pair["role"], kind),
            "timestamp": timestamp,
            "task": "EK",
            "kind": kind.value,
            "subject": pair["subject"],
            "relation": pair["role"] or relation.name,
            "answer": "; ".join(pair["current"]),
            "pair": [pair["subject"], relation.key, pair["role"]],
        }
        for kind in (Kind.EXPLICIT, Kind.IMPLICIT)
    ]


def query_id(subject: str, relation: str, role: str, kind: Kind) -> str:
    """An id without blanks, made of what the query is about."""
    return ":".join(underscored(part) for part in (subject, relation, role, kind.value) if part)


def query_text(subject: str, relation: Relation, role: str, kind: Kind) -> str:
    """The template that SHA-256 of (subject, relation, role, kind) picks, filled in: other pairs move none."""
    templates = relation.explicit if kind is Kind.EXPLICIT else relation.implicit
    seed = hashlib.sha256("\n".join((subject, relation.key, role, kind.value)).encode()).digest()
    template = templates[int.from_bytes(seed[:8]) % len(templates)]
    return template.format(
        subject=_with_article(spoken(subject), relation), role=_spoken_role(role) if role else relation.name
    )


def spoken(title: str) -> str:
    """A title as it is said: without what tells it from other pages."""
    return re.sub(r"\s*\([^)]*\)$", "", title) or title


#: A team named by its players ("Detroit Pistons", "Boston Red Sox"), not by a place or a club ("Olympique Lyonnais").
_PLAYERS = re.compile(r"\S+ .*(?:[a-z][^aisu\W]s|Sox|Heat|Jazz|Magic|Thunder|Lightning|Avalanche|Wild|Kraken)")


def _with_article(name: str, relation: Relation) -> str:
    """A name as it stands within a question: "the Detroit Pistons"."""
    team = "team" in relation.subjects and _PLAYERS.fullmatch(name) and not name.startswith("The ")
    return f"the {name}" if team else name


def underscored(text: str) -> str:
    """Text without blanks, as ids in TREC files must be."""
    return re.sub(r"\s+", "_", text.strip())


def _spoken_role(role: str) -> str:
    # "Director" is a word, "NATO Secretary General" has names in it: only single capitalized words become lower case.
    words = role.split()
    return role.lower() if all(re.fullmatch(r"[A-Z][a-z]+(?:-[A-Z]?[a-z]+)?|[a-z]+", word) for word in words) else role
