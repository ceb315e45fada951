"""Wikitext to what the builder reads: sections as plain text, and the fields of infoboxes."""

from fresco.build.wikitext.infobox import Entry, Infobox
from fresco.build.wikitext.sections import Page, Section, clean, parse_infoboxes, parse_page

__all__ = ["Entry", "Infobox", "Page", "Section", "clean", "parse_infoboxes", "parse_page"]
