"""The fields of infoboxes as lists of entries: what is named, what it links to, what stands in brackets behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mwparserfromhell.nodes import Tag, Template, Text, Wikilink

from fresco.builder.wikitext.render import parse, positional, render, template_name, tidy

_LISTS = frozenset(
    {
        "ubl", "unbulleted list", "plainlist", "plain list", "indented plainlist", "br list", "hlist", "flatlist",
        "flat list", "collapsible list", "cslist", "bulleted list", "comma separated entries", "endplainlist",
        "tree list",
    }
)  # fmt: skip
_WRAPPERS = frozenset(
    {
        "nowrap", "nobr", "nowraplinks", "small", "smaller", "midsize", "larger", "big", "resize", "no wrap",
        "nobold", "noitalic", "noitalics", "center",
    }
)  # fmt: skip
#: Marks that add nothing to a value.
_SILENT = frozenset(
    {
        "increase", "decrease", "up", "down", "steady", "gain", "loss", "profit", "nochange", "positive", "negative",
        "increasenegative", "decreasepositive", "increase negative", "decrease positive", "efn", "refn", "sfn", "cn",
        "citation needed", "fact", "flagicon", "flag icon", "flagicon image", "flagdeco", "note", "ref", "ref label",
        "dagger", "double dagger", "rp", "anchor", "efn-ua", "efn-lr", "update after", "better source needed",
        "as of", "asof", "sup", "cite web", "cite news", "edit on wikidata", "increase2", "decrease2",
        "update inline",
    }
)  # fmt: skip
#: The value stands elsewhere, on Wikidata or in a page of its own: it cannot be read from this revision.
_ELSEWHERE = re.compile(r"wikidata|#invoke|updater|^lsr$|latest (?:stable|preview)|current (?:version|release)|^#")
_LONGEST_FIELD = 20_000
_SPLIT_TAGS = frozenset({"br", "li", "small", "span", "div", "ul", "ol", "b", "i", "nowiki"})
_BRACKETS = re.compile(r"\s*[(\[]([^()\[\]]*)[)\]]")
_INFOBOX = re.compile(r"infobox\b|.*\binfobox$|automatic taxobox$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One holder or value of a field.

    Attributes:
        text: Plain text without what stands in brackets behind it.
        target: Title of the page that the entry links first; empty without a link.
        note: What stands in brackets or behind a comma: a role, years, a date.
    """

    text: str
    target: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Infobox:
    """An infobox.

    Attributes:
        kind: Name of its template without "infobox", lower case: ``football club``.
        fields: Entries by field name, lower case, blanks for underscores. A field that is there but states nothing
            readable (empty, or drawn from Wikidata) has no entries.
    """

    kind: str
    fields: dict[str, tuple[Entry, ...]]


def infoboxes(lead: str) -> tuple[Infobox, ...]:
    """The infoboxes of a lead, in order; embedded ones are infoboxes of their own."""
    found = []
    for node in parse(lead).ifilter_templates(recursive=True):
        name = template_name(node)
        if _INFOBOX.match(name):
            fields = {}
            for parameter in node.params:
                if parameter.showkey:
                    key = re.sub(r"[\s_]+", " ", str(parameter.name)).strip().lower()
                    fields[key] = entries(str(parameter.value))
            found.append(Infobox(name.removeprefix("infobox").strip(), fields))
    return tuple(found)


def entries(value: str) -> tuple[Entry, ...]:
    """The entries of a field, in order; none where it is empty, too long, or stated elsewhere."""
    if not value.strip() or len(value) > _LONGEST_FIELD:
        return ()
    code = parse(re.sub(r"<ref\b[^>/]*/>|<ref\b[^>]*>.*?</ref\s*>", "", value, flags=re.DOTALL | re.IGNORECASE))
    pieces: list[list[Any]] = [[]]
    if not _split(code, pieces, 0):
        return ()
    return tuple(_joined(entry for piece in pieces if (entry := _entry(piece)) is not None))


def _split(code: Any, pieces: list[list[Any]], depth: int) -> bool:
    """Cut nodes into entries at line breaks, list marks and the parameters of list templates; False: not readable."""
    if depth > 10:
        return False
    for node in code.nodes:
        if isinstance(node, Template):
            if not _split_template(node, pieces, depth):
                return False
        elif isinstance(node, Tag) and str(node.tag).strip().lower() in _SPLIT_TAGS:
            if str(node.tag).strip().lower() in ("br", "li"):
                pieces.append([])
            if node.contents is not None and not _split(node.contents, pieces, depth + 1):
                return False
        elif isinstance(node, Text) and "\n" in node.value:
            first, *others = re.split(r"\n+", str(node.value))
            pieces[-1].append(first)
            pieces.extend([other] for other in others)
        else:
            pieces[-1].append(node)
    return True


def _split_template(node: Template, pieces: list[list[Any]], depth: int) -> bool:
    name = template_name(node)
    if name in _SILENT:
        return True
    if _ELSEWHERE.search(name):
        return False
    if name in _LISTS:
        for value in positional(node):
            pieces.append([])
            if not _split(value, pieces, depth + 1):
                return False
        pieces.append([])
        return True
    if name in _WRAPPERS:
        return all(_split(value, pieces, depth + 1) for value in positional(node)[:1])
    pieces[-1].append(node)
    return True


def _entry(nodes: list[Any]) -> Entry | None:
    target = ""
    text = ""
    for node in nodes:
        if isinstance(node, Wikilink) and not target and not text.strip(" *#'"):
            target = str(node.title).split("#")[0].strip()
            if re.match(r"(?:file|image|category)\s*:", target, re.IGNORECASE):
                target = ""
        text += node if isinstance(node, str) else render(parse(str(node)))
    text = " ".join(tidy(text).split())
    notes = [note.strip() for note in _BRACKETS.findall(text)]
    bare = " ".join(_BRACKETS.sub(" ", text).split()).strip(" ,;:-\u2013\u2014\u2022\u00b7*")
    if not re.search(r"\w", text):
        return None
    return Entry(bare, target if bare else "", "; ".join(note for note in notes if note))


def _joined(found: Iterator[Entry]) -> list[Entry]:
    """An entry that is nothing but brackets says what the one before it is."""
    result: list[Entry] = []
    for entry in found:
        if entry.text:
            result.append(entry)
        elif result:
            last = result[-1]
            result[-1] = Entry(last.text, last.target, "; ".join(note for note in (last.note, entry.note) if note))
    return result
