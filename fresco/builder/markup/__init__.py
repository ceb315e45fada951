"""Languages in which pages are written: each is one module with ``parse`` from a text to a page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePosixPath

from fresco.builder.markup import html, markdown, plain, rst
from fresco.builder.wikitext import Page, parse_infoboxes, parse_page, without_infoboxes

WIKITEXT = "wikitext"

#: By the end of a file's name.
MARKUPS = {
    ".md": "markdown", ".markdown": "markdown", ".txt": "plain", ".text": "plain",
    ".html": "html", ".htm": "html", ".xhtml": "html", ".rst": "rst", ".rest": "rst",
}  # fmt: skip

#: Raised when a parser gives other text for the same source, so that what was kept is parsed again.
VERSIONS = {"markdown": 2, "plain": 2, "html": 1, "rst": 1}

_Parse = Callable[[str, bool, bool], Page]


def _wikitext(text: str, whole: bool, tables: bool) -> Page:
    return parse_page(text, tables=tables) if whole else Page((), parse_infoboxes(text))


_PARSERS: dict[str, _Parse] = {
    WIKITEXT: _wikitext, "markdown": markdown.parse, "plain": plain.parse, "html": html.parse, "rst": rst.parse,
}  # fmt: skip
_TITLES: dict[str, Callable[[str], str]] = {"markdown": markdown.title, "html": html.title, "rst": rst.title}


def parse(markup: str, text: str, *, whole: bool, tables: bool) -> Page:
    """A text as a page. Any string is accepted.

    Args:
        markup: Its language, one of :data:`MARKUPS` or ``wikitext``.
        text: The text.
        whole: Sections too, or only the structured fields.
        tables: Whether the rows of data tables are lines of their section.
    """
    return _PARSERS[markup](text, whole, tables)


def markup_of(path: str) -> str | None:
    """The language of a file by its name; None where it is none that is read."""
    return MARKUPS.get(PurePosixPath(path).suffix.lower())


def title_of(text: str, markup: str) -> str:
    """What a text calls itself; empty where it does not say."""
    return _TITLES[markup](text) if markup in _TITLES else ""


def prose_of(text: str, markup: str) -> str:
    """A text without its structured fields."""
    if markup == "markdown":
        return markdown.without_front_matter(text)
    return without_infoboxes(text) if markup == WIKITEXT else text
