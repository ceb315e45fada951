"""A stand-in for a re-ranker that obeys instructions: word overlap plus recency, weighted by words of the instruction.

No model: what each word does is written here, so that tests know which instruction is better on which side. "latest" or
"newest" add recency (better on EK), "ignore" or "relevance" take it back; "answer" counts the overlap more.
"""

from __future__ import annotations

import os
import re
import time
from functools import cache

_WORD = re.compile(r"\w+")


@cache
def _words(text):
    return frozenset(_WORD.findall(text.casefold()))


class Obedient:
    name = "obedient"
    takes_instruction = True
    pointwise = True
    pools_per_call = 4
    fingerprint = "obedient:1"

    def describe(self):
        return {"default_instruction": "Find relevant passages."}

    def score(self, query, passages, instruction=None):
        if seconds := os.environ.get("OBEDIENT_SECONDS"):
            time.sleep(float(seconds))
        said = _words(instruction or "")
        recency = 0.25 * len(said & {"latest", "newest", "recent", "current", "date", "timestamp"})
        recency -= 0.2 * len(said & {"ignore", "relevance", "unchanging", "first"})
        overlap = 1.0 + 0.5 * len(said & {"answer", "answers", "state", "states", "fact"})
        asked = _words(query.text)
        return [
            overlap * len(asked & _words(passage.text)) / (1 + len(asked))
            - max(recency, 0) * (query.timestamp - passage.timestamp).days / 365 / 5
            for passage in passages
        ]

    def score_pools(self, pools, instruction=None):
        return [self.score(query, passages, instruction) for query, passages in pools]


class Deaf(Obedient):
    """Says that it takes an instruction and reads none."""

    name = "deaf"
    fingerprint = "deaf:1"

    def score(self, query, passages, instruction=None):
        return super().score(query, passages, None)
