"""What a text looks like apart from its truth: length, words shared with the query, density of entities.

Words are runs of letters and digits, which suits languages that put spaces between words. The entity density is a
proxy, not a named-entity recognizer: the share of words that bear a digit, or start with a capital letter where no
sentence starts.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final

from fresco.records import Passage, Query

_WORD: Final = re.compile(r"[^\W_]+")
_SENTENCE_END: Final = re.compile(r"[.!?:][\"')\]]*\s|\n")
_FUNCTION_WORDS: Final = (
    *("a", "an", "and", "are", "as", "at", "be", "been", "being", "by", "did", "do", "does", "for", "from", "had"),
    *("has", "have", "how", "in", "into", "is", "it", "its", "of", "on", "or", "that", "the", "their", "there"),
    *("these", "this", "those", "to", "was", "were", "what", "when", "where", "which", "who", "whom", "whose"),
    *("why", "will", "with"),
)
_MONTHS: Final = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_NOT_CONTENT: Final = frozenset((*_FUNCTION_WORDS, *_MONTHS))


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """Features of one passage.

    Attributes:
        log_length: Natural logarithm of the number of words of title, heading and body; 0 for no words.
        words: Those words, lower case.
        entity_density: Share of the body's words that look like names or numbers.
    """

    log_length: float
    words: frozenset[str]
    entity_density: float

    @classmethod
    def of(cls, passage: Passage) -> TextFeatures:
        """Measure a passage; the timestamp line is not part of it."""
        words = _WORD.findall(passage.content.lower())
        return cls(math.log(max(len(words), 1)), frozenset(words), _entity_density(passage.body))

    def overlap(self, query_words: frozenset[str]) -> float:
        """Share of the query's content words that occur in the passage; 0 for a query without any."""
        return len(query_words & self.words) / len(query_words) if query_words else 0.0


def content_words(query: Query) -> frozenset[str]:
    """The words of a question that are neither function words nor dates (numbers, names of months), lower case."""
    words = _WORD.findall(query.content.lower())
    return frozenset(word for word in words if not word.isdigit() and word not in _NOT_CONTENT)


def _entity_density(body: str) -> float:
    total = entities = 0
    for sentence in _SENTENCE_END.split(body):
        words = _WORD.findall(sentence)
        total += len(words)
        # A word that is not all letters bears a digit.
        entities += sum(not word.isalpha() or word[0].isupper() for word in words)
        if words and words[0].isalpha() and words[0][0].isupper():
            entities -= 1
    return entities / total if total else 0.0
