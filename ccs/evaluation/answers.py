"""An answer against the accepted ones: exact match, token F1, cover match, with SQuAD's normalization.

Each takes the best over the accepted answers, and is 0 where no answer was given. Two sets' own scripts differ, and are
followed where a question comes from them: TriviaQA puts a blank in the place of punctuation (Joshi et al. 2017,
triviaqa_evaluation.py), and HotpotQA, as 2WikiMultihopQA after it, gives no F1 for words beside a "yes" or "no" (Yang
et al. 2018, hotpot_evaluate_v1.py).
Source of the rest: Rajpurkar et al. 2016, arXiv 1606.05250 and its evaluation script v1.1.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence


def exact_match(answer: str | None, accepted: Sequence[str], dataset: str = "") -> float:
    """1 where the normalized answer equals a normalized accepted one."""
    return _best(lambda said, gold: said == gold, answer, accepted, dataset)


def token_f1(answer: str | None, accepted: Sequence[str], dataset: str = "") -> float:
    """Harmonic mean of precision and recall over the words of both."""
    return _best(_closed_f1 if _base(dataset) in _CLOSED_SETS else _f1, answer, accepted, dataset)


def cover_match(answer: str | None, accepted: Sequence[str], dataset: str = "") -> float:
    """1 where an accepted answer's words stand in the answer, side by side.

    Whole words, as in DPR's answer check (Karpukhin et al. 2020): "7" is not covered by "1987". An accepted answer
    without words after normalization ("The") is covered by nothing.
    """
    return _best(_covers, answer, accepted, dataset)


def _best(
    score: Callable[[list[str], list[str]], float], answer: str | None, accepted: Sequence[str], dataset: str
) -> float:
    if answer is None:
        return 0.0
    words = trivia_words if _base(dataset) in _TRIVIA_SETS else squad_words
    said = words(answer)
    return max((float(score(said, words(gold))) for gold in accepted), default=0.0)


def _base(dataset: str) -> str:
    """The set's name without its split: ``hotpotqa`` for ``hotpotqa@train``, ``HotpotQA-dev`` or ``hotpotqa_test``."""
    return re.split(r"[@\-_./]", dataset.lower(), maxsplit=1)[0]


def _closed_f1(said: list[str], gold: list[str]) -> float:
    if said != gold and (_closed(said) or _closed(gold)):
        return 0.0
    return _f1(said, gold)


def _closed(words: list[str]) -> bool:
    return len(words) == 1 and words[0] in _CLOSED_ANSWERS


def _f1(said: list[str], gold: list[str]) -> float:
    if not said or not gold:
        return float(said == gold)
    common = (Counter(said) & Counter(gold)).total()
    return 2 * common / (len(said) + len(gold)) if common else 0.0


def _covers(said: list[str], gold: list[str]) -> bool:
    width = len(gold)
    return width > 0 and any(said[start : start + width] == gold for start in range(len(said) - width + 1))


_TRIVIA_SETS = {"triviaqa", "trivia"}
_CLOSED_SETS = {"hotpotqa", "hotpot", "2wikimultihopqa", "2wiki"}
_CLOSED_ANSWERS = {"yes", "no", "noanswer"}
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


def squad_words(text: str) -> list[str]:
    """Words as SQuAD's evaluation counts them: lower case, no ASCII punctuation, no articles.

    Source: Rajpurkar et al. 2016, evaluate-v1.1.py.
    """
    return _ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()


_TRIVIA_PUNCTUATION = str.maketrans(dict.fromkeys(f"{string.punctuation}\u2018\u2019\u00b4", " "))


def trivia_words(text: str) -> list[str]:
    """Words as TriviaQA's evaluation counts them: a blank in the place of punctuation, quotation marks included.

    Source: Joshi et al. 2017, triviaqa_evaluation.py.
    """
    return _ARTICLES.sub(" ", text.lower().translate(_TRIVIA_PUNCTUATION)).split()
