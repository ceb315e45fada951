"""Wikitext to what the builder reads: sections as plain text, and the fields of infoboxes."""

from fresco.builder.wikitext.infobox import Entry, Infobox
from fresco.builder.wikitext.references import references
from fresco.builder.wikitext.sections import Page, Section, clean, parse_infoboxes, parse_page, without_infoboxes

__all__ = [
    "Entry",
    "Infobox",
    "Page",
    "Section",
    "clean",
    "parse_infoboxes",
    "parse_page",
    "references",
    "without_infoboxes",
]
