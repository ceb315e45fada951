"""One set of spans out of the overlapping ones of several maskers."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from ccs.rewards.mask.base import Masker, Span
from ccs.rewards.mask.text import WORD

#: Types that take no neighbour in: "2019" beside a name stays a date.
_APART = frozenset({"DATE", "NUMBER", "QUOTE"})


def merge(text: str, spans: Iterable[Span]) -> list[Span]:
    """Disjoint spans in order that cover all that the given ones cover.

    Each span is widened to the borders of the words it touches. What overlaps becomes one span; so does what only
    blanks part, where the two have the same type or one of them is ``MISC``: two maskers that found one half of a name
    each have found one name. The type is that of the longest part with a type of its own; of equally long ones, of the
    one given first.
    """
    words = [match.span() for match in WORD.finditer(text)]
    widened = sorted(
        _widen(text, words, spans), key=lambda span: (span.start, -span.end)
    )  # stable: the first given wins
    groups: list[list[Span]] = []
    for span in widened:
        end = max((part.end for part in groups[-1]), default=-1) if groups else -1
        if span.start < end or (groups and _one_name(text[end : span.start], _type(groups[-1]), span.tag)):
            groups[-1].append(span)
        else:
            groups.append([span])
    return [Span(parts[0].start, max(part.end for part in parts), _type(parts)) for parts in groups]


def _widen(text: str, words: Sequence[tuple[int, int]], spans: Iterable[Span]) -> list[Span]:
    inside: dict[int, tuple[int, int]] = {at: word for word in words for at in range(*word)}
    widened = []
    for span in spans:
        start, end = max(span.start, 0), min(span.end, len(text))
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if start < end:
            first, last = inside.get(start), inside.get(end - 1)
            start, end = first[0] if first else start, last[1] if last else end
            while end < len(text) and unicodedata.category(text[end]).startswith("M"):  # vowel signs, accents
                end += 1
            widened.append(Span(start, end, span.tag))
    return widened


def _one_name(between: str, left: str, right: str) -> bool:
    if between.strip() or {left, right} & _APART:
        return False
    return left == right or "MISC" in {left, right}


def _type(parts: Sequence[Span]) -> str:
    typed = [part for part in parts if part.tag != "MISC"]
    return max(typed, key=lambda part: part.end - part.start).tag if typed else "MISC"


class Joined:
    """Several maskers as one: the merged spans of all. Where their types differ and their spans do not, the first's."""

    def __init__(self, maskers: Sequence[Masker], name: str | None = None) -> None:
        self._maskers = tuple(maskers)
        self.name = name or "+".join(masker.name for masker in maskers)
        self.fingerprint = "+".join(masker.fingerprint for masker in maskers)

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """See :class:`ccs.rewards.mask.base.Masker`; merged, in order."""
        found = [masker.spans(texts) for masker in self._maskers]
        return [merge(text, [span for each in found for span in each[number]]) for number, text in enumerate(texts)]
