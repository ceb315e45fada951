"""References out of wikitext, whatever state their tags are in.

A tag ends at its first ``>`` outside quotes; it closes itself when a slash stands right before that (with or without
blanks). So ``<ref name="a/b" />`` and ``<ref name=a/b>`` are told apart by the end of the tag, not by any slash in it.
A reference that is never closed ends with its paragraph, so that it takes no text of the next one with it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_TAG = re.compile(r"<(?P<close>/\s*)?ref(?=[\s/>])", re.IGNORECASE)
#: Behind an equals sign, a quoted value; it may hold slashes, equals signs and ``>``.
_QUOTED = re.compile(r"=\s*(?:\"[^\"<\n]*\"|'[^'<\n]*')(?=[\s/>])")
_LONGEST_TAG = 2_000


@dataclass(frozen=True, slots=True)
class _Tag:
    start: int
    end: int
    kind: str  # open, close, self


def without_references(text: str) -> str:
    """Text without ``<ref>`` elements: named, grouped, nested, self-closing, unclosed, and stray closing tags."""
    return "".join(_split(text)[0])


def references(text: str) -> list[str]:
    """The ``<ref>`` elements of a text, tags and all, in their order."""
    return _split(text)[1]


def _split(text: str) -> tuple[list[str], list[str]]:
    """What stands outside of references, and the references."""
    if "<" not in text:
        return [text], []
    tags = _tags(text)
    kept: list[str] = []
    dropped: list[str] = []
    place = number = 0
    while number < len(tags):
        tag = tags[number]
        number += 1
        if tag.start < place:
            continue  # inside what is dropped already
        kept.append(text[place : tag.start])
        place = _end(text, tags, number - 1) if tag.kind == "open" else tag.end
        dropped.append(text[tag.start : place])
    return [*kept, text[place:]], dropped


def _tags(text: str) -> Sequence[_Tag]:
    found = []
    for match in _TAG.finditer(text):
        end = _tag_end(text, match.end())
        if end is None:
            # "<ref name=x" without an end: the paragraph that it stands in ends it.
            found.append(_Tag(match.start(), _paragraph_end(text, match.end()), "self"))
            continue
        closes_itself = text[match.end() : end - 1].rstrip().endswith("/")
        kind = "close" if match["close"] else "self" if closes_itself else "open"
        found.append(_Tag(match.start(), end, kind))
    return found


def _tag_end(text: str, at: int) -> int | None:
    """Behind the ``>`` that ends the tag; None where another tag or a blank line comes first."""
    stop = min(len(text), at + _LONGEST_TAG)
    while at < stop:
        char = text[at]
        if char == ">":
            return at + 1
        if char == "<" or text.startswith("\n\n", at):
            return None
        quoted = _QUOTED.match(text, at) if char == "=" else None
        at = quoted.end() if quoted else at + 1
    return None


def _end(text: str, tags: Sequence[_Tag], opened: int) -> int:
    """Where the reference ends that a tag opens."""
    blank = text.find("\n\n", tags[opened].end)
    depth = 1
    nested = False
    for tag in tags[opened + 1 :]:
        if tag.kind == "open":
            depth += 1
            nested = True
        elif tag.kind == "close":
            depth -= 1
        if not depth:
            if nested and 0 <= blank < tag.start:
                break  # an unclosed one, and a whole one of a later paragraph
            return tag.end
    line = _paragraph_end(text, tags[opened].end)
    closing = [tag.end for tag in tags[opened + 1 :] if tag.kind == "close" and tag.end <= line]
    return closing[0] if closing else line


def _paragraph_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return end if end >= 0 else len(text)
