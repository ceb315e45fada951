"""Conformance kits for parts of your own: rewards, maskers, retrievers.

    from ccs.testing import check_reward
    check_reward(MyReward())

Each raises :class:`ConformanceError` with the first thing that is wrong. They ask what the commands ask of a plug-in
(:mod:`ccs.foreign`, the registries), and besides whether the part keeps its promises: the same twice, nothing changed.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory, Turn
from ccs.foreign import read_hits, read_scores, read_spans
from ccs.retrieve.base import Retriever
from ccs.retrieve.registry import RETRIEVERS
from ccs.rewards.base import Reward
from ccs.rewards.mask.base import Masker
from ccs.rewards.mask.registry import MASKERS
from ccs.rewards.registry import REWARDS
from fresco.errors import FrescoError
from fresco.io.registry import Registry

__all__ = ["ConformanceError", "check_masker", "check_retriever", "check_reward", "sample_batch"]

#: What maskers and retrievers must survive: empty, plain, lower case, other scripts, tags, control characters, long.
TEXTS = (
    "",
    " ",
    "Who directed Hollow Lantern in 1987?",
    "who was ada quillfeather",
    "المدرب الحالي",
    "现任主教练",
    "e\u0301cole \U0001f3df\ufe0f zero\u200bwidth",
    "</search><|im_end|> [PERSON] \x00\x1b",
    "word " * 2000,
)


class ConformanceError(AssertionError):
    """What a part does that its protocol does not allow."""


def sample_batch() -> tuple[list[Trajectory], dict[str, Question]]:
    """Two groups of trajectories (found, found nothing, no search, no answer, malformed, an error), and questions."""
    page = Hit("p1", '"Hollow Lantern"\nHollow Lantern is a 1987 drama. Its director was Ada Quillfeather.', 1.5)
    search = Turn("<search>director of Hollow Lantern</search>", query="director of Hollow Lantern", hits=(page,))
    answer = Turn("<answer>Ada Quillfeather</answer>", answer="Ada Quillfeather")
    empty = Turn("<search>\u73b0\u4efb</search>", query="\u73b0\u4efb")
    fault = Turn("hm", fault="no action")
    ways = [((search, answer), "answer"), ((empty, answer), "answer"), ((answer,), "answer"), ((search,), "turns")]
    ways += [((fault, fault), "turns"), ((search,), "error"), ((), "error")]
    questions = [
        Question("q1", "Who directed Hollow Lantern?", ("Ada Quillfeather",), ("Hollow Lantern",), "toy"),
        Question("q2", "Which film did Ada Quillfeather direct?", ("Hollow Lantern",), ("p1",), "toy"),
    ]
    batch = [
        Trajectory(question.id, question.text, number, turns, stop, seed=number, error="gone" * (stop == "error"))
        for question in questions
        for number, (turns, stop) in enumerate(ways)
    ]
    return batch, {question.id: question for question in questions}


def check_reward(reward: Reward, *, tolerance: float = 1e-6) -> None:
    """Prove that a reward keeps the protocol of :class:`ccs.rewards.base.Reward`.

    Args:
        reward: Ready to score.
        tolerance: Largest difference between two scores of one trajectory that counts as the same.

    Raises:
        ConformanceError: the first thing found wrong.
    """
    _members(REWARDS, reward)
    batch, questions = sample_batch()
    before = copy.deepcopy((batch, questions))
    known = questions if reward.needs_gold else None
    first = _ask(lambda: read_scores(reward.score(batch, known), batch, reward.name))
    again = _ask(lambda: read_scores(reward.score(batch, known), batch, reward.name))
    _require((batch, questions) == before, "score changes what it is given")
    for one, other in zip(first, again, strict=True):
        same = one is other is None or (one is not None and other is not None and abs(one - other) <= tolerance)
        _require(same, f"score gives other values when called again: {one} and {other}")
    for trajectory, value in zip(batch, first, strict=True):
        _require(trajectory.stop != "error" or value is None, "a rollout that ended with an error is no result: None")
        _require(value is None or reward.signed or value >= 0, f"{value} is below 0, and signed says that cannot be")
    _require(_ask(lambda: read_scores(reward.score([], known), [], reward.name)) == [], "score of nothing is no list")
    if not reward.needs_gold:
        blind = [dataclasses.replace(each, model="another", seed=None) for each in batch]
        _ask(lambda: read_scores(reward.score(blind, questions), blind, reward.name))


def check_masker(masker: Masker) -> None:
    """Prove that a masker keeps the protocol of :class:`ccs.rewards.mask.base.Masker`.

    Raises:
        ConformanceError: the first thing found wrong.
    """
    _members(MASKERS, masker)
    found = _ask(lambda: read_spans(masker.spans(TEXTS), TEXTS, masker.name))
    again = _ask(lambda: read_spans(masker.spans(TEXTS), TEXTS, masker.name))
    _require(found == again, "spans gives others when called again")
    alone = [_ask(lambda text=text: read_spans(masker.spans([text]), [text], masker.name))[0] for text in TEXTS]  # type: ignore[misc]
    _require(found == alone, "the spans of a text depend on the texts beside it")
    _require(_ask(lambda: read_spans(masker.spans([]), [], masker.name)) == [], "spans of nothing is no list")


def check_retriever(retriever: Retriever, queries: Sequence[str] = TEXTS) -> None:
    """Prove that a retriever keeps the protocol of :class:`ccs.retrieve.base.Retriever`.

    Args:
        retriever: Ready to search.
        queries: What it is asked.

    Raises:
        ConformanceError: the first thing found wrong.
    """
    _members(RETRIEVERS, retriever)
    what = str(getattr(retriever, "name", "the retriever"))
    asked = list(queries)
    for k in (1, 3):
        found = _ask(lambda k=k: read_hits(retriever.search(asked, k), asked, k, what))  # type: ignore[misc]
        again = _ask(lambda k=k: read_hits(retriever.search(asked, k), asked, k, what))  # type: ignore[misc]
        _require(found == again, "search finds others when asked again")
        for hits in found:
            scores = [hit.score for hit in hits if hit.score is not None]
            _require(scores == sorted(scores, reverse=True), "the best passage is not the first")
            _require(len({hit.id for hit in hits}) == len(hits), "a passage is found twice by one search")
    _require(asked == list(queries), "search changes the list of queries")
    _require(_ask(lambda: read_hits(retriever.search([], 1), [], 1, what)) == [], "search of nothing is no list")


def _members(registry: Registry[Any], part: Any) -> None:
    """What the command asks of a part before it uses it."""
    _ask(lambda: registry.adopt(f"the {registry.kind}", lambda: part))


def _ask(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except FrescoError as error:
        raise ConformanceError(str(error)) from error
    except Exception as error:
        raise ConformanceError(f"it raises {type(error).__name__}: {' '.join(str(error).split())}") from error


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise ConformanceError(otherwise)
