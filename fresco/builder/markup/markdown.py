"""Markdown (CommonMark with tables) as sections of plain text, and its front matter as fields."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

from fresco.builder.markup.fields import field_boxes
from fresco.builder.markup.front_matter import read, split
from fresco.builder.wikitext import Page, Section
from fresco.builder.wikitext.render import visible
from fresco.builder.wikitext.tables import SEPARATOR
from fresco.errors import FrescoError

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(?P<atx>.+?)[ \t]*#*[ \t]*$|^(?P<setext>\S[^\n]*)\n=+[ \t]*$", re.MULTILINE)
_HIDDEN_TAGS = frozenset({"script", "style", "svg", "template"})


def parse(text: str, whole: bool, tables: bool) -> Page:
    """A Markdown text as a page: the part before the first heading is section 0.

    Args:
        text: The text.
        whole: Sections too, or only the fields of the front matter.
        tables: Whether the rows of tables are lines of their section.
    """
    matter, body = split(text)
    sections = tuple(_sections(body, tables)) if whole else ()
    return Page(sections, tuple(field_boxes(read(matter))) if matter else ())


def title(text: str) -> str:
    """The title of the front matter, or else the first heading."""
    matter, body = split(text)
    stated = read(matter).get("title") if matter else None
    if isinstance(stated, str) and stated.strip():
        return " ".join(visible(stated).split())
    match = _HEADING.search(body)
    if match is None:
        return ""
    return next((section.heading for section in _sections(f"{match.group()}\n\nx", True)), "")


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


def _sections(text: str, tables: bool) -> Iterator[Section]:
    tokens = _parser().parse(text)
    index, heading, lines = 0, "", list[str]()
    rows = _Rows()
    place = 0
    while place < len(tokens):
        token = tokens[place]
        if token.type == "heading_open":
            if body := "\n".join(lines):
                yield Section(index, heading, body)
            index, heading, lines = index + 1, _words(tokens[place + 1]).replace("\n", " "), []
            place += 3
            continue
        if token.type == "table_open":
            rows = _Rows()
        elif token.type in ("th_open", "td_open"):
            rows.add(token.type == "th_open", _words(tokens[place + 1]).replace("\n", " "))
            place += 1
        elif token.type == "tr_close":
            rows.end()
        elif token.type == "table_close" and tables:
            lines += rows.lines()
        elif token.type == "inline":
            lines += _lines(_words(token))
        elif token.type == "html_block":
            lines += _lines(_without_tags(token.content))
        place += 1  # code blocks are no prose
    if body := "\n".join(lines):
        yield Section(index, heading, body)


def _lines(text: str) -> list[str]:
    found = (" ".join(line.split()) for line in text.split("\n"))
    return [line for line in found if re.search(r"\w", line)]


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


class _Rows:
    """A table as lines, written like those of wikitext: ``2023 | Revenue: 5,785``."""

    def __init__(self) -> None:
        self._heads: list[str] = []
        self._row: list[tuple[bool, str]] = []
        self._rows: list[list[str]] = []

    def add(self, head: bool, text: str) -> None:
        """Take a cell."""
        self._row.append((head, " ".join(text.replace("|", "/").split())))

    def end(self) -> None:
        """End a row."""
        texts = [text for _, text in self._row]
        if self._row and all(head for head, _ in self._row):
            self._heads = texts
        elif self._row:
            self._rows.append(texts)
        self._row = []

    def lines(self) -> Iterator[str]:
        """The rows that say something."""
        for row in self._rows:
            heads = [*self._heads, *[""] * len(row)]
            cells = [
                f"{heads[column]}: {cell}" if column and heads[column] else cell
                for column, cell in enumerate(row)
                if re.search(r"\w", cell)
            ]
            if cells:
                yield SEPARATOR.join(cells)


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
