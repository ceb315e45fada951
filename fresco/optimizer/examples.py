"""What an LLM is shown of a re-ranker's work on the training split: its errors, and where two instructions differ.

All that comes from a benchmark stands in quotes, escaped so that it can neither end its quotes nor form a fence, a list
or a control token of a chat template.
"""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from fresco.metrics.measures.average_precision import AveragePrecision
from fresco.metrics.ties import Tiers
from fresco.records import Label, Passage, Pool, Query, Task, format_timestamp

_T = TypeVar("_T")
_FORGING = frozenset("<[`")  # open tags, lists and fences
_LONGEST_BODY = 400  # characters of a passage's body that are shown

#: What a label means to somebody who reads the examples.
MEANING = {
    Label.POSITIVE: "right: it states the answer that is valid when the query is asked",
    Label.OUTDATED: "wrong: it states an answer that was valid earlier",
    Label.INSUFFICIENT: "wrong: it is about the same subject and does not state the answer",
    Label.NEAR_TOPIC: "wrong: it is about another subject",
}


@dataclass(frozen=True)
class RankingError:
    """A negative at or above the positive.

    Attributes:
        pool: Where.
        positive: The best-scored positive.
        negative: The best-scored negative.
        label: The negative's.
        loss: 1 less the average precision of the pool.
    """

    pool: Pool
    positive: Passage
    negative: Passage
    label: Label
    loss: float

    def shown(self) -> str:
        """The error as lines of a prompt."""
        low, above = f"ranked too low ({MEANING[Label.POSITIVE]})", f"ranked above it ({MEANING[self.label]})"
        return _pair_shown(self.pool.query, (low, self.positive), (above, self.negative))


def average_precision(pool: Pool, scores: npt.NDArray[np.float64]) -> float:
    """The pool's average precision, expected over the orders of the tied."""
    return AveragePrecision().value(Tiers.of(pool, scores))


def minibatch(training: Sequence[Pool], size: int, rng: random.Random) -> list[Pool]:
    """Draw pools without replacement, EK and NEK in turn as long as there are both."""
    return _shuffled(training, lambda pool: pool.query.task, rng)[:size]


@dataclass(frozen=True)
class Success:
    """A positive above every negative.

    Attributes:
        pool: Where.
        positive: The best-scored positive.
        negative: The best-scored negative.
        label: The negative's.
    """

    pool: Pool
    positive: Passage
    negative: Passage
    label: Label

    def shown(self) -> str:
        """The success as lines of a prompt."""
        below = f"rightly below it ({MEANING[self.label]})"
        return _pair_shown(self.pool.query, ("rightly on top", self.positive), (below, self.negative))


def successes(
    pools: Sequence[Pool], scores: Sequence[npt.NDArray[np.float64]], most: int, rng: random.Random
) -> list[Success]:
    """Pools that are ranked right, drawn by chance, EK and NEK in turn as long as there are both."""
    found = []
    for pool, own in zip(pools, scores, strict=True):
        positive, negative = _best_of_each(pool, own)
        if negative is not None and own[negative] < own[positive]:
            found.append(Success(pool, pool.passages[positive], pool.passages[negative], pool.labels[negative]))
    return _shuffled(found, lambda success: success.pool.query.task, rng)[:most]


def ranking_errors(
    pools: Sequence[Pool],
    scores: Sequence[npt.NDArray[np.float64]],
    most: int,
    rng: random.Random | None = None,
) -> list[RankingError]:
    """Errors, EK and NEK in turn as long as there are both: the worst, or drawn from all where ``rng`` is given."""
    found = [error for pool, own in zip(pools, scores, strict=True) if (error := _error(pool, own))]
    if rng is not None:
        return _shuffled(found, lambda error: error.pool.query.task, rng)[:most]
    return _balanced(found, lambda error: (-error.loss, error.pool.query.id), lambda error: error.pool.query.task)[
        :most
    ]


