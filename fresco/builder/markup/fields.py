"""Fields of structured data as infoboxes: those of the page, and those of each entry of a list.

A list of mappings is one box for each entry, whose key is the first scalar field that is there, and different, in all
of them; a field that is named like a key (``id``, ``name``, ``releaseCycle``) goes before others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fresco.builder.wikitext import Entry, Infobox

#: Kind of the box of a page's own fields; that of a list's entries is the list's name.
PAGE = "fields"
#: Kind of the box of fields that stand in a page's text (see :mod:`fresco.builder.markup.outline`).
LISTED = "listed"
_KEY = re.compile(r"(?:.* )?(?:id|name|key|title|cycle)")
_LONGEST = 300
_MOST_ENTRIES = 2000


def words_of_name(name: str) -> str:
    """A field's name as words, lower case: ``latestReleaseDate`` is "latest release date"."""
    apart = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name)
    return " ".join(re.sub(r"[\s_.-]+", " ", apart).lower().split())


def field_boxes(data: Mapping[str, Any]) -> Iterator[Infobox]:
    """The boxes of a mapping: first the page's own, then each list's entries in their order."""
    own: dict[str, tuple[Entry, ...]] = {}
    lists: list[Infobox] = []
    for name, value in data.items():
        if isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
            lists += _entries(words_of_name(name), value[:_MOST_ENTRIES])
        else:
            own.update(_flat(words_of_name(name), value))
    if own:
        yield Infobox(PAGE, own, "")
    yield from lists


def _entries(kind: str, entries: Sequence[Mapping[str, Any]]) -> Iterator[Infobox]:
    flat = [
        {key: value for name, each in entry.items() for key, value in _flat(words_of_name(str(name)), each).items()}
        for entry in entries
    ]
    key = _key_of(flat)
    if key is None:
        return
    for fields in flat:
        yield Infobox(kind, fields, fields[key][0].text)


def _key_of(entries: Sequence[Mapping[str, tuple[Entry, ...]]]) -> str | None:
    """The field that tells entries apart; None where there is none."""
    names = sorted(entries[0], key=lambda name: _KEY.fullmatch(name) is None)
    for name in names:
        values = [entry[name][0].text for entry in entries if len(entry.get(name, ())) == 1]
        if len(values) == len(entries) == len(set(values)):
            return name
    return None


def _flat(name: str, value: Any) -> dict[str, tuple[Entry, ...]]:
    """A value as fields: those of a mapping within carry both names."""
    if isinstance(value, Mapping):
        found: dict[str, tuple[Entry, ...]] = {}
        for own, each in value.items():
            if not isinstance(each, Mapping):
                found.update(_flat(f"{name} {words_of_name(str(own))}", each))
        return found
    values = value if isinstance(value, list) else [value]
    entries = [Entry(text) for each in values if (text := _text(each))]
    return {name: tuple(entries)} if entries else {}


def _text(value: Any) -> str:
    if value is None or isinstance(value, Mapping | list):
        return ""
    text = " ".join(str(value).split())  # TOML's dates and numbers are written as they read
    if isinstance(value, bool):
        text = text.lower()
    return text if len(text) <= _LONGEST and text not in ("~", "null") else ""
