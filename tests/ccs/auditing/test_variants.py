"""The cheats change what they say they change, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory, Turn, parse_trajectory
from ccs.auditing.variants import VARIANTS, others
from tests.ccs.rewards.trails import (
    DIRECTOR,
    FILM,
    OFF_TOPIC,
    QUESTION,
    TOPICAL,
    TOPICAL_TOO,
    TOWN,
    gold,
    perfect,
    trail,
)

_SEARCHES = st.lists(
    st.tuples(st.text("ab ", max_size=5), st.lists(st.sampled_from([FILM, DIRECTOR, TOPICAL, OFF_TOPIC]), max_size=3)),
    max_size=4,
)


@st.composite
def trails(draw: st.DrawFn) -> list[Trajectory]:
    return [
        trail(
            *draw(_SEARCHES),
            answer=draw(st.sampled_from(["x", None])),
            name=f"q{number % draw(st.integers(1, 3))}",
            sample=number,
        )
        for number in range(draw(st.integers(1, 6)))
    ]


@pytest.mark.parametrize("name", list(VARIANTS))
@given(trajectories=trails())
def test_every_variant_is_a_record_of_the_same_question(name, trajectories):
    made = VARIANTS[name].make(trajectories, {f"q{n}": Question(f"q{n}", QUESTION, ("Wexmere",)) for n in range(3)})
    assert [(each.question_id, each.sample, each.question, each.stop) for each in made] == [
        (each.question_id, each.sample, each.question, each.stop) for each in trajectories
    ]
    assert [parse_trajectory(each.to_json(), "x") for each in made] == made
    if name != "answer restates the question":
        assert [each.answer for each in made] == [each.answer for each in trajectories]


def pages(trajectory: Trajectory) -> list[list[str]]:
    return [[hit.contents for hit in turn.hits] for turn in trajectory.searches]


def make(name: str, *trajectories: Trajectory) -> list[Trajectory]:
    return VARIANTS[name].make(trajectories, gold() | {"q2": Question("q2", "What is Basalt?", ("yes",))})


def test_by_hand():
    one = trail(("a", [FILM, TOPICAL]), ("b", [DIRECTOR]))
    other = trail(("c", [OFF_TOPIC]), name="q2", question="What is Basalt?")
    assert [pages(each) for each in make("observations exchanged", one, other)] == [
        [[OFF_TOPIC], [OFF_TOPIC]],
        [[FILM, TOPICAL]],
    ]
    (pasted,) = make("question pasted", one)
    assert [turn.query for turn in pasted.searches] == [QUESTION] * 2 and pages(pasted) == pages(one)
    assert pages(make("one page", one)[0]) == [[FILM, FILM], [FILM]]
    assert pages(make("nothing found", one)[0]) == [[], []]
    assert pages(make("answer not found", perfect())[0]) == [[FILM], [DIRECTOR], []]
    unknown = trail(("x", [TOWN, "Yes, yes."]), name="q2", question="What is Basalt?")
    assert make("answer not found", unknown) == [unknown]  # "yes" stands in any passage
    assert pages(make("searches reversed", one)[0]) == [[DIRECTOR], [FILM, TOPICAL]]
    assert pages(make("searches repeated", one)[0]) == [*pages(one), *[[DIRECTOR]] * 3]
    assert pages(make("pages of another question added", one, other)[0]) == [*pages(one), [OFF_TOPIC]]
    assert len(make("empty searches added", one)[0].searches) == 5
    assert make("answer restates the question", one)[0].answer == QUESTION
    (forged,) = make("information fabricated", one)
    assert QUESTION in forged.turns[0].text and forged.searches[0].hits == one.searches[0].hits


def test_plays_with_passages_of_the_topic():
    part = '"Hollow Lantern"\nHollow Lantern was restored in 2009.'
    one = trail(("film", [FILM]), ("b", [part, TOPICAL]))
    other = trail(("c", [TOPICAL_TOO, TOWN, OFF_TOPIC]), name="q2", question="What is Basalt?")
    flooded, _ = make("flood", one, other)
    assert pages(flooded)[:2] == pages(one)
    added = [page for found in pages(flooded)[2:] for page in found]
    assert TOPICAL in added and TOPICAL_TOO in added  # FILM and its part are gold by title, TOWN has the answer
    assert not {FILM, part, TOWN} & set(added)
    (rag, _) = make("RAG of the question", one, other)
    assert [turn.query for turn in rag.searches] == [QUESTION] and set(pages(rag)[0]) <= set(added)
    assert make("neighbours of the page", one, other)[0] == one  # its neighbours are gold, too
    kin = [f'"Basalt"\nBasalt, part {n}.' for n in range(2)]
    assert pages(make("neighbours of the page", trail(("x", kin[:1]), ("y", kin[1:])))[0]) == [kin[1:], kin[:1]]
    assert pages(make("query echoed", one, other)[0]) == [[FILM, "film"], [part, TOPICAL, "b"]]
    assert [turn.query for turn in make("answer pasted", one)[0].searches] == ["film Wexmere", "b Wexmere"]


def test_malformed_turns_stay():
    odd = Trajectory("q1", QUESTION, 0, (Turn("?", fault="no action"), *perfect().turns), "answer")
    for name, variant in VARIANTS.items():
        (made,) = variant.make([odd], gold())
        assert made.faults == 1, name


def test_another_question_is_another_one():
    group = [trail(("x", []), name=f"q{number // 2}", sample=number % 2) for number in range(10)]
    assert all(one.question_id != other.question_id for one, other in zip(group, others(group), strict=True))
    assert others(group[:2]) == group[:2]  # there is no other
