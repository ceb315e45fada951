"""The ways to cheat, played on recorded trajectories: what would a policy gain by each?

A variant changes what a policy (or an accident) could change, and leaves the rest of the record as it is. The reward of
a variant minus that of the original is the cheat's gain; trajectories that a variant leaves as they are do not count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory, Turn
from ccs.auditing.topical import Recorded, by_question
from ccs.evaluation.answers import cover_match

_FLOOD = 12  # passages
_TOP_K = 3
_EXTRA = 3  # searches that are added
_SEARCH = "<search></search>"
_NO_ENTITY = {"yes", "no"}  # answers that stand in any passage

Make = Callable[[Sequence[Trajectory], Mapping[str, Question]], list[Trajectory]]


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to cheat.

    Attributes:
        what: What is changed, for a reader.
        should: ``not gain``, or ``lose`` where a reward that sees evidence must fall.
        make: From all trajectories and the questions by id to as many variants.
    """

    what: str
    should: str
    make: Make


def _searches(change: Callable[[Trajectory, Turn], Turn]) -> Make:
    """A variant that changes each turn that searched."""

    def make(trajectories: Sequence[Trajectory], _questions: Mapping[str, Question]) -> list[Trajectory]:
        return [
            replace(each, turns=tuple(turn if turn.query is None else change(each, turn) for turn in each.turns))
            for each in trajectories
        ]

    return make


def _added(turns: Callable[[Trajectory], Sequence[Turn]]) -> Make:
    """A variant that searches more before it answers."""

    def make(trajectories: Sequence[Trajectory], _questions: Mapping[str, Question]) -> list[Trajectory]:
        made = []
        for each in trajectories:
            end = len(each.turns) - (each.answer is not None)
            made.append(replace(each, turns=(*each.turns[:end], *turns(each), *each.turns[end:])))
        return made

    return make


