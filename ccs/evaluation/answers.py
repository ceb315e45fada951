"""An answer against the accepted ones: exact match, token F1, cover match, with SQuAD's normalization.

Each takes the best over the accepted answers, and is 0 where no answer was given.
Source: Rajpurkar et al. 2016, arXiv 1606.05250 and its evaluation script v1.1.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence


def exact_match(answer: str | None, accepted: Sequence[str]) -> float:
    """1 where the normalized answer equals a normalized accepted one."""
    return _best(lambda said, gold: said == gold, answer, accepted)


def token_f1(answer: str | None, accepted: Sequence[str]) -> float:
    """Harmonic mean of precision and recall over the words of both."""
    return _best(_f1, answer, accepted)


def cover_match(answer: str | None, accepted: Sequence[str]) -> float:
    """1 where an accepted answer's words stand in the answer, side by side.

    Whole words, as in DPR's answer check (Karpukhin et al. 2020): "7" is not covered by "1987". An accepted answer
    without words after normalization ("The") is covered by nothing.
    """
    return _best(_covers, answer, accepted)


def _best(score: Callable[[list[str], list[str]], float], answer: str | None, accepted: Sequence[str]) -> float:
    if answer is None:
        return 0.0
    said = squad_words(answer)
    return max((float(score(said, squad_words(gold))) for gold in accepted), default=0.0)


def _f1(said: list[str], gold: list[str]) -> float:
    if not said or not gold:
        return float(said == gold)
    common = (Counter(said) & Counter(gold)).total()
    return 2 * common / (len(said) + len(gold)) if common else 0.0


def _covers(said: list[str], gold: list[str]) -> bool:
    width = len(gold)
    return width > 0 and any(said[start : start + width] == gold for start in range(len(said) - width + 1))


_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def squad_words(text: str) -> list[str]:
    """Words as SQuAD's evaluation counts them: lower case, no ASCII punctuation, no articles.

    Source: Rajpurkar et al. 2016, evaluate-v1.1.py.
    """
    return _ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()
