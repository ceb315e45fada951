"""Facts from the structured fields of documents (front matter, tables, lists), and drafts of their relations.

A field whose value changes on several pages is a relation. What kind of value it holds follows from what stands there;
fields of flags, addresses and long texts are none. A draft is a file like every relation's, to be edited.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from fresco.builder.facts import Fact
from fresco.builder.facts.infobox import Infoboxes
from fresco.builder.facts.registry import FACT_SOURCES
from fresco.builder.facts.values import amounts, read_date
from fresco.builder.markup.fields import LISTED, PAGE
from fresco.builder.queries import spoken
from fresco.builder.wikitext import Infobox

#: A field is a relation where so many subjects had two values of it or more.
FEWEST_CHANGES = 3
#: So much of a field's values must be of one kind.
_SHARE = 0.8
_FLAGS = frozenset({"true", "false", "yes", "no", "none", "n/a"})
_VERSION = re.compile(r"v?\d+(?:\.\d+)+[\w.+-]*|[a-z]*v?\d+(?:[._-]\w+)+", re.IGNORECASE)
_ADDRESS = re.compile(r"https?://|^/|\w+/\w+|[{}]|__")
_MOST_WORDS = 6


@dataclass(slots=True)
class _Seen:
    """What stood in a field: values by page and entry."""

    values: dict[tuple[str, str], dict[str, None]] = field(default_factory=lambda: defaultdict(dict))


def drafts(pages: Iterable[tuple[str, Iterable[Infobox]]]) -> dict[str, str]:
    """Relations as TOML files by their keys, for every field that changes.

    Args:
        pages: Titles with the boxes of one revision each, in any order; a title comes once for each revision.
    """
    seen: dict[tuple[str, str], _Seen] = defaultdict(_Seen)
    for title, boxes in pages:
        for box in boxes:
            for name, entries in box.fields.items() if box.subject is not None else ():
                if len(entries) == 1:
                    seen[box.kind, name].values[title, box.subject or ""][entries[0].text] = None
    found = {}
    for (kind, name), own in sorted(seen.items()):
        changing = sum(len(values) > 1 for values in own.values.values())
        values = _kind([each for one in own.values.values() for each in one])
        # What bears the page's own name in most pages says nothing of it ("What is the title of Apache Struts?").
        named = sum(spoken(title) in one for (title, _), one in own.values.items())
        if changing >= FEWEST_CHANGES and values is not None and 2 * named <= len(own.values):
            found[re.sub(r"\W+", "_", f"{kind} {name}").strip("_")] = _draft(kind, name, values)
    return found


def _kind(values: list[str]) -> str | None:
    """The kind of most of the values, flags aside; None where they are of none."""
    said = [each for each in values if each.lower() not in _FLAGS]
    kinds = Counter(_kind_of(each) for each in said)
    if not said:
        return None
    kind, count = kinds.most_common(1)[0]
    if kinds["version"] and kind != "date" and kinds["version"] + kinds["amount"] == kinds.total():
        return "version"  # "7" beside "7.1"
    return kind if kind and count >= _SHARE * len(said) else None


def _kind_of(text: str) -> str | None:
    if _ADDRESS.search(text):
        return None
    if read_date(text):
        return "date"
    if _VERSION.fullmatch(text):
        return "version"
    found = amounts(text)
    if len(found) == 1 and found[0].end - found[0].at == len(text):
        return "percentage" if found[0].percent else "amount"
    words = len(text.split())
    return "organization" if words <= _MOST_WORDS and re.search(r"[^\W\d_]{2}", text) else None


def _draft(kind: str, name: str, values: str) -> str:
    noun = {"date": "date", "version": "version"}.get(values, "")
    words = name if not noun or noun in name.split() else f"{name} {noun}"
    entries = kind not in (PAGE, LISTED)
    rows = [
        f"# Drafted from the field {name!r}; edit its words.",
        f"name = {_quoted(words)}",
        'property = ""',
        f"subjects = {_quoted(f'entries of {kind}' if entries else 'pages')}",
        f"values = {_quoted(values)}",
        'holders = "single"',
        f"entries = {str(entries).lower()}",
        f"cues = [{_quoted(rf'{chr(92)}b{re.escape(name)}{chr(92)}b')}]",
    ]
    templates = {
        "explicit": ("What is the current {} of {{subject}}?", "What is the {} of {{subject}} now?",
                     "What is the {} of {{subject}} as of today?"),
        "implicit": ("What is the {} of {{subject}}?", "What {} does {{subject}} have?",
                     "Which {} does {{subject}} have?"),
    }  # fmt: skip
    for key, forms in templates.items():
        rows += [f"{key} = [", *(f"    {_quoted(form.format(words))}," for form in forms), "]"]
    rows += ["", "[[fields]]", f"infoboxes = [{_quoted(kind)}]", f"names = [{_quoted(re.escape(name))}]", ""]
    return "\n".join(rows)


def _quoted(text: str) -> str:
    return json.dumps(text)  # TOML's basic strings are JSON's


@FACT_SOURCES.register("fields", "what changed in the structured fields of documents (front matter, tables, lists)")
def _open(_arguments: str, infobox_facts: Callable[[], Iterator[Fact]]) -> Infoboxes:
    return Infoboxes(infobox_facts)
