"""A page of wikitext as sections of plain text and as the fields of its infoboxes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from fresco.builder.wikitext.infobox import Infobox, infoboxes
from fresco.builder.wikitext.references import without_references
from fresco.builder.wikitext.render import parse, render, tidy
from fresco.builder.wikitext.tables import mark_tables, write_tables

#: Sections that hold no statements of the article's own.
_NO_PROSE = re.compile(
    r"(?:see also|references?|notes?|footnotes?|citations?|external links?|further reading|bibliography|sources?|"
    r"works cited|notes and references|explanatory notes|general and cited (?:references|sources)|gallery)",
    re.IGNORECASE,
)
_HEADING = re.compile(r"^(?P<marks>={2,6})[ \t]*(?P<title>[^\n]*?)[ \t]*(?P=marks)[ \t]*$", re.MULTILINE)
# An unclosed comment hides the rest of the page, in MediaWiki too.
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)

_INFOBOX_START = re.compile(r"\{\{\s*infobox\b", re.IGNORECASE)
_BRACES = re.compile(r"\{\{|\}\}")

#: A lead longer than this is no lead: a page without headings, or a damaged one. Infoboxes come first.
_MOST_LEAD = 400_000
_LONGEST_PART = 1_000_000


@dataclass(frozen=True, slots=True)
class Section:
    """A section without its subsections.

    Attributes:
        index: Place on the page; 0 is the lead. Sections without text keep their number, so it can be derived again.
        heading: Plain text; empty for the lead.
        text: Plain text, one paragraph or row of a table a line.
    """

    index: int
    heading: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """What the builder reads of a revision."""

    sections: tuple[Section, ...] = ()
    infoboxes: tuple[Infobox, ...] = field(default=())


def parse_infoboxes(wikitext: str) -> tuple[Infobox, ...]:
    """The infoboxes of the lead, outermost first."""
    return _infoboxes(_without_comments(wikitext))


def parse_page(wikitext: str, *, tables: bool = True) -> Page:
    """Sections that hold text, in page order, and the infoboxes of the lead. Any string is accepted.

    Args:
        wikitext: The page.
        tables: Whether the rows of data tables are lines of their section.
    """
    text = _without_comments(wikitext)
    return Page(tuple(_sections(text, tables)), _infoboxes(text))


def without_infoboxes(wikitext: str) -> str:
    """Wikitext without comments, references and the infoboxes of its lead, whose braces need not be balanced."""
    text = without_references(_without_comments(wikitext))
    kept: list[str] = []
    place = 0
    for match in _INFOBOX_START.finditer(text):
        if match.start() < place:
            continue
        kept.append(text[place : match.start()])
        depth, place = 0, len(text)
        for brace in _BRACES.finditer(text, match.start()):
            depth += 1 if brace.group() == "{{" else -1
            if depth <= 0:
                place = brace.end()
                break
        else:
            # It never ends: the next heading, or blank line, does.
            end = re.compile(r"\n(?:==|\n)").search(text, match.start())
            place = end.start() if end else len(text)
    return "".join([*kept, text[place:]])


def clean(wikitext: str, *, tables: bool = True) -> str:
    """The plain text of a part of a page: no references, pictures, or templates that are no words.

    Args:
        wikitext: The part.
        tables: Whether the rows of data tables are lines of the text.
    """
    # References and layout go before the parser sees them: they are half of the text, most of the damage (unclosed
    # tags) and most of the time.
    text = without_references(_without_comments(wikitext)[:_LONGEST_PART])
    return write_tables(tidy(render(parse(mark_tables(text, keep=tables)))))


def _infoboxes(text: str) -> tuple[Infobox, ...]:
    # Without references: an unclosed one would hide the fields behind it from the parser.
    return infoboxes(without_references(_lead(text)[:_MOST_LEAD]))


def _without_comments(text: str) -> str:
    return _COMMENT.sub("", text)


def _lead(text: str) -> str:
    heading = _HEADING.search(text)
    return text[: heading.start()] if heading else text


def _sections(text: str, tables: bool) -> Iterator[Section]:
    headings = list(_HEADING.finditer(text))
    starts = [0, *(heading.end() for heading in headings)]
    ends = [*(heading.start() for heading in headings), len(text)]
    titles = ["", *(heading["title"] for heading in headings)]
    skipped = 0  # level of the section of references that we are in
    for index, (start, end, title) in enumerate(zip(starts, ends, titles, strict=True)):
        level = len(headings[index - 1]["marks"]) if index else 2
        heading = " ".join(clean(title).split()) if title else ""
        if skipped and level > skipped:
            continue
        skipped = level if _NO_PROSE.fullmatch(heading) else 0
        if skipped:
            continue
        if body := clean(text[start:end], tables=tables):
            yield Section(index, heading, body)
