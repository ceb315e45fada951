"""Plain text: paragraphs between blank lines, one section."""

from __future__ import annotations

import re

from fresco.builder.wikitext import Page, Section
from fresco.builder.wikitext.render import visible


def parse(text: str, whole: bool, tables: bool) -> Page:
    """A text as a page of one section; it has no structured fields.

    Args:
        text: The text.
        whole: Whether sections are wanted.
        tables: Plain text has none.
    """
    del tables
    body = "\n".join(paragraphs(text)) if whole else ""
    return Page((Section(0, "", body),)) if body else Page()


def paragraphs(text: str) -> list[str]:
    """Each paragraph on one line; an entry of a list is one of its own."""
    found = []
    for block in re.split(r"\n[ \t]*\n|\n(?=[ \t]*(?:[-*+•]|\d+[.)])[ \t])", visible(text)):
        line = " ".join(block.split())
        if re.search(r"\w", line):
            found.append(line)
    return found
