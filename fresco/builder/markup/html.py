"""HTML as sections of plain text; key-value tables, definition lists and ``Field: value`` lists as fields."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fresco.builder.markup.outline import Cell, Outline
from fresco.builder.wikitext import Page
from fresco.builder.wikitext.render import visible
from fresco.errors import FrescoError

if TYPE_CHECKING:
    from selectolax.lexbor import LexborHTMLParser, LexborNode

#: What no reader sees as prose: code, controls, and what stands around every page of a site.
_SKIPPED = frozenset({
    "head", "script", "style", "template", "svg", "noscript", "iframe", "object", "canvas", "math", "select", "button",
    "form", "pre", "nav", "footer", "aside",
})  # fmt: skip
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
#: Elements that run on within a line; every other one ends it.
_INLINE = frozenset({
    "a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i", "ins", "kbd", "label",
    "mark", "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr",
})  # fmt: skip
_TEXT = "-text"


def parse(text: str, whole: bool, tables: bool) -> Page:
    """A text as a page: the part before the first heading is section 0.

    Args:
        text: The text; it is read as browsers read it, however damaged it is.
        whole: Sections too, or only the fields.
        tables: Whether the rows of tables are lines of their section.

    Raises:
        FrescoError: the extra is missing.
    """
    outline = Outline(tables)
    body = _tree(text).body
    if body is not None:
        _Walk(outline).block(body)
    page = outline.page()
    return page if whole else Page((), page.infoboxes)


def title(text: str) -> str:
    """The text of ``<title>``, or else the first heading."""
    tree = _tree(text)
    for selector in ("head > title", "h1"):
        found = tree.css_first(selector)
        if found is not None and (words := " ".join(visible(found.text()).split())):
            return words
    return ""


def _tree(text: str) -> LexborHTMLParser:
    try:
        from selectolax.lexbor import LexborHTMLParser
    except ImportError:
        raise FrescoError("HTML needs selectolax; pip install 'fresco-ccs[markup]'") from None
    return LexborHTMLParser(text.replace("\0", ""))


class _Walk:
    """Tells an outline what stands in an element, in reading order."""

    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._line: list[str] = []

    def block(self, element: LexborNode) -> None:
        """Tell the content of an element that begins and ends a line."""
        # A stack of its own, not the interpreter's: pages nest as deep as they like.
        waiting: list[Iterator[LexborNode]] = [_children(element)]
        while waiting:
            node = next(waiting[-1], None)
            if node is None:
                waiting.pop()
                self._end()
            elif node.tag == _TEXT:
                self._line.append(node.text_content or "")
            elif node.tag == "br":
                self._end()
            elif node.tag in _INLINE:
                self._line.append(_words(node))
            elif node.tag not in _SKIPPED and "hidden" not in node.attributes:
                self._end()
                if node.tag in _HEADINGS:
                    self._outline.heading(visible(_words(node)))
                elif node.tag == "table":
                    self._outline.table(list(_rows(node)))
                elif not self._is_told(node):
                    waiting.append(_children(node))
        self._end()

    def _is_told(self, node: LexborNode) -> bool:
        """Tell the fields of a list; whether that was all of it."""
        if node.tag == "ul":
            self._outline.entries([visible(_words(each)).strip() for each in _children(node) if each.tag == "li"])
        elif node.tag == "dl":
            parts = [each for each in _children(node) if each.tag in ("dt", "dd")]
            words = [visible(_words(each)).strip().rstrip(":") for each in parts]
            pairs = list(zip(words[::2], words[1::2], strict=False))
            if [each.tag for each in parts] == ["dt", "dd"] * len(pairs) and self._outline.pairs(pairs):
                for name, value in pairs:
                    self._outline.text(f"{name}: {value}")
                return True
        return False

    def _end(self) -> None:
        self._outline.text(visible(" ".join("".join(self._line).split())))
        self._line = []


def _children(node: LexborNode) -> Iterator[LexborNode]:
    child = node.child
    while child is not None:
        yield child
        child = child.next


def _words(node: LexborNode) -> str:
    """What a reader sees of an element, on one line."""
    found: list[str] = []
    waiting = [_children(node)]
    while waiting:
        child = next(waiting[-1], None)
        if child is None:
            waiting.pop()
        elif child.tag == _TEXT:
            found.append(child.text_content or "")
        elif child.tag not in _SKIPPED:
            if child.tag not in _INLINE:
                found.append(" ")
            waiting.append(_children(child))
    return re.sub(r"\s+", " ", "".join(found))


def _rows(table: LexborNode) -> Iterator[list[Cell]]:
    """The rows of a table, not those of tables within it."""
    waiting = [_children(table)]
    while waiting:
        node = next(waiting[-1], None)
        if node is None:
            waiting.pop()
        elif node.tag in ("thead", "tbody", "tfoot"):
            waiting.append(_children(node))
        elif node.tag == "tr":
            yield [(each.tag == "th", visible(_words(each))) for each in _children(node) if each.tag in ("th", "td")]
