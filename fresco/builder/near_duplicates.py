"""Near-duplicates by word shingles: two texts that share nearly all runs of five words.

Sets of shingles are compared as they are. MinHash would only pay for all pairs of a large corpus; here each positive
meets the few hundred candidates of its own pool.
"""

from __future__ import annotations

import re

_WIDTH = 5

#: Jaccard similarity from which two texts count as the same text.
NEAR = 0.8


def shingles(text: str) -> frozenset[str]:
    """The runs of five words of a text (of all its words where it has fewer)."""
    words = re.findall(r"\w+", text.casefold())
    return frozenset(" ".join(words[at : at + _WIDTH]) for at in range(max(1, len(words) - _WIDTH + 1)))


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard similarity of two sets of shingles, 0 to 1."""
    union = len(one | other)
    return len(one & other) / union if union else 1.0


def near_duplicates(one: frozenset[str], other: frozenset[str]) -> bool:
    """Whether two texts are the same but for a few words."""
    # Sets of very different size cannot be similar; most comparisons end here.
    small, large = sorted((len(one), len(other)))
    return small >= NEAR * large and similarity(one, other) >= NEAR


class TwinIndex:
    """Texts among which near-duplicates are looked up, without comparing each with each.

    Two sets with a Jaccard similarity of at least :data:`NEAR` share one of the first ``(1 - NEAR) * n + 1`` members of
    the smaller one in any fixed order (prefix filter), so only those that do are compared: nothing is missed.
    """

    def __init__(self) -> None:
        self._sets: list[frozenset[str]] = []
        self._by_shingle: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return len(self._sets)

    def twins(self, own: frozenset[str]) -> list[int]:
        """Numbers of the texts that are near-duplicates of one, in the order in which they were added."""
        met = {number for shingle in _prefix(own) for number in self._by_shingle.get(shingle, ())}
        return [number for number in sorted(met) if near_duplicates(own, self._sets[number])]

    def add(self, own: frozenset[str]) -> int:
        """Add a text; gives its number."""
        number = len(self._sets)
        self._sets.append(own)
        for shingle in _prefix(own):
            self._by_shingle.setdefault(shingle, []).append(number)
        return number


def _prefix(own: frozenset[str]) -> list[str]:
    return sorted(own)[: int((1 - NEAR) * len(own) + 1e-9) + 1]
