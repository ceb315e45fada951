"""Data tables as lines of plain text, one row a line: ``2023 | Revenue in million US$: 5,785 | Employees: 1,525``.

Much of what changes on a page (figures by year, line-ups) stands in a table and nowhere else. Only tables of the class
``wikitable`` hold data; the others are layout, and are dropped, like tables within tables.

Cells are marked with private-use characters before the wikitext parser sees the text, and written out behind it: so a
page is parsed once, not once for each of its thousand cells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

#: Between the cells of a row.
SEPARATOR = " | "

# Each mark ends in a letter or digit: lines without one are taken for rubbish by ``tidy``.
_START, _ROW, _CELL, _END = "\ue000t", "\ue001r", "\ue002", "\ue004x"
_FORGED = re.compile("[\ue000-\ue004]")
_TABLE = re.compile(f"{_START}(.*?){_END}", re.DOTALL)
_LEFT_OVER = re.compile("[\ue000\ue001\ue004][trx]|\ue002(?:[hd]\\d+,\\d+;)?")
_MARKED_CELL = re.compile(r"([hd])(\d+),(\d+);(.*)", re.DOTALL)

_EDGE = re.compile(r"\{\||\|\}")
_DATA = re.compile(r"\bwikitable\b")
_TOKEN = re.compile(r"\{\{|\}\}|\[\[|\]\]|\|\||!!|\|")
_SPAN = re.compile(r"\b(row|col)span\s*=\s*[\"']?\s*(\d+)", re.IGNORECASE)
_MOST_SPAN = 100
_MOST_COLUMNS = 200
_LIST_MARK = re.compile(r"\n[*#:;]+[ \t]*")


def mark_tables(text: str, *, keep: bool) -> str:
    """Text with each data table as marked cells (or without it), and without other tables.

    An unclosed table is dropped up to the next blank line.

    Args:
        text: Wikitext without comments and references.
        keep: Whether data tables are kept.
    """
    text = _FORGED.sub("", text)
    if "{|" not in text:
        return text
    kept: list[str] = []
    depth = place = opened = deepest = 0
    for mark in _EDGE.finditer(text):
        if text[text.rfind("\n", 0, mark.start()) + 1 : mark.start()].strip(" \t:*#"):
            continue  # not at the beginning of a line
        if mark.group() == "{|":
            if not depth:
                kept.append(text[place : mark.start()])
                opened, deepest = mark.start(), 0
            depth += 1
            deepest = max(deepest, depth)
        elif depth:
            depth -= 1
            if not depth:
                place = mark.end()
                source = text[opened : mark.start()]
                if keep and deepest == 1 and _DATA.search(source.partition("\n")[0]):
                    kept.append(_marked(source))
    if depth:
        blank = text.find("\n\n", opened)
        place = blank if blank >= 0 else len(text)
    kept.append(text[place:])
    return "".join(kept)


def write_tables(text: str) -> str:
    """Plain text with the marked tables written out as lines."""
    if "\ue000" not in text:
        return text
    text = _TABLE.sub(lambda match: "\n" + "\n".join(_lines(match.group(1))) + "\n", text)
    # A mark that a damaged template swallowed leaves its partner behind.
    lines = (line.strip() for line in _LEFT_OVER.sub("", text).splitlines())
    return "\n".join(line for line in lines if line)


def _marked(source: str) -> str:
    """A table as one line of marked cells; its caption stands before the first row."""
    pieces = [_START]
    depth = 0
    for line in source.split("\n")[1:]:
        bare = line.lstrip(" \t:")
        if bare.startswith("|-"):
            depth = 0  # whatever template was left open ends with its row
            pieces.append(_ROW)
        elif depth > 0 or not bare.startswith(("|", "!")):
            pieces.append(f"\n{bare}" if bare else "")
        elif bare.startswith("|+"):
            pieces.append(_split(bare[2:], "")[0][1])
        else:
            for attributes, content in _split(bare[1:], "!!" if bare[0] == "!" else ""):
                spans = {key.lower(): min(int(number), _MOST_SPAN) for key, number in _SPAN.findall(attributes)}
                kind = "h" if bare[0] == "!" else "d"
                pieces.append(f"{_CELL}{kind}{spans.get('row') or 1},{spans.get('col') or 1};{content.strip()}")
        depth = max(0, depth + line.count("{{") - line.count("}}"))
    one_line = _LIST_MARK.sub(", ", "".join(pieces)).replace("\n", " ")
    return f"\n{one_line}{_END}\n"


def _split(line: str, other: str) -> list[tuple[str, str]]:
    """The cells of a line as (attributes, content); what stands in templates and links separates nothing."""
    cells: list[tuple[str, str]] = []
    depth = start = 0
    attributes: str | None = None
    for token in _TOKEN.finditer(line):
        mark = token.group()
        if mark in ("{{", "[["):
            depth += 1
        elif mark in ("}}", "]]"):
            depth = max(0, depth - 1)
        elif depth:
            continue
        elif mark in ("||", other):
            cells.append((attributes or "", line[start : token.start()]))
            attributes, start = None, token.end()
        elif mark == "|" and attributes is None and "[[" not in line[start : token.start()]:
            attributes, start = line[start : token.start()], token.end()
    return [*cells, (attributes or "", line[start:])]


@dataclass(frozen=True, slots=True)
class _Cell:
    header: bool
    text: str


def _lines(marked: str) -> Iterator[str]:
    caption, *rows = marked.split(_ROW)
    # Cells before the first row mark are a row as well.
    caption, *first = caption.split(_CELL)
    grid = _grid([first, *(row.split(_CELL)[1:] for row in rows)])
    if caption := _without_markup(caption):
        yield caption
    count = 0
    while count < len(grid) - 1 and all(cell.header or not cell.text for cell in grid[count].values()):
        count += 1
    heads: dict[int, str] = {}
    for row in grid[:count]:
        if len(row) > 1 and all(cell is row[min(row)] for cell in row.values()):
            yield row[min(row)].text  # a title over the whole table
            continue
        for column, cell in row.items():
            if cell.text and cell.text not in heads.get(column, ""):
                heads[column] = f"{heads.get(column, '')} {cell.text}".strip()
    for row in grid[count:]:
        between = all(cell.header for cell in row.values())  # headings repeated, or of a part of the table
        parts = [
            cell.text if not column or between or not heads.get(column) else f"{heads[column]}: {cell.text}"
            for column, cell in sorted(row.items())
            if re.search(r"\w", cell.text) and cell is not row.get(column - 1)
        ]
        if parts:
            yield SEPARATOR.join(parts)


def _grid(rows: list[list[str]]) -> list[dict[int, _Cell]]:
    """Rows of cells by column, spans written out.

    A cell over several rows or columns stands in each of them, as one and the same object.
    """
    grid: list[dict[int, _Cell]] = []
    hanging: dict[int, tuple[int, _Cell]] = {}  # column: how many more rows, what
    for row in rows:
        cells = {column: cell for column, (_, cell) in hanging.items()}
        hanging = {column: (more - 1, cell) for column, (more, cell) in hanging.items() if more > 1}
        column = 0
        for match in map(_MARKED_CELL.match, row):
            if match is None:
                continue
            header, down, across = match[1] == "h", int(match[2]), int(match[3])
            while column in cells:
                column += 1
            if column >= _MOST_COLUMNS:
                break  # spans that multiply: damage, or malice
            cell = _Cell(header, _without_markup(match[4]))
            for each in range(column, min(column + across, _MOST_COLUMNS)):
                cells.setdefault(each, cell)
                if down > 1:
                    hanging[each] = (down - 1, cell)
            column += across
        if row:
            grid.append(cells)
    return grid


def _without_markup(text: str) -> str:
    return " ".join(_LEFT_OVER.sub("", text).replace("|", "/").split()).strip(" ,*")
