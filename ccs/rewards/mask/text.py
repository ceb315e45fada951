"""What a query's text is made of: words, and the characters that would let a query pass a mask unseen.

Under a reward, the agent that writes the queries is an adversary: a zero-width space inside of a name, or letters of
another width, must not hide the name from a masker that a reader (the reconstructor) would still recognize.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

#: A word: letters and digits, with ``' . & -`` between them; a possessive's 's stands apart, for it may stay unmasked.
WORD = re.compile(r"[^\W_]+(?:(?!['\u2019]s\b)['\u2019.&-]?[^\W_]+)*")
#: The parts of a word that are words of their own, as "Franco-Prussian" has two; no digits.
LETTERS = re.compile(r"[^\W\d_]+")

_FUNCTION_WORDS = """
a about after all also am an and any are as at be because been before between both but by can could did do does during
each for from had has have he her him his how i if in into is it its many may me more most much my no not of on one only
or other our she should so some such than that the their them then there these they this those to up was we were what
when where which while who whom whose why will with would you your s
"""
#: Words that hold a question together and name nothing.
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())

#: Characters of a query that are kept; no retriever reads more, and a tokenizer's time can grow with the square.
LONGEST = 2000

_REPEATED = re.compile(r"([^\w\s])\1{3,}")
_BRACKETS = str.maketrans("[]", "()")
_INVISIBLE = {"Cf", "Cc", "Cs", "Co", "Cn"}


def clean(query: str) -> str:
    """A query as it is masked: one line of NFKC without invisible characters or square brackets, shortened.

    Square brackets are ours: with round ones in their place nothing that the agent writes reads as a tag of ours. What
    is beyond :data:`LONGEST` is cut, and a sign is repeated three times at most.
    """
    visible = "".join(
        character if unicodedata.category(character) not in _INVISIBLE else " " if character.isspace() else ""
        for character in unicodedata.normalize("NFKC", query[: 4 * LONGEST])
    )
    line = " ".join(visible.translate(_BRACKETS).split())
    return _REPEATED.sub(r"\1\1\1", line)[:LONGEST].rstrip()


def entity_key(surface: str) -> str:
    """What two mentions of one entity have in common: their words, case folded."""
    return " ".join(word.casefold() for word in WORD.findall(surface)) or surface.casefold().strip()


def runs(text: str, words: Iterable[re.Match[str]], between: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    """Start and end of each run of words with nothing but ``between`` between them."""
    start = end = -1
    for word in words:
        if start < 0 or not between.fullmatch(text, end, word.start()):
            if start >= 0:
                yield start, end
            start = word.start()
        end = word.end()
    if start >= 0:
        yield start, end