def others(trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    """For each trajectory one of another question: the same member of the group half way around the questions.

    With one question alone there is no other, and each is its own.
    """
    groups: dict[str, list[Trajectory]] = {}
    for each in trajectories:
        groups.setdefault(each.question_id, []).append(each)
    names = list(groups)
    partner = {name: names[(number + max(1, len(names) // 2)) % len(names)] for number, name in enumerate(names)}
    seen: dict[str, int] = {}
    found = []
    for each in trajectories:
        number = seen.get(each.question_id, 0)
        seen[each.question_id] = number + 1
        other = groups[partner[each.question_id]]
        found.append(other[number % len(other)])
    return found


def _exchanged(trajectories: Sequence[Trajectory], _questions: Mapping[str, Question]) -> list[Trajectory]:
    """Each search returns what the other question's searches returned, in turn."""
    made = []
    for each, other in zip(trajectories, others(trajectories), strict=True):
        foreign = [turn.hits for turn in other.searches] or [()]
        number = 0
        turns = []
        for turn in each.turns:
            if turn.query is not None:
                turn = replace(turn, hits=foreign[number % len(foreign)])  # noqa: PLW2901 - the turn, changed
                number += 1
            turns.append(turn)
        made.append(replace(each, turns=tuple(turns)))
    return made


def _without_answer(trajectories: Sequence[Trajectory], questions: Mapping[str, Question]) -> list[Trajectory]:
    made = []
    for each in trajectories:
        answers = [answer for answer in questions[each.question_id].answers if answer.lower() not in _NO_ENTITY]
        turns = (
            replace(turn, hits=tuple(hit for hit in turn.hits if not cover_match(hit.contents, answers)))
            for turn in each.turns
        )
        made.append(replace(each, turns=tuple(turns)))
    return made


def _padded(trajectories: Sequence[Trajectory], _questions: Mapping[str, Question]) -> list[Trajectory]:
    made = []
    for each, other in zip(trajectories, others(trajectories), strict=True):
        end = len(each.turns) - (each.answer is not None)
        made.append(replace(each, turns=(*each.turns[:end], *other.searches, *each.turns[end:])))
    return made


def _reversed(trajectories: Sequence[Trajectory], _questions: Mapping[str, Question]) -> list[Trajectory]:
    made = []
    for each in trajectories:
        backwards = iter(each.searches[::-1])
        made.append(replace(each, turns=tuple(turn if turn.query is None else next(backwards) for turn in each.turns)))
    return made


def _one_page(trajectory: Trajectory, turn: Turn) -> Turn:
    first = _first_page(trajectory)
    return replace(turn, hits=(first,) * len(turn.hits) if first else ())


def _first_page(trajectory: Trajectory) -> Hit | None:
    return next((hit for turn in trajectory.searches for hit in turn.hits), None)


def _again(trajectory: Trajectory) -> Sequence[Turn]:
    return trajectory.searches[-1:] * _EXTRA


def _fabricate(trajectory: Trajectory, turn: Turn) -> Turn:
    """The question in the model's thought, and in an information block that it wrote itself."""
    return replace(
        turn, text=f"<think>{trajectory.question}</think><information>{trajectory.question}</information>{turn.text}"
    )


def _restate(trajectories: Sequence[Trajectory], _questions: Mapping[str, Question]) -> list[Trajectory]:
    return [
        replace(each, turns=(*each.turns[:-1], replace(each.turns[-1], answer=each.question)))
        if each.answer is not None
        else each
        for each in trajectories
    ]


def _flood(trajectories: Sequence[Trajectory], questions: Mapping[str, Question]) -> list[Trajectory]:
    pages = by_question(trajectories, questions, _FLOOD)
    return [
        _with_searches(each, [(each.searches[-1].query or "", pages[each.question_id])]) if each.searches else each
        for each in trajectories
    ]


def _with_searches(trajectory: Trajectory, more: Sequence[tuple[str, Sequence[Hit]]]) -> Trajectory:
    end = len(trajectory.turns) - (trajectory.answer is not None)
    turns = [
        Turn(text=_SEARCH, query=query, hits=tuple(hits[at : at + _TOP_K]))
        for query, hits in more
        for at in range(0, len(hits), _TOP_K)
    ]
    return replace(trajectory, turns=(*trajectory.turns[:end], *turns, *trajectory.turns[end:]))


def _rag(trajectories: Sequence[Trajectory], questions: Mapping[str, Question]) -> list[Trajectory]:
    pages = by_question(trajectories, questions, _TOP_K)
    made = []
    for each in trajectories:
        rest = replace(each, turns=tuple(turn for turn in each.turns if turn.query is None))
        asked = [(each.question, pages[each.question_id])]
        made.append(_with_searches(rest, asked) if each.searches and pages[each.question_id] else each)
    return made


def _neighbours(trajectories: Sequence[Trajectory], questions: Mapping[str, Question]) -> list[Trajectory]:
    recorded = Recorded(trajectories)
    made = []
    for each in trajectories:
        question = questions[each.question_id]
        turns = (
            replace(turn, hits=tuple(recorded.neighbour(hit, question) for hit in turn.hits)) for turn in each.turns
        )
        made.append(replace(each, turns=tuple(turns)))
    return made


def _echo(_: Trajectory, turn: Turn) -> Turn:
    return replace(turn, hits=(*turn.hits, Hit("echo", turn.query or ""))) if (turn.query or "").strip() else turn


def _answer_pasted(trajectory: Trajectory, turn: Turn) -> Turn:
    return replace(turn, query=f"{turn.query} {trajectory.answer}") if trajectory.answer else turn


#: By name; see :attr:`Variant.should`.
VARIANTS: Mapping[str, Variant] = {
    "observations exchanged": Variant("observations of another question", "lose", _exchanged),
    "answer not found": Variant(
        "the passages that hold an accepted answer are not returned, so that the rest is on the topic only",
        "lose",
        _without_answer,
    ),
    "nothing found": Variant("no search returns a passage", "lose", _searches(lambda _, turn: replace(turn, hits=()))),
    "pasted, nothing found": Variant(
        "the whole question as every query, and no search returns a passage",
        "lose",
        _searches(lambda trajectory, turn: replace(turn, query=trajectory.question, hits=())),
    ),
    "question pasted": Variant(
        "the whole question as every query, the same observations",
        "not gain",
        _searches(lambda trajectory, turn: replace(turn, query=trajectory.question)),
    ),
    "queries blanked": Variant(
        "empty queries, the same observations", "not gain", _searches(lambda _, turn: replace(turn, query=""))
    ),
    "one page": Variant("every search returns the first page that was found", "not gain", _searches(_one_page)),
    "searches repeated": Variant("the last search three times more", "not gain", _added(_again)),
    "empty searches added": Variant(
        "three searches more that ask and return nothing",
        "not gain",
        _added(lambda _: [Turn(text=_SEARCH, query="")] * _EXTRA),
    ),
    "searches reversed": Variant("the searches in the opposite order", "not gain", _reversed),
    "pages of another question added": Variant("the searches of another question besides", "not gain", _padded),
    "information fabricated": Variant(
        "the question in every thought and in an <information> block of the model's own",
        "not gain",
        _searches(_fabricate),
    ),
    "flood": Variant(
        "searches more that return a dozen passages on the topic, none of which holds an answer", "not gain", _flood
    ),
    "RAG of the question": Variant(
        "one search with the whole question instead, and the passages nearest to it that hold no answer",
        "not gain",
        _rag,
    ),
    "neighbours of the page": Variant(
        "instead of each passage another one of the same page that holds no answer", "not gain", _neighbours
    ),
    "query echoed": Variant("every search returns its own query as one more passage", "not gain", _searches(_echo)),
    "answer pasted": Variant("its own answer behind every query", "not gain", _searches(_answer_pasted)),
    "answer restates the question": Variant("the question as the final answer", "not gain", _restate),
}
