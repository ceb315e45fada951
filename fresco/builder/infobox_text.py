"""Infoboxes as passages: ``Field: value`` lines, and what a part of one states.

The infoboxes of a page are one section; each entry of a list of structured data is one of its own, headed by its key.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fresco.builder.markup.fields import LISTED
from fresco.builder.wikitext import Entry, Infobox, Page, Section

#: Number of the section that holds the infoboxes of a page; those of the text count from 0, those of entries of lists
#: down from here.
INFOBOX = -1
HEADING = "Infobox"
FIELDS_HEADING = "Fields"

#: Fields that a reader does not see as words.
_LAYOUT = re.compile(
    r".*(?:image|logo|caption|pattern|colou?r|width|size|style|class|coordinates|coord|map|alt|signature|embed|module|"
    r"upright|website|url|homepage|footnotes?|border|float|child|flag|icon|refs?|format|screenshot|collapsible)\b.*|"
    r"(?:leftarm|rightarm|body|shorts|socks|module|cap)\s?\d*|(?:kit|pushpin|mapframe|embedded|isin|bodystyle|"
    r"label|native).*"
)
#: Parts of names of fields that are no words.
_WORDS = {"num": "number of", "no": "number of", "gm": "general manager", "chairperson": "chair"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the text.

    Attributes:
        start: Its first character.
        end: Behind its last.
        box: Number of the infobox on its page.
        field: Name of the field.
    """

    start: int
    end: int
    box: int
    field: str


def infobox_sections(page: Page) -> list[Section]:
    """The infoboxes of a page as sections of plain text; those that say nothing are left out."""
    found = []
    for number, boxes in _grouped(page.infoboxes):
        if text := "\n".join(line for _, _, line in _lines(boxes)):
            found.append(Section(number, _heading(boxes[0][1]), text))
    return found


def infobox_lines(page: Page, section: int = INFOBOX) -> list[Line]:
    """The lines of one of :func:`infobox_sections`, with the fields they come from."""
    found, start = [], 0
    for number, boxes in _grouped(page.infoboxes):
        if number == section:
            for box, field, text in _lines(boxes):
                found.append(Line(start, start + len(text), box, field))
                start += len(text) + 1
    return found


def part_of(page: Page, lines: Sequence[Line], start: int, end: int) -> list[Infobox]:
    """The infoboxes of a page, with no other fields than those whose lines a window holds."""
    kept: dict[int, dict[str, tuple[Entry, ...]]] = {}
    for line in lines:
        if start <= line.start and line.end <= end:
            kept.setdefault(line.box, {})[line.field] = page.infoboxes[line.box].fields[line.field]
    return [replace(page.infoboxes[box], fields=fields) for box, fields in kept.items()]


_Numbered = Sequence[tuple[int, Infobox]]


def _grouped(boxes: Sequence[Infobox]) -> Iterator[tuple[int, _Numbered]]:
    """The boxes of each section, with its number and their places on the page."""
    # What is listed in the text is text already.
    of_page = [(place, box) for place, box in enumerate(boxes) if not box.subject and box.kind != LISTED]
    if of_page:
        yield INFOBOX, of_page
    entries = [(place, box) for place, box in enumerate(boxes) if box.subject]
    for number, entry in enumerate(entries, 1):
        yield INFOBOX - number, [entry]


def _heading(box: Infobox) -> str:
    if box.subject is None:
        return HEADING
    return f"{_title(box.kind)}: {box.subject}" if box.subject else FIELDS_HEADING


def _lines(boxes: _Numbered) -> Iterator[tuple[int, str, str]]:
    for number, box in boxes:
        for field, entries in box.fields.items():
            if box.subject is None and _LAYOUT.fullmatch(field):
                continue
            text = "; ".join(f"{each.text} ({each.note})" if each.note else each.text for each in entries)
            if text := " ".join(text.split()):
                yield number, field, f"{_title(field)}: {text}"


def _title(field: str) -> str:
    # "leader name1" is the first of several: numbers stay, they tell pairs of fields apart.
    words = [_WORDS.get(word, word) for word in field.split()]
    title = " ".join(words)
    return title[:1].upper() + title[1:]
