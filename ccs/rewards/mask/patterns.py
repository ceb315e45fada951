"""``patterns``: what shows in the writing alone: numbers, dates, quoted spans, capitals.

No model and no list of names, so it is blind to names that are written in lower case; ``words`` is for those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ccs.rewards.mask.base import Span
from ccs.rewards.mask.text import FUNCTION_WORDS, WORD, runs
from ccs.rewards.mask.words import CommonWords

_VERSION = 1  # raised when the rules change, so that what was cached under the old ones is not used

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)days?"
_YEAR = r"(?:1\d|20)\d\d"
_NTH = r"\d{1,2}(?:st|nd|rd|th)?"
_ERA = r"(?:\s?(?:b\.?c\.?(?:e\.?)?|a\.?d\.?|c\.?e\.?)(?!\w))"
_DATES = re.compile(
    rf"\b(?:"
    rf"{_NTH}(?:\s+of)?\s+{_MONTH}(?:,?\s+{_YEAR})?\b"
    rf"|{_MONTH}\s+{_NTH}(?:\s*,?\s+{_YEAR})?\b"
    rf"|{_MONTH}(?:\s+of)?,?\s+{_YEAR}\b"
    rf"|\d{{4}}-\d\d(?:-\d\d)?\b|\d{{1,2}}[./-]\d{{1,2}}[./-]\d{{2,4}}\b"
    rf"|{_YEAR}\s?[-\u2013/]\s?(?:{_YEAR}|\d\d)\b"
    rf"|(?:1\d|20)\d0s\b|{_YEAR}{_ERA}?\b|\d{{1,4}}{_ERA}"
    rf"|(?:\d{{1,2}}(?:st|nd|rd|th)|[a-z]+(?:teenth|first|second|third|[nfxr]th))[\s-]+(?:century|centuries)\b"
    rf"|{_DAY}\b|(?!may\b|mar\b|dec\b|jan\b|sep\b){_MONTH}(?!\w)"
    rf")",
    re.IGNORECASE,
)
# "May" and "March" are words too: with a capital inside of a sentence they are months, whatever else they may be.
_UNITS = "one|two|three|four|five|six|seven|eight|nine"
_TENS = "twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety"
_TEENS = "ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|nineteen"
_SCALE = "hundred|thousand|million|billion|trillion|dozen"
# "one" alone is mostly a pronoun.
_SPELLED = (
    rf"(?:(?:{_TENS})(?:[\s-](?:{_UNITS}))?|{_TEENS}|(?!one\b)(?:{_UNITS})|(?:one|a)\s+(?={_SCALE}))"
    rf"(?:\s+(?:and\s+)?(?:{_SCALE}|{_UNITS}))*"
)
_NUMBERS = re.compile(
    rf"(?<!\w)(?:[$£€¥]\s?)?[+-]?\d+(?:[.,:/]\d+)*(?:st|nd|rd|th|s|k|m|bn)?(?:\s?%|\b)(?:\s+(?:{_SCALE}|percent)\b)?"
    rf"|\b{_SPELLED}\b|\b(?:{_SCALE})s?\b",
    re.IGNORECASE,
)
# A quote opens after a blank or bracket and closes before no letter, so that apostrophes are none.
_QUOTES = re.compile(
    r'(?<!\w)(?:"[^"]{1,200}"|“[^“”]{1,200}”|„[^„“”]{1,200}[“”]|«[^«»]{1,200}»'
    r"|``.{1,200}?''|\u2018[^\u2018\u2019]{2,200}\u2019|'(?!s\b)[^']{2,200}')(?!\w)"
)
_ACRONYM = re.compile(r"\b(?:[A-Z]\.){2,}|\b[^\W\d_]\.(?=\s+[A-Z])")
# Stand inside of a run of capitals: "University of Michigan", "Ludwig van Beethoven". Not "and": it joins two names.
_INSIDE = re.compile(
    r"\s+(?:(?:of|the|de|da|do|dos|das|del|della|der|den|di|du|la|le|les|van|von|und|zu|al|el|bin|ibn|&)\s+){0,2}"
)
_BREAK = re.compile(r"(?:^|[.!?:;]\s+|[\"\u201c\u2018(]\s*)$")


class Patterns:
    """Numbers, dates, quoted spans, and words with a capital.

    A capital says nothing at the start of a sentence, nor in a text that is all capitals or Title Case; there, a word
    counts where the common words lack it.
    """

    def __init__(self, common: CommonWords) -> None:
        self._common = common
        self.name = "patterns"
        self.fingerprint = f"patterns-{_VERSION}-{common.fingerprint}"

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """See :class:`ccs.rewards.mask.base.Masker`."""
        return [[*self._written(text), *self._capitals(text)] for text in texts]

    def _written(self, text: str) -> Iterator[Span]:
        for tag, pattern in (("DATE", _DATES), ("NUMBER", _NUMBERS), ("QUOTE", _QUOTES)):
            for match in pattern.finditer(text):
                yield Span(*match.span(), tag)
        for match in _ACRONYM.finditer(text):
            yield Span(*match.span(), "MISC")

    def _capitals(self, text: str) -> Iterator[Span]:
        words = list(WORD.finditer(text))
        flat = _is_flat([word.group() for word in words])
        names = (word for word in words if self._is_name(text, word, flat=flat))
        for start, end in runs(text, names, _INSIDE):
            yield Span(start, end, "MISC")

    def _is_name(self, text: str, word: re.Match[str], *, flat: bool) -> bool:
        if not any(character.isupper() for character in word.group()):
            return False
        if flat or _BREAK.search(text, max(0, word.start() - 3), word.start()):
            return word.group() not in self._common
        return word.group() != "I"


def _is_flat(words: Sequence[str]) -> bool:
    """Whether capitals tell nothing apart: ALL OF THEM, or A Headline With Its Function Words."""
    if len(words) < 4 or not all(word[0].isupper() or not word[0].isalpha() for word in words):
        return False
    return all(word.isupper() for word in words) or any(word.casefold() in FUNCTION_WORDS for word in words[1:])
