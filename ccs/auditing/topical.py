"""Passages of a question's topic that do not answer it, out of what was recorded: what a cheat would find."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory
from ccs.evaluation.answers import cover_match
from fresco.stats.words import words

_NO_ENTITY = {"yes", "no"}  # answers that stand in any passage


class Recorded:
    """The distinct passages of all trajectories, by their words and titles."""

    def __init__(self, trajectories: Sequence[Trajectory]) -> None:
        found = (hit for each in trajectories for turn in each.searches for hit in turn.hits)
        self.hits = list({hit.contents: hit for hit in found}.values())
        self._holding: dict[str, list[int]] = {}
        self._titled: dict[str, list[Hit]] = {}
        for place, hit in enumerate(self.hits):
            self._titled.setdefault(title(hit), []).append(hit)
            for word in set(words(hit.contents)):
                self._holding.setdefault(word, []).append(place)

    def topical(self, question: Question, most: int) -> list[Hit]:
        """The passages with most of the question's words, rare ones counting more, that do not answer it."""
        weights: dict[int, float] = {}
        for word in set(words(question.text)):
            places = self._holding.get(word, [])
            for place in places:
                weights[place] = weights.get(place, 0.0) + math.log(1 + len(self.hits) / len(places))
        ranked = sorted(weights, key=lambda place: (-weights[place], place))
        chosen: list[Hit] = []
        for place in ranked:
            if len(chosen) == most:
                break
            if not answers(self.hits[place], question):
                chosen.append(self.hits[place])
        return chosen

    def neighbour(self, hit: Hit, question: Question) -> Hit:
        """Another part of the same page that does not answer; the passage itself where none was recorded."""
        others = (each for each in self._titled.get(title(hit), ()) if each.contents != hit.contents)
        return next((each for each in others if not answers(each, question)), hit)


def answers(hit: Hit, question: Question) -> bool:
    """Whether a passage is gold or holds an accepted answer."""
    accepted = [answer for answer in question.answers if answer.lower() not in _NO_ENTITY]
    return hit.id in question.gold or title(hit) in question.gold or bool(cover_match(hit.contents, accepted))


def title(hit: Hit) -> str:
    """The quoted first line of a passage, or its id."""
    first, line_break, _ = hit.contents.partition("\n")
    return first[1:-1] if line_break and len(first) > 2 and first[0] == first[-1] == '"' else hit.id


def by_question(
    trajectories: Sequence[Trajectory], questions: Mapping[str, Question], most: int
) -> dict[str, list[Hit]]:
    """:meth:`Recorded.topical` for the question of each trajectory, by its id."""
    recorded = Recorded(trajectories)
    return {name: recorded.topical(questions[name], most) for name in {each.question_id for each in trajectories}}
