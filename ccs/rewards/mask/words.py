"""``words``: words that ordinary English prose does not write in lower case.

Agents write queries in lower case, where capitals give no name away. What is left is that names are rare words: a word
that is unknown, or that a large text mostly writes with a capital, is masked. Names made of common words ("free guy")
pass; the learned recognizer and the question's own entities are there for those.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ccs.rewards.mask.base import Span
from ccs.rewards.mask.text import LETTERS, WORD, runs
from fresco.errors import FrescoError

_VERSION = 1
_PARTICLES = r"(?:(?:de|da|del|della|der|di|du|la|le|van|von|al|el|bin|ibn)\s+)"
_INSIDE = re.compile(rf"\s+{_PARTICLES}{{0,2}}")
_BEFORE = re.compile(rf"\b{_PARTICLES}{{1,2}}$", re.IGNORECASE)
_LONGEST_BEFORE = 16  # characters


class CommonWords:
    """Words that are no name by themselves, case folded.

    Attributes:
        fingerprint: Hash of the words.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self._words = frozenset(words)
        self.fingerprint = hashlib.sha256("\n".join(sorted(self._words)).encode()).hexdigest()[:16]

    @classmethod
    def read(cls, path: Path) -> CommonWords:
        """Words of a file, one a line.

        Raises:
            FrescoError: it cannot be read.
        """
        try:
            return cls(path.read_text(encoding="utf-8").split())
        except (OSError, UnicodeDecodeError) as error:
            raise FrescoError(f"{path}: the list of common words cannot be read ({error})") from error

    def __len__(self) -> int:
        return len(self._words)

    def __contains__(self, word: str) -> bool:
        """Whether all parts of a word, such as those of "well-known", are common."""
        return all(part in self._words for part in LETTERS.findall(word.casefold()))


class Words:
    """Every word that is not common; words with digits alone are left to ``patterns``."""

    def __init__(self, common: CommonWords) -> None:
        self._common = common
        self.name = "words"
        self.fingerprint = f"words-{_VERSION}-{common.fingerprint}"

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """See :class:`ccs.rewards.mask.base.Masker`."""
        return [list(self._runs(text)) for text in texts]

    def _runs(self, text: str) -> Iterator[Span]:
        rare = (word for word in WORD.finditer(text) if word.group() not in self._common)
        for start, end in runs(text, rare, _INSIDE):
            particles = _BEFORE.search(text, max(0, start - _LONGEST_BEFORE), start)
            yield Span(particles.start() if particles else start, end, "MISC")