def won_by_first(
    pools: Sequence[Pool],
    first: Sequence[npt.NDArray[np.float64]],
    second: Sequence[npt.NDArray[np.float64]],
    most: int,
) -> list[RankingError]:
    """Errors of the second scoring on pools that the first one ranks better, the widest gaps first."""
    gaps: list[tuple[float, RankingError]] = []
    for pool, ours, theirs in zip(pools, first, second, strict=True):
        gap = average_precision(pool, ours) - average_precision(pool, theirs)
        error = _error(pool, theirs)
        if gap > 0 and error:
            gaps.append((gap, error))
    ordered = _balanced(gaps, lambda each: (-each[0], each[1].pool.query.id), lambda each: each[1].pool.query.task)
    return [error for _, error in ordered[:most]]


def lost_by_both(
    pools: Sequence[Pool],
    first: Sequence[npt.NDArray[np.float64]],
    second: Sequence[npt.NDArray[np.float64]],
    most: int,
    rng: random.Random,
) -> list[RankingError]:
    """Errors of the first scoring on pools on which the second errs as well, drawn by chance."""
    found = [
        error
        for pool, ours, theirs in zip(pools, first, second, strict=True)
        if (error := _error(pool, ours)) and _error(pool, theirs)
    ]
    return _shuffled(found, lambda error: error.pool.query.task, rng)[:most]


def show_query(query: Query) -> str:
    """A query with its date, where it has one to show."""
    asked = f", asked {format_timestamp(query.timestamp)}" if query.dated else ""
    return f"query {quoted(query.content)}{asked}"


def show_passage(passage: Passage, query: Query, longest: int = _LONGEST_BODY) -> str:
    """A passage with its date, cut to what matters: the surroundings of the answer, else the beginning."""
    heading = " / ".join(part for part in (passage.title, passage.section) if part)
    dated = f", dated {format_timestamp(passage.timestamp)}" if passage.dated else ""
    named = f" from {quoted(_cut(heading, '', 100))}" if heading else ""
    return f"{quoted(_cut(passage.body, query.answer, longest))}{named}{dated}"


def quoted(text: str) -> str:
    """Text from outside as a JSON string that is printable and forges nothing."""
    return "".join(_escaped(character) for character in json.dumps(text, ensure_ascii=False))


def _escaped(character: str) -> str:
    # A chat template's tokenizer may normalize: full-width brackets count as their plain look-alikes.
    if character.isprintable() and not _FORGING.intersection(unicodedata.normalize("NFKC", character)):
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _pair_shown(query: Query, *said: tuple[str, Passage]) -> str:
    """A query, and what is said of its passages, a line each."""
    return "\n".join([show_query(query), *(f"  {words}: {show_passage(passage, query)}" for words, passage in said)])


def _cut(text: str, around: str, longest: int) -> str:
    text = " ".join(text.split())
    if len(text) <= longest:
        return text
    at = text.find(around) if around else -1
    start = max(0, min(at - longest // 2, len(text) - longest)) if at >= 0 else 0
    return f"{'…' if start else ''}{text[start : start + longest]}{'…' if start + longest < len(text) else ''}"


def _best_of_each(pool: Pool, scores: npt.NDArray[np.float64]) -> tuple[int, int | None]:
    """Places of the best-scored positive and of the best-scored negative."""
    order = np.argsort(-scores, kind="stable").tolist()
    positive = next(index for index in order if pool.labels[index] is Label.POSITIVE)
    return positive, next((index for index in order if pool.labels[index] is not Label.POSITIVE), None)


def _error(pool: Pool, scores: npt.NDArray[np.float64]) -> RankingError | None:
    positive, negative = _best_of_each(pool, scores)
    if negative is None or scores[negative] < scores[positive]:
        return None
    loss = 1 - average_precision(pool, scores)
    return RankingError(pool, pool.passages[positive], pool.passages[negative], pool.labels[negative], loss)


def _shuffled(found: Sequence[_T], task: Callable[[_T], Task], rng: random.Random) -> list[_T]:
    sides = [[each for each in found if task(each) is side] for side in Task]
    return _in_turn([rng.sample(side, len(side)) for side in sides])


def _balanced(found: Sequence[_T], key: Callable[[_T], tuple[float, str]], task: Callable[[_T], Task]) -> list[_T]:
    return _in_turn([sorted((each for each in found if task(each) is side), key=key) for side in Task])


def _in_turn(sides: Sequence[Sequence[_T]]) -> list[_T]:
    return [each for row in zip_longest(*sides) for each in row if each is not None]
