"""What a parser of any markup tells of a text, in reading order, and the page that this makes.

Key-value tables (two columns, the first of names) and lists of ``Field: value`` lines are fields as well as text: boxes
of the kind :data:`LISTED`, which are no passages of their own, since the text has their words already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from fresco.builder.markup.fields import LISTED
from fresco.builder.wikitext import Entry, Infobox, Page, Section
from fresco.builder.wikitext.tables import SEPARATOR

_PAIR = re.compile(r"(?P<name>[^\W\d_][^:|=\n]{0,39}?)\s*:\s+(?P<value>\S.*)")
_MOST_WORDS = 5
_MOST_VALUE = 200
_FEWEST = 2
#: Heads of the second column of a table whose first holds names of fields.
_VALUE_HEADS = re.compile(r"(?:values?|details?|settings?|data|information|)", re.IGNORECASE)

#: A cell: whether it is a head, and its text.
Cell = tuple[bool, str]


class Outline:
    """Collects a page.

    Args:
        tables: Whether the rows of tables are lines of their section.
    """

    def __init__(self, tables: bool) -> None:
        self._tables = tables
        self._index, self._heading = 0, ""
        self._lines: list[str] = []
        self._sections: list[Section] = []
        self._fields: dict[str, list[str]] = {}

    def heading(self, text: str) -> None:
        """A heading: the section before it ends."""
        self._end()
        self._index, self._heading = self._index + 1, " ".join(text.split())

    def text(self, text: str) -> None:
        """A paragraph, or an entry of a list; its line breaks are those that a reader sees."""
        self._lines += worded_lines(text)

    def entries(self, texts: Sequence[str]) -> bool:
        """A list has ended whose entries were told one by one: fields, where each is a ``Field: value``."""
        found = (_PAIR.fullmatch(each) for each in texts)
        return self.pairs([(each["name"], each["value"]) if each else ("", "") for each in found])

    def pairs(self, pairs: Sequence[tuple[str, str]]) -> bool:
        """Names and values that stand side by side; whether they are fields: not where one is no name, or has none."""
        found = [(_name(name), " ".join(value.split())) for name, value in pairs]
        if len(found) < _FEWEST or len({name for name, _ in found}) < len(found):
            return False
        if not all(name and 0 < len(value) <= _MOST_VALUE for name, value in found):
            return False
        for name, value in found:
            self._fields.setdefault(name, []).append(value)
        return True

    def table(self, rows: Sequence[Sequence[Cell]]) -> None:
        """A table: its rows are lines, and fields where it is one of names and values."""
        clean = [[(head, " ".join(text.replace("|", "/").split())) for head, text in row] for row in rows if row]
        heads = [text for _, text in clean[0]] if clean and all(head for head, _ in clean[0]) else None
        body = clean[1:] if heads else clean
        named = [(row[0][1].rstrip(": "), row[1][1]) for row in body if len(row) == 2]
        of_names = len(named) == len(body) and (heads is None or _VALUE_HEADS.fullmatch(heads[-1]) is not None)
        lines = [f"{name}: {value}" for name, value in named] if of_names and self.pairs(named) else _row_lines(clean)
        if self._tables:
            self._lines += lines

    def page(self, boxes: Iterable[Infobox] = ()) -> Page:
        """The page, with boxes from elsewhere before those of its text."""
        self._end()
        # A name that two lists give different values says nothing certain of the page.
        sure: dict[str, tuple[Entry, ...]] = {
            name: (Entry(values[0]),) for name, values in self._fields.items() if len(set(values)) == 1
        }
        own = (Infobox(LISTED, sure, ""),) if sure else ()
        return Page(tuple(self._sections), (*boxes, *own))

    def _end(self) -> None:
        if body := "\n".join(self._lines):
            self._sections.append(Section(self._index, self._heading, body))
        self._lines = []


def worded_lines(text: str) -> list[str]:
    """The lines that hold a word, their blanks single."""
    found = (" ".join(line.split()) for line in text.split("\n"))
    return [line for line in found if re.search(r"\w", line)]


def _name(text: str) -> str:
    words = " ".join(text.lower().split())  # as it stands there: the cue of its relation is looked for in the text
    return words if re.search(r"[^\W\d_]", words) and len(words.split()) <= _MOST_WORDS else ""


def _row_lines(rows: Sequence[Sequence[Cell]]) -> Iterator[str]:
    """A table as lines, written like those of wikitext: ``2023 | Revenue: 5,785``."""
    heads: list[str] = []
    for row in rows:
        texts = [text for _, text in row]
        if all(head for head, _ in row):
            heads = texts
            continue
        named = [*heads, *[""] * len(row)]
        cells = [
            f"{named[column]}: {cell}" if column and named[column] else cell
            for column, cell in enumerate(texts)
            if re.search(r"\w", cell)
        ]
        if cells:
            yield SEPARATOR.join(cells)
