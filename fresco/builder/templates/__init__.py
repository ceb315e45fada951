"""The relations: one TOML file each, with its Wikidata property, infobox fields, cues and query templates.

A file says:

- ``name``: how readers of results call it;
- ``property``: Wikidata's property, empty where none says just this (the relation then comes from infoboxes only);
- ``subjects``: kinds of subject, in words; ``classes``: the Wikidata classes that subjects must belong to, if any;
- ``values``: what is stated: person, organization, place, version, amount, percentage or date;
- ``entries``: the subject is not the page but an entry of a list of its fields, which is named by the page's title and
  the entry's key ("Apache Struts 7");
- ``holders``: ``single`` (one at a time; a field that names two is not clear) or ``several``;
- ``cues``: regular expressions, ignoring case, one of which stands near a value where a sentence states the relation,
  the plainest first; ``{role}`` is the words of the role; ``reach``: how many characters may lie between (100);
- ``named_roles``: roles are names (clubs), which a query writes as they are;
- ``looks``: a regular expression for what a value looks like ("Harbour Park"): a passage that holds one, cue or no cue,
  may state a value that no fact knows;
- ``nested``: one holder may be part of another (a holding of a group, a district of a town), so that both are right,
  and a holder that bears the subject's own name is none;
- ``explicit`` and ``implicit``: query templates over ``{subject}`` and, where a role is part of the fact, ``{role}``;
- ``[[fields]]``: where infoboxes state it: ``infoboxes`` (kinds, without the word infobox), ``names`` (regular
  expressions over field names), and if needed ``role`` / ``not_role`` (what must / must not stand in brackets behind a
  name), ``bare`` (names of fields that need no role), ``title`` / ``fixed_title`` (the field, or the words, that name
  the role), ``not_title`` (what must not stand in that title: another relation reads it), ``renamed`` (the field that
  may give this one another label, ``{name}`` for its own name: where the first cue does not stand in it, it is another
  office), ``latest_year`` (of fields whose names carry a year, the last), ``first`` (only the first line counts: a
  stadium's town stands below it), ``joined`` (the lines together are one value: street and town of an address).

Queries are asked of names in the singular and the plural ("the Boston Celtics"): a template has no verb that would have
to agree with ``{subject}`` where subjects may be teams.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from fresco.errors import FrescoError

_SEXES = re.compile(r"chair(?:man|woman|person)?\b", re.IGNORECASE)

VALUE_KINDS = ("person", "organization", "place", "version", "amount", "percentage", "date")
_KEYS = {
    "name",
    "property",
    "subjects",
    "classes",
    "values",
    "holders",
    "cues",
    "explicit",
    "implicit",
    "fields",
    "reach",
    "nested",
    "entries",
    "named_roles",
    "looks",
}
_OPTIONAL = {"classes", "reach", "nested", "entries", "fields", "property", "named_roles", "looks"}
_FIELD_KEYS = {
    "infoboxes",
    "names",
    "role",
    "not_role",
    "bare",
    "title",
    "fixed_title",
    "not_title",
    "renamed",
    "latest_year",
    "first",
    "joined",
}


@dataclass(frozen=True, slots=True)
class FieldRule:
    """Where infoboxes state a relation; see the module's text."""

    infoboxes: tuple[str, ...]
    names: tuple[re.Pattern[str], ...]
    role: re.Pattern[str] | None = None
    not_role: re.Pattern[str] | None = None
    bare: tuple[str, ...] = ()
    title: str = ""
    fixed_title: str = ""
    not_title: re.Pattern[str] | None = None
    renamed: str = ""
    latest_year: bool = False
    first: bool = False
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation; see the module's text. ``digest`` is the SHA-256 of its file."""

    key: str
    digest: str
    name: str
    property: str
    subjects: str
    classes: tuple[str, ...]
    values: str
    several: bool
    cues: tuple[str, ...]
    reach: int
    nested: bool
    explicit: tuple[str, ...]
    implicit: tuple[str, ...]
    fields: tuple[FieldRule, ...]
    entries: bool = False
    named_roles: bool = False
    looks: re.Pattern[str] | None = None

    def words(self) -> str:
        """What its name, cues and templates say, in small letters."""
        return " ".join((self.name, *self.cues, *self.explicit, *self.implicit)).lower()

    def cue_patterns(self, role: str = "") -> tuple[re.Pattern[str], ...]:
        """The cues as regular expressions, with the words of a role in place of ``{role}``."""
        return tuple(re.compile(cue.replace("{role}", _role_pattern(role)), re.IGNORECASE) for cue in self.cues)


