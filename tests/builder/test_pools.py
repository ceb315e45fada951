"""Which of a page's passages compete in a pool, and which of other pages."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fresco.builder.facts.values import read_value
from fresco.builder.hard_negatives import Ranking
from fresco.builder.pools import Known, Limits, Member, Question, choose
from fresco.builder.templates import relations
from fresco.records import Conflict, Label, Passage, parse_timestamp

FLIGHT = relations()["last_flight"]
LIMITS = Limits(size=20, share=0.25)


def passage(own: str, year: int, body: str, title: str = "Rope Rocket") -> Passage:
    return Passage(own, title, "", body, parse_timestamp(f"{year}-06-01T00:00:00Z"))


def pool(passages: Sequence[Passage], known: dict[str, Known], limits: Limits = LIMITS) -> list[Member]:
    value = read_value("date", "19 November 2024")
    assert value is not None
    question = Question("When was the last flight?", "Rope Rocket", FLIGHT, "", (value,), known)
    scores = {each.id: float(len(passages) - place) for place, each in enumerate(passages)}
    ranking = Ranking({each: scores[each] for each in known}, iter(scores.items()))
    return choose(question, ranking, {each.id: each for each in passages}, limits)[0]


def outdated(members: Sequence[Member]) -> set[str]:
    return {each.passage_id for each in members if each.label is Label.OUTDATED}


def made(late: int, early: int) -> tuple[list[Passage], dict[str, Known]]:
    """A positive of 2022, and passages with a former value of 2024 and of 2020, the older ones the harder."""
    texts = [passage("now", 2022, "It flew on the nineteenth of the month, as the board of the harbour told the town.")]
    known = {"now": Known(Label.POSITIVE)}
    for year, count, kind in ((2020, early, Conflict.VERSION), (2024, late, Conflict.HISTORY)):
        for number in range(count):
            own = passage(f"{year}-{number}", year, " ".join(f"{year} {number} {word}" for word in "abcdefgh"))
            texts.append(own)
            known[own.id] = Known(Label.OUTDATED, kind)
    return texts, known


@pytest.mark.parametrize(
    ("late", "early", "older"),
    [(0, 5, 5), (1, 5, 1), (2, 5, 1), (4, 5, 2), (4, 1, 1), (3, 0, 0)],
)
def test_superseded_revisions_are_the_fewer_where_a_former_value_is_still_stated(
    late: int, early: int, older: int
) -> None:
    found = outdated(pool(*made(late, early)))
    assert sum(each.startswith("2024") for each in found) == late
    assert sum(each.startswith("2020") for each in found) == older


def test_of_a_pool_like_the_published_ones_all_may_be_superseded() -> None:
    found = outdated(pool(*made(1, 5), Limits(size=20, share=0.0, snapshot=True)))
    assert len(found) == 6


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ("On 20 April 2023 the first flight of Rope Rocket ended in the sea behind the harbour.", False),
        ("Rope Rocket stands behind the harbour, where the wind decides about every second goal.", True),
        ("On 20 April 2023 the first flight of Mail Rocket ended in the sea behind the harbour.", True),
    ],
)
def test_another_page_that_may_state_a_value_of_the_subject_is_no_negative(body: str, kept: bool) -> None:
    texts, known = made(1, 1)
    other = passage("other", 2023, body, title="Harbour Board")
    assert (other.id in {each.passage_id for each in pool([*texts, other], known)}) == kept
