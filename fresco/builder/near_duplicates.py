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