@cache
def relations(folders: tuple[Path, ...] = ()) -> Mapping[str, Relation]:
    """Every relation by its key (the name of its file), in alphabetical order.

    Args:
        folders: Of the user's own relations.

    Raises:
        FrescoError: a file is wrong, or two have one key; the message names file and key.
    """
    found: dict[str, Relation] = {}
    for folder in (resources.files(__package__), *folders):
        own = isinstance(folder, Path) and folder in folders
        if not folder.is_dir():
            raise FrescoError(f"--relations {folder}: there is no such folder")
        files = sorted((each for each in folder.iterdir() if each.name.endswith(".toml")), key=lambda each: each.name)
        if not files:
            raise FrescoError(f"--relations {folder}: holds no TOML file; a relation is one")
        for file in files:
            key = file.name.removesuffix(".toml")
            place = str(file) if own else f"templates/{file.name}"
            if key in found:
                raise FrescoError(f"{place}: there is a relation {key!r} already; give the file another name")
            try:
                text = file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise FrescoError(f"{place}: cannot be read as UTF-8 text: {error}") from error
            found[key] = read_relation(key, text, place)
    return dict(sorted(found.items()))


def choose(keys: Sequence[str], folders: Sequence[Path] = ()) -> list[Relation]:
    """The relations named, or all where none is named.

    Args:
        keys: Of relations.
        folders: Of further relations.

    Raises:
        FrescoError: there is no such relation, or a file is wrong.
    """
    known = relations(tuple(folders))
    for key in keys:
        if key not in known:
            raise FrescoError(f"there is no relation {key!r}; there are: {', '.join(known)}")
    return [known[key] for key in keys] if keys else list(known.values())


def read_relation(key: str, text: str, place: str = "") -> Relation:
    """Read and check one file.

    Args:
        key: Of the relation.
        text: Of the file.
        place: The file, for messages.

    Raises:
        FrescoError: it is no TOML, lacks a key, has one too many, or a template or pattern is wrong.
    """
    place = place or f"templates/{key}.toml"
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FrescoError(f"{place}: {error}") from None
    if wrong := set(data) - _KEYS:
        raise FrescoError(f"{place}: {sorted(wrong)[0]!r} is no key of a relation")
    if missing := _KEYS - _OPTIONAL - set(data):
        raise FrescoError(f"{place}: the key {sorted(missing)[0]!r} is missing")
    if data["values"] not in VALUE_KINDS:
        raise FrescoError(f"{place}: values = {data['values']!r} is none of {', '.join(VALUE_KINDS)}")
    if data["holders"] not in ("single", "several"):
        raise FrescoError(f"{place}: holders is 'single' or 'several'")
    for kind in ("explicit", "implicit"):
        if len(set(data[kind])) < 3 or not all("{subject}" in template for template in data[kind]):
            raise FrescoError(f"{place}: {kind} needs at least three templates, each with {{subject}}")
    relation = Relation(
        key=key,
        digest=hashlib.sha256(text.encode()).hexdigest(),
        name=data["name"],
        property=data.get("property", ""),
        subjects=data["subjects"],
        classes=tuple(data.get("classes", ())),
        values=data["values"],
        several=data["holders"] == "several",
        cues=tuple(data["cues"]),
        reach=data.get("reach", 100),
        nested=data.get("nested", False),
        explicit=tuple(data["explicit"]),
        implicit=tuple(data["implicit"]),
        fields=tuple(_field(place, field) for field in data.get("fields", ())),
        entries=data.get("entries", False),
        named_roles=data.get("named_roles", False),
        looks=_pattern(place, "looks", data["looks"]) if "looks" in data else None,
    )
    try:
        relation.cue_patterns("head")
    except re.error as error:
        raise FrescoError(f"{place}, cues: {error}") from None
    return relation


def _field(place: str, data: Mapping[str, Any]) -> FieldRule:
    if wrong := set(data) - _FIELD_KEYS:
        raise FrescoError(f"{place}: {sorted(wrong)[0]!r} is no key of [[fields]]")
    try:
        return FieldRule(
            infoboxes=tuple(data["infoboxes"]),
            names=tuple(re.compile(name.replace("_", " ")) for name in data["names"]),
            role=re.compile(data["role"], re.IGNORECASE) if "role" in data else None,
            not_role=re.compile(data["not_role"], re.IGNORECASE) if "not_role" in data else None,
            bare=tuple(data.get("bare", ())),
            title=data.get("title", ""),
            fixed_title=data.get("fixed_title", ""),
            not_title=re.compile(data["not_title"], re.IGNORECASE) if "not_title" in data else None,
            renamed=data.get("renamed", ""),
            latest_year=data.get("latest_year", False),
            first=data.get("first", False),
            joined=data.get("joined", False),
        )
    except KeyError as error:
        raise FrescoError(f"{place}: [[fields]] lacks {error}") from None
    except re.error as error:
        raise FrescoError(f"{place}: [[fields]]: {error}") from None


def _pattern(place: str, key: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise FrescoError(f"{place}, {key}: {error}") from None


def _role_pattern(role: str) -> str:
    words = [_SEXES.sub(r"chair(?:man|woman|person)?", re.escape(word)) for word in re.split(r"[\s-]+", role) if word]
    return r"\b" + r"[\s-]+".join(words) + r"\b" if words else r"(?!)"
