"""Redirects: texts that only name another page.

MediaWiki reads a text as a redirect when it begins with ``#WORD [[Target]]``, where WORD is translated
(``#WEITERLEITUNG``, ``#REDIRECTION``; https://www.mediawiki.org/wiki/Help:Redirects). Any word is taken here, so that
no list of languages has to be kept: an article does not begin that way.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

_REDIRECT = re.compile(r"\s*#\s*[^\s\[:]+\s*:?\s*\[\[([^\]|#]*)")

_DIRECTION = re.compile("[\u200e\u200f\u202a-\u202e]")
_GEORGIAN = "\u10d0\u10ff"  # its letters, whose capitals Unicode added late and no name begins with

#: Bytes. A redirect with its category templates is shorter; an article with an infobox is longer.
_LONGEST_REDIRECT = 512


def target_of(text: str) -> str | None:
    """The title that a redirect text points to, None where the text is no redirect."""
    match = _REDIRECT.match(text)
    return normal_title(match[1]) if match else None


def names_section(text: str) -> bool:
    """Whether a redirect text leads to a section of a page, to something that has no page of its own."""
    match = _REDIRECT.match(text)
    return match is not None and text[match.end() : match.end() + 1] == "#"


def is_bare(sizes: Collection[int]) -> bool:
    """Whether a page that is a redirect today never was an article.

    A page that was merged or moved without its history keeps an article's revisions; those are what its name meant
    then, so only a page without any is replaced by its target. A listing has sizes and no texts: the size decides.

    Args:
        sizes: Bytes of each listed revision.
    """
    return all(size <= _LONGEST_REDIRECT for size in sizes)


def normal_title(title: str) -> str:
    """The title as MediaWiki shows it: single spaces, composed letters (NFC), no marks of direction; its case stays.

    Names that are typed or pasted differ in just that: Hebrew ones bring marks, a file system takes letters apart.
    """
    composed = unicodedata.normalize("NFC", _DIRECTION.sub("", title))
    return " ".join(composed.replace("_", " ").split()).lstrip(": ")


def capitalized(title: str) -> str:
    """The title with a capital first letter, where that is one; "ß" and Georgian stay, as on Wikimedia's wikis."""
    first, upper = title[:1], title[:1].upper()
    return title if len(upper) != 1 or _GEORGIAN[0] <= first <= _GEORGIAN[-1] else upper + title[1:]
