"""Whether a table states an amount: the number, the heading that says of what, and the year that says it is the last.

A cell counts when a cue of the relation stands in the heading of its row or column. Its number may be in thousands,
millions or billions (a heading or caption says which, in a dozen ways): three digits that agree under the right heading
are no accident. And no later year may stand in the same column, or row, of the same section: an amount that was
overtaken is none that holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from fresco.builder.facts.values import Amount, amounts
from fresco.builder.wikitext.tables import SEPARATOR

_YEAR = re.compile(r"(?<!\d)(?:1[89]|20)\d\d(?!\d)")
_SCALES = (1.0, 1e3, 1e6, 1e9)
#: A number with fewer digits agrees with too much.
_FEWEST_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table.

    Attributes:
        heading: Of its row and column, years left out.
        year: The latest year in heading, 0 if there is none.
        amount: Its number.
        start: First character of its row in the text.
        end: Behind the row's last character.
    """

    heading: str
    year: int
    amount: Amount
    start: int
    end: int


def is_row(line: str) -> bool:
    """Whether a line of plain text is a row of a table."""
    return SEPARATOR in line


def cells(text: str) -> Iterator[Cell]:
    """The cells of all tables of a section that hold a number."""
    start = 0
    for line in text.split("\n"):
        first, *others = line.split(SEPARATOR)
        for other in others:
            heading, _, content = other.rpartition(": ")
            found = amounts(content)
            if found:
                label = f"{first} {heading}"
                years = [int(year) for year in _YEAR.findall(label)]
                bare = " ".join(_YEAR.sub(" ", label).split()).casefold()
                yield Cell(bare, max(years, default=0), found[0], start, start + len(line))
        start += len(line) + 1


@lru_cache(maxsize=64)
def _cells(text: str) -> tuple[Cell, ...]:
    return tuple(cells(text)) if SEPARATOR in text else ()


def stating_cells(
    wanted: Amount, cues: Sequence[re.Pattern[str]], text: str, earliest: int, *, latest: bool = True
) -> Iterator[tuple[int, Cell]]:
    """Cells that state an amount as the last of its column or row, each with the place of its first cue.

    Args:
        wanted: The amount.
        cues: Of the relation.
        text: Plain text of a section.
        earliest: Cells of earlier years state something else of the same size.
        latest: Whether only the last of a column or row counts; else one that a later year follows counts, too.
    """
    found = _cells(text)
    last: dict[str, int] = {}
    for cell in found:
        last[cell.heading] = max(last.get(cell.heading, 0), cell.year if latest else 0)
    for cell in found:
        if cell.year < max(earliest, last[cell.heading], 1) or not _agrees(wanted, cell.amount):
            continue
        rank = next((place for place, cue in enumerate(cues) if cue.search(cell.heading)), None)
        if rank is not None:
            yield rank, cell


def mentions_in_cells(wanted: Amount, text: str) -> bool:
    """Whether any cell has the amount, under whatever heading and of whatever year."""
    return any(_agrees(wanted, cell.amount) for cell in _cells(text))


def _agrees(wanted: Amount, written: Amount) -> bool:
    """Whether a cell's number is the amount, exactly or rounded, in some unit."""
    if wanted.percent != written.percent:
        return False
    number = abs(wanted.number)
    for scale in _SCALES if wanted.scaled or wanted.money or number >= 1e4 else _SCALES[:1]:
        scaled = replace(written, number=written.number * scale, unit=written.unit * scale)
        difference = abs(number - abs(scaled.number))
        if difference <= 1e-9 * number and (number >= 1e3 or written.percent):
            return True
        rounded = difference <= 0.51 * max(scaled.unit, wanted.unit) and difference <= 0.005 * number
        if rounded and min(written.digits, wanted.digits) >= _FEWEST_DIGITS and not wanted.percent:
            return True
    return False
