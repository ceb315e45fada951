"""An infobox as a passage: ``Field: value`` lines, and what a part of it states."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fresco.builder.wikitext import Entry, Infobox, Page, Section

#: Number of the section that holds the infoboxes of a page; those of the text count from 0.
INFOBOX = -1
HEADING = "Infobox"

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


def infobox_section(page: Page) -> Section | None:
    """The infoboxes of a page as a section of plain text; None where none says anything."""
    text = "\n".join(line for _, _, line in _lines(page.infoboxes))
    return Section(INFOBOX, HEADING, text) if text else None


def infobox_lines(page: Page) -> list[Line]:
    """The lines of :func:`infobox_section`, with the fields they come from."""
    found, start = [], 0
    for box, field, text in _lines(page.infoboxes):
        found.append(Line(start, start + len(text), box, field))
        start += len(text) + 1
    return found


def part_of(page: Page, lines: Sequence[Line], start: int, end: int) -> list[Infobox]:
    """The infoboxes of a page, with no other fields than those whose lines a window holds."""
    kept: dict[int, dict[str, tuple[Entry, ...]]] = {}
    for line in lines:
        if start <= line.start and line.end <= end:
            kept.setdefault(line.box, {})[line.field] = page.infoboxes[line.box].fields[line.field]
    return [Infobox(page.infoboxes[box].kind, fields) for box, fields in kept.items()]


def _lines(boxes: Sequence[Infobox]) -> Iterator[tuple[int, str, str]]:
    for number, box in enumerate(boxes):
        for field, entries in box.fields.items():
            if _LAYOUT.fullmatch(field):
                continue
            text = "; ".join(f"{each.text} ({each.note})" if each.note else each.text for each in entries)
            if text := " ".join(text.split()):
                yield number, field, f"{_title(field)}: {text}"


def _title(field: str) -> str:
    # "leader name1" is the first of several: numbers stay, they tell pairs of fields apart.
    words = [_WORDS.get(word, word) for word in field.split()]
    title = " ".join(words)
    return title[:1].upper() + title[1:]
