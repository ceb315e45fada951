"""Markdown (CommonMark with tables) as sections of plain text, and as fields its front matter, tables and lists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from fresco.builder.markup.fields import field_boxes
from fresco.builder.markup.front_matter import read, split
from fresco.builder.markup.outline import Cell, Outline
from fresco.builder.wikitext import Page
from fresco.builder.wikitext.render import visible
from fresco.errors import FrescoError

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(?P<atx>.+?)[ \t]*#*[ \t]*$|^(?P<setext>\S[^\n]*)\n=+[ \t]*$", re.MULTILINE)
#: Without one of these there is neither a list nor a table.
_MAY_LIST = re.compile(r"^[ \t>]*[-*+][ \t].*:|\|", re.MULTILINE)
_HIDDEN_TAGS = frozenset({"script", "style", "svg", "template"})


def parse(text: str, whole: bool, tables: bool) -> Page:
    """A Markdown text as a page: the part before the first heading is section 0.

    Args:
        text: The text.
        whole: Sections too, or only the fields.
        tables: Whether the rows of tables are lines of their section.
    """
    matter, body = split(text)
    boxes = tuple(field_boxes(read(matter))) if matter else ()
    if not whole and not _MAY_LIST.search(body):
        return Page((), boxes)
    page = _outline(body, tables).page(boxes)
    return page if whole else Page((), page.infoboxes)


def title(text: str) -> str:
    """The title of the front matter, or else the first heading."""
    matter, body = split(text)
    stated = read(matter).get("title") if matter else None
    if isinstance(stated, str) and stated.strip():
        return " ".join(visible(stated).split())
    match = _HEADING.search(body)
    if match is None:
        return ""
    return next((section.heading for section in _outline(f"{match.group()}\n\nx", True).page().sections), "")


def without_front_matter(text: str) -> str:
    """What follows the front matter."""
    return split(text)[1]


@cache
def _parser() -> MarkdownIt:
    try:
        from markdown_it import MarkdownIt
    except ImportError:
        raise FrescoError("Markdown needs markdown-it-py; pip install 'fresco-ccs[build]'") from None
    return MarkdownIt("commonmark").enable("table")


def _outline(text: str, tables: bool) -> Outline:
    outline = Outline(tables)
    tokens = _parser().parse(text)
    rows: list[list[Cell]] = []
    lists: list[list[str]] = []  # entries of each list that is open
    place = 0
    while place < len(tokens):
        token = tokens[place]
        if token.type == "heading_open":
            outline.heading(_words(tokens[place + 1]))
            place += 3
            continue
        if token.type == "table_open":
            rows = []
        elif token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append((token.type == "th_open", _words(tokens[place + 1])))
            place += 1
        elif token.type == "table_close":
            outline.table(rows)
        elif token.type == "bullet_list_open":
            lists.append([])
        elif token.type == "list_item_open" and lists:
            lists[-1].append("")
        elif token.type == "bullet_list_close":
            outline.entries(lists.pop())
        elif token.type == "inline":
            outline.text(words := _words(token))
            if lists and lists[-1]:
                lists[-1][-1] += ("\n" if lists[-1][-1] else "") + words
        elif token.type == "html_block":
            outline.text(_without_tags(token.content))
        place += 1  # code blocks are no prose
    return outline


def _words(token: Token) -> str:
    """What a reader sees of an inline token; hard breaks are line breaks."""
    return visible("".join(_inline(token.children or ())))


def _inline(children: Sequence[Token]) -> Iterator[str]:
    for child in children:
        if child.type in ("text", "code_inline"):
            yield child.content
        elif child.type == "softbreak":
            yield " "
        elif child.type == "hardbreak" or (child.type == "html_inline" and re.match(r"<br\b", child.content, re.I)):
            yield "\n"


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._hidden += tag in _HIDDEN_TAGS
        if tag in ("br", "p", "div", "li", "tr", "summary", "details"):
            self.found.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in _HIDDEN_TAGS and self._hidden > 0

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.found.append(data.replace("\n", " "))


def _without_tags(source: str) -> str:
    words = _Words()
    words.feed(source)
    words.close()
    return visible("".join(words.found))
