"""The fields of infoboxes as lists of entries: what is named, what it links to, what stands in brackets behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from mwparserfromhell.nodes import Tag, Template, Text, Wikilink

from fresco.builder.wikitext.references import without_references
from fresco.builder.wikitext.render import parse, positional, render, template_name, tidy, visible

_LISTS = frozenset(
    {
        "ubl", "ublist", "unbulleted list", "unbulleted", "plainlist", "plain list", "indented plainlist", "br list",
        "hlist", "hlist-comma", "flatlist", "flat list", "collapsible list", "cslist", "bulleted list", "bulletlist",
        "unordered list", "ordered list", "comma separated entries", "tree list", "ubil", "unbulleted indent list",
        "flaglist",
    }
)  # fmt: skip
#: Templates whose first parameter is laid out in another way and may hold several entries.
_WRAPPERS = frozenset(
    {
        "nowrap", "nobr", "nobreak", "no break", "nowraplinks", "nwr", "small", "smaller", "midsize", "larger", "big",
        "resize", "no wrap", "nobold", "noitalic", "noitalics", "center", "centre", "centered", "normal", "bold",
        "nonbold", "left", "gray", "grey",
    }
)  # fmt: skip
#: In the place of a template that cannot be written out, a private-use character: no text of ours has it.
_HOLE = "\ue010"
_LONGEST_FIELD = 20_000
_SPLIT_TAGS = frozenset({"br", "li", "small", "span", "div", "ul", "ol", "b", "i", "nowiki"})
_BRACKETS = re.compile(r"\s*[(\[]([^()\[\]]*)[)\]]")
_BEHIND = re.compile(r"\s*(?:$|[,;:/(\u2013\u2014]|(?:inc|ltd|llc|plc|ag|sa|s\.a|gmbh|corp|f\.?c)\b)", re.IGNORECASE)
#: Notes that tell of time, whoever they stand behind.
_TIME = re.compile(
    r"\d|\b(?:former(?:ly)?|acting|interim|since|until|retired|outgoing|designate|elect)\b", re.IGNORECASE
)
_MOST_NESTING = 10
_INFOBOX = re.compile(r"infobox\b|.*\binfobox$|automatic taxobox$")


@dataclass(frozen=True, slots=True)
class Entry:
    """One holder or value of a field.

    Attributes:
        text: Plain text without what stands in brackets behind it.
        target: Title of the page that the text as a whole links to; empty without such a link.
        note: What stands in brackets or behind a comma: a role, years, a date.
        readable: Whether the text is all that a reader sees: False where an unknown template is part of it.
        note_readable: The same of the note.
    """

    text: str
    target: str = ""
    note: str = ""
    readable: bool = True
    note_readable: bool = True


@dataclass(frozen=True, slots=True)
class Infobox:
    """An infobox.

    Attributes:
        kind: Name of its template without "infobox", lower case: ``football club``.
        fields: Entries by field name, lower case, blanks for underscores. An empty field has no entries; one
            that is drawn from elsewhere (Wikidata, an unknown template) has unreadable ones.
        subject: None for infoboxes of wikitext. For the fields of other documents (:mod:`fresco.builder.markup.fields`)
            the key of the entry of a list that they are about; empty where they are about the page.
    """

    kind: str
    fields: dict[str, tuple[Entry, ...]]
    subject: str | None = None


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
    """The entries of a field, in order; none where it is empty or too long."""
    if not value.strip() or len(value) > _LONGEST_FIELD:
        return ()
    code = parse(without_references(value.replace(_HOLE, "")))
    pieces: list[list[Any]] = [[]]
    _split(code, pieces, 0)
    return tuple(_joined(entry for piece in pieces if (entry := _entry(piece)) is not None))


def _split(code: Any, pieces: list[list[Any]], depth: int) -> None:
    """Cut nodes into entries at line breaks, list marks and the parameters of list templates."""
    if depth > _MOST_NESTING:
        pieces[-1].append(_HOLE)
        return
    for node in code.nodes:
        if isinstance(node, Template):
            _split_template(node, pieces, depth)
        elif isinstance(node, Tag) and str(node.tag).strip().lower() in _SPLIT_TAGS:
            if str(node.tag).strip().lower() in ("br", "li"):
                pieces.append([])
            if node.contents is not None:
                _split(node.contents, pieces, depth + 1)
        elif isinstance(node, Text) and "\n" in node.value:
            first, *others = re.split(r"\n+", str(node.value))
            pieces[-1].append(first)
            pieces.extend([other] for other in others)
        else:
            pieces[-1].append(node)


def _split_template(node: Template, pieces: list[list[Any]], depth: int) -> None:
    name = template_name(node)
    if name in _LISTS:
        for value in positional(node):
            pieces.append([])
            _split(value, pieces, depth + 1)
        pieces.append([])
    elif name in _WRAPPERS:
        for value in positional(node)[name == "resize" :][:1]:
            _split(value, pieces, depth + 1)
    elif name != "clear":
        pieces[-1].append(node)


def _entry(nodes: list[Any]) -> Entry | None:
    linked = target = text = ""
    for node in nodes:
        written = node if isinstance(node, str) else render(parse(str(node)), _HOLE)
        if isinstance(node, Wikilink) and not linked and not text.strip(" *#'"):
            title = visible(str(node.title)).strip()
            if not re.match(r"(?:file|image|category)\s*:", title, re.IGNORECASE):
                linked, target = _one_line(written), title
        text += written
    text = _one_line(text.replace(_HOLE, f"{_HOLE}x"))  # a letter, so that a line of nothing else is kept
    notes = [note.strip() for note in _BRACKETS.findall(text)]
    bare = _clean(_BRACKETS.sub(" ", text))
    note = "; ".join(note for note in notes if note)
    if not re.search(r"\w", text):
        return None
    return Entry(
        _without_holes(bare),
        target if _is_link(bare, linked) else "",
        _without_holes(note),
        _HOLE not in bare,
        _HOLE not in note,
    )


def _is_link(bare: str, linked: str) -> bool:
    """Whether a text is what a link shows, and no more than a place, a legal form or a role behind it."""
    return bool(linked) and bare.startswith(_clean(linked)) and bool(_BEHIND.match(bare[len(_clean(linked)) :]))


def _one_line(text: str) -> str:
    return " ".join(tidy(text).split())


def _clean(text: str) -> str:
    return " ".join(text.split()).strip(" ,;:-\u2013\u2014\u2022\u00b7*")


def _without_holes(text: str) -> str:
    return " ".join(text.replace(f"{_HOLE}x", " ").split())


def _joined(found: Iterator[Entry]) -> list[Entry]:
    """An entry that is nothing but brackets says what the one before it is, unless that has a role of its own."""
    result: list[Entry] = []
    for entry in found:
        if entry.text or not entry.readable:
            result.append(entry)
        elif result and (not result[-1].note or _TIME.search(entry.note)):
            last = result[-1]
            note = "; ".join(note for note in (last.note, entry.note) if note)
            result[-1] = replace(last, note=note, note_readable=last.note_readable and entry.note_readable)
    return result
