"""Plain text: paragraphs between blank lines, one section; blocks of ``Field: value`` lines are fields."""

from __future__ import annotations

import re

from fresco.builder.markup.outline import Outline
from fresco.builder.wikitext import Page
from fresco.builder.wikitext.render import visible

_MARK = re.compile(r"^[ \t]*[-*+\u2022][ \t]+")


def parse(text: str, whole: bool, tables: bool) -> Page:
    """A text as a page of one section.

    Args:
        text: The text.
        whole: The section too, or only the fields.
        tables: Plain text has none.
    """
    del tables
    outline = Outline(tables=False)
    for block in re.split(r"\n[ \t]*\n", visible(text)):
        lines = [" ".join(line.split()) for line in block.splitlines() if line.strip()]
        for line in lines if outline.entries([_MARK.sub("", line) for line in lines]) else paragraphs(block):
            outline.text(line)
    page = outline.page()
    return page if whole else Page((), page.infoboxes)


def paragraphs(text: str) -> list[str]:
    """Each paragraph on one line; an entry of a list is one of its own."""
    found = []
    for block in re.split(r"\n[ \t]*\n|\n(?=[ \t]*(?:[-*+•]|\d+[.)])[ \t])", visible(text)):
        line = " ".join(block.split())
        if re.search(r"\w", line):
            found.append(line)
    return found
