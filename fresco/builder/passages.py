"""Passages of revisions: their ids, and where the words of an id stand."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from fresco.builder.infobox_text import INFOBOX, infobox_sections
from fresco.builder.queries import underscored
from fresco.builder.revisions import Revision
from fresco.builder.wikitext import Page, Section
from fresco.builder.windows import FEWEST_WORDS, SIZES, Window, units, windows
from fresco.records import Passage, format_timestamp

_INFOBOX_NAME = "infobox"


def place_name(section: int, window: Window) -> str:
    """A place on a page: number of the section (or ``infobox``), and characters of its plain text."""
    return f"{_INFOBOX_NAME if section == INFOBOX else section}:{window.start}-{window.end}"


def read_place(name: str) -> tuple[int, Window]:
    """The place of a name that :func:`place_name` gave.

    Raises:
        ValueError: it is none.
    """
    section, _, window = name.partition(":")
    start, _, end = window.partition("-")
    return INFOBOX if section == _INFOBOX_NAME else int(section), Window(int(start), int(end))


def passage_id(revision: Revision, section: int, window: Window) -> str:
    """Id of a passage: page, time of the revision, place.

    Wikis renumber revisions on import; title and time are what they keep, so the same data gives the same ids.
    """
    return f"{page_id(revision)}#{place_name(section, window)}"


def page_id(revision: Revision) -> str:
    """What the ids of all passages of a revision begin with."""
    return f"{underscored(revision.title)}@{format_timestamp(revision.timestamp)}"


def place_of(identifier: str) -> str:
    """The place in an id."""
    return identifier.rpartition("#")[2]


def make_passage(revision: Revision, section: Section, window: Window) -> Passage:
    """A part of a section as a passage."""
    return Passage(
        passage_id(revision, section.index, window),
        revision.title,
        section.heading,
        section.text[window.start : window.end],
        revision.timestamp,
    )


def sections_of(page: Page, *, infobox: bool) -> Iterator[Section]:
    """The sections of a page, those of its infoboxes last."""
    yield from page.sections
    if infobox:
        yield from infobox_sections(page)


def windows_of(section: Section, *, whole: bool) -> list[Window]:
    """The windows of a section that are long enough, of the usual size; or the whole section as one."""
    found = [Window(0, len(section.text))] if whole else _cut(section.text)
    return [each for each in found if len(section.text[each.start : each.end].split()) >= FEWEST_WORDS]


@lru_cache(maxsize=256)
def _cut(text: str) -> list[Window]:
    return windows(text, units(text), SIZES[0])
