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
    named = subject_of(pair["subject"], relation, pair["role"])
    return [
        {
            "_id": query_id(pair["subject"], relation.key, pair["role"], kind),
            "text": query_text(pair["subject"], relation, pair["role"], kind, pair.get("spoken", "")),
            "timestamp": timestamp,
            "task": "EK",
            "kind": kind.value,
            "subject": named,
            "relation": relation.name if relation.entries else pair["role"] or relation.name,
            "answer": "; ".join(pair["current"]),
            "pair": [pair["subject"], relation.key, pair["role"]],
        }
        for kind in (Kind.EXPLICIT, Kind.IMPLICIT)
    ]


def query_id(subject: str, relation: str, role: str, kind: Kind) -> str:
    """An id without blanks, made of what the query is about."""
    return ":".join(underscored(part) for part in (subject, relation, role, kind.value) if part)


def query_text(subject: str, relation: Relation, role: str, kind: Kind, name: str = "") -> str:
    """The template that SHA-256 of (subject, relation, role, kind) picks, filled in: other pairs move none.

    Args:
        subject: Title of the page.
        relation: The relation.
        role: Words of the role; empty where the relation has none.
        kind: Of query.
        name: The subject as a question calls it, see :func:`in_a_question`; its bare title where empty.
    """
    templates = relation.explicit if kind is Kind.EXPLICIT else relation.implicit
    seed = hashlib.sha256("\n".join((subject, relation.key, role, kind.value)).encode()).digest()
    template = templates[int.from_bytes(seed[:8]) % len(templates)]
    if relation.entries:
        return template.format(subject=subject_of(subject, relation, role), role=relation.name)
    spoken_role = role if relation.named_roles else _spoken_role(role)
    return template.format(subject=name or spoken(subject), role=spoken_role or relation.name)


def subject_of(title: str, relation: Relation, role: str) -> str:
    """What is asked about: the page, or that entry of a list on it whose key the role is."""
    if not relation.entries:
        return title
    name = spoken(title)
    return role if role.casefold().startswith(name.casefold()) else f"{name} {role}"


def spoken(title: str) -> str:
    """A title as it is said: without what tells it from other pages."""
    return re.sub(r"\s*\([^)]*\)$", "", title) or title


def in_a_question(title: str, lead: str) -> str:
    """A name as it stands within a question, with an article where the page's own first sentence has one.

    "The Boston Celtics are ..." gives "the Boston Celtics", "The Goldman Sachs Group is ..." just "Goldman Sachs", "The
    iPad is ..." of the page "IPad" (titles begin with a capital) "the iPad". Where the first sentence has a longer
    name, the rest of the lead decides; where nearly all of the lead does without the article, so do questions.

    Args:
        title: Of the page.
        lead: Plain text of its first section.
    """
    name = spoken(title)
    first = f"[{re.escape(name[0].lower())}{re.escape(name[0])}]"
    own = f"{first}{re.escape(name[1:])}"
    # What only makes the name longer may stand before it: "The United States Food and Drug Administration".
    named = re.match(rf"\s*(The (?:[A-Z][\w.]* ){{0,2}})?({own})(?!\w)", lead)
    with_article = len(re.findall(rf"\b[Tt]he {own}{_ENDS}", lead))
    without = len(re.findall(rf"(?<!\w){own}{_ENDS}", lead)) - with_article
    if named is None or re.match(_LONGER, lead[named.end() :]):
        # Not first, or as a part of a longer name: what the rest of the lead does, or a shorter form of the name.
        shorter = re.match(r"\s*The ((?:[A-Z]\w*|of|the|and|for)(?: (?:[A-Z]\w*|of|the|and|for))+)", lead)
        article = with_article > without or (shorter is not None and name.endswith(f" {shorter[1]}"))
    else:
        article = bool(named[1]) and without <= max(2, 2 * with_article)
    name = named[2] if named else name
    return f"the {name}" if article and not name.startswith("The ") else name


#: What follows a name where it is only a part of a longer one: "The Goldman Sachs Group".
_LONGER = r"-| [A-Z&]"
_ENDS = rf"(?!\w)(?!{_LONGER})"


def underscored(text: str) -> str:
    """Text without blanks, as ids in TREC files must be."""
    return re.sub(r"\s+", "_", text.strip())


def _spoken_role(role: str) -> str:
    # "Director" is a word, "NATO Secretary General" has names in it: only single capitalized words become lower case.
    # What an office is "of" may be a name as well: "Chairman of the Joint Chiefs of Staff".
    if " of " in role:
        return role
    words = role.split()
    return role.lower() if all(re.fullmatch(r"[A-Z][a-z]+(?:-[A-Z]?[a-z]+)?|[a-z]+", word) for word in words) else role
