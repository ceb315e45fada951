"""Wikitext to plain text: what a reader sees of a paragraph, without references, pictures, unknown templates.

mwparserfromhell's own ``strip_code`` drops every template, and with them dates, amounts of money and foreign words in
the middle of sentences. Here the templates that stand for words (:mod:`.inline`) are written out; of the others, those
that add no words (:mod:`.silent`) leave nothing, and unknown ones a mark, for those who ask for it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mwparserfromhell
from mwparserfromhell.nodes import ExternalLink, Heading, HTMLEntity, Tag, Template, Text, Wikilink

from fresco.builder.wikitext.inline import writer_of
from fresco.builder.wikitext.silent import is_silent

#: Tags whose content is no prose.
_DROPPED_TAGS = frozenset(
    {
        "ref", "references", "gallery", "table", "timeline", "math", "chem", "score", "imagemap", "graph", "mapframe",
        "maplink", "templatestyles", "syntaxhighlight", "source", "pre", "section", "style", "script", "noinclude",
        "includeonly", "indicator", "hiero", "categorytree",
    }
)  # fmt: skip
_NAMESPACES = re.compile(r"\s*:?\s*(?:file|image|category|media|datei|fichier|archivo)\s*:", re.IGNORECASE)
_INTERWIKI = re.compile(r":?(?:[a-z]{2,3}|simple|wikt|wiktionary|commons|s|d|m|w):", re.IGNORECASE)
#: Sort keys and the like, which no reader sees.
_HIDDEN = re.compile(r"display\s*:\s*none", re.IGNORECASE)
_MOST_NESTING = 30
#: Marks that no reader sees: directions, zero widths, soft hyphens, byte order. Joiners stay: scripts need them.
_INVISIBLE = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufe0e\ufe0f]"
)
#: Blanks of other widths.
_BLANKS = re.compile("[\u00a0\u2000-\u200a\u202f\u205f\u3000]")


def render(code: Any, hole: str = "") -> str:
    """The plain text of parsed wikitext, on one or several lines, with the white space as it comes.

    Args:
        code: Parsed wikitext.
        hole: What stands for a template that cannot be written out.
    """
    return _render(code, _Place(0, hole))


@dataclass(frozen=True, slots=True)
class _Place:
    depth: int
    hole: str

    @property
    def inside(self) -> _Place:
        return _Place(self.depth + 1, self.hole)


def parse(text: str) -> Any:
    """Parsed wikitext. Bold and italic marks stay text (:func:`tidy` removes them): unbalanced ones are common."""
    return mwparserfromhell.parse(text, skip_style_tags=True)


def visible(text: str) -> str:
    """Text without the marks that no reader sees."""
    return text if text.isascii() else _INVISIBLE.sub("", text)


def tidy(text: str) -> str:
    """Plain text in paragraphs: style marks, list marks, empty brackets and runs of blanks removed."""
    text = _BLANKS.sub(" ", visible(re.sub(r"'{2,}", "", html.unescape(text))))
    text = re.sub(r"__[A-Z]+__|\{\{+|\}\}+|\[\[|\]\]", "", text)
    text = re.sub(r"^[ \t]*(?:[*#:;]+[ \t]*|-{4,})", "", text, flags=re.MULTILINE)
    # What a dropped template leaves behind: "( ; )", "(, born 1950)", "word ,".
    text = re.sub(r"\([\s,;:/]*\)", "", text)
    text = re.sub(r"\(\s*[,;]\s*", "(", text)
    text = re.sub(r"[ \t]+", " ", text)
    text = re.sub(r" +([,.;:)](?:\s|$))", r"\1", text)
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if re.search(r"\w", line))


def _render(code: Any, place: _Place) -> str:
    if code is None:
        return ""
    if place.depth > _MOST_NESTING:
        return place.hole
    return "".join(_node(node, place) for node in code.nodes)


def _node(node: Any, place: _Place) -> str:
    writer = _WRITERS.get(type(node))
    return writer(node, place) if writer else ""  # comments; arguments ({{{1}}}) belong to templates


def _link(node: Wikilink, place: _Place) -> str:
    target = str(node.title)
    if _NAMESPACES.match(target):
        return "" if not target.lstrip().startswith(":") else target.strip(" :")
    if node.text is not None:
        return _render(node.text, place.inside)
    return _INTERWIKI.sub("", target.strip(), count=1) if target.lstrip().startswith(":") else target.strip()


def _tag(node: Tag, place: _Place) -> str:
    name = str(node.tag).strip().lower()
    if name in _DROPPED_TAGS or any(_HIDDEN.search(str(attribute)) for attribute in node.attributes):
        return ""
    if name in ("br", "hr"):
        return "\n"
    if node.wiki_markup and name in ("li", "dd", "dt"):
        return ""  # the mark of a list; its text follows as a node of its own
    return _render(node.contents, place.inside) if node.contents is not None else ""


def template_name(node: Template) -> str:
    """The template's name as its page has it: lower case, blanks for underscores, comments gone."""
    name = re.sub(r"<!--.*?(?:-->|$)", "", str(node.name), flags=re.DOTALL)
    name = re.sub(r"[\s_]+", " ", _INVISIBLE.sub("", name)).strip().lower()
    return name.removeprefix("template:").strip()


def positional(node: Template) -> list[Any]:
    """Values of the template's unnamed parameters, in order; ``1=`` spells out a place, and the last one counts."""
    found: dict[int, Any] = {}
    for each in node.params:
        name = str(each.name).strip()
        if not each.showkey or re.fullmatch(r"[1-9]\d{0,2}", name):
            found[int(name)] = each.value
    return [found.get(place) or parse("") for place in range(1, max(found, default=0) + 1)]


def _template(node: Template, place: _Place) -> str:
    name = template_name(node)
    if is_silent(name):
        return ""
    writer = writer_of(name)
    if writer is None:
        return place.hole
    named = {
        str(each.name).strip().lower(): _render(each.value, place.inside).strip()
        for each in node.params
        if each.showkey
    }
    values = [_render(value, place.inside).strip() for value in positional(node)]
    if ":" in name:  # a parser function's first argument is part of its name
        values = [_render(parse(str(node.name).partition(":")[2]), place.inside).strip(), *values]
    written = writer(values, named)
    return place.hole if written is None else written


_WRITERS: dict[type, Callable[[Any, _Place], str]] = {
    Text: lambda node, _: str(node.value),
    Wikilink: _link,
    Template: _template,
    Tag: _tag,
    HTMLEntity: lambda node, _: html.unescape(str(node)),
    ExternalLink: lambda node, place: _render(node.title, place.inside),
    Heading: lambda node, place: f"\n{_render(node.title, place.inside)}\n",
}
