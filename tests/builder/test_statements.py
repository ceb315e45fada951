"""Which sentences state a value, and which only name it."""

from __future__ import annotations

import pytest

from fresco.builder.facts.values import Value, read_value
from fresco.builder.statements import mentions, sentences, states
from fresco.builder.templates import relations
from fresco.builder.wikitext import Section

COACH = relations()["head_coach"]
CHIEF = relations()["chief_executive"]


def person(name: str) -> Value:
    value = read_value("person", name)
    assert value is not None
    return value


@pytest.mark.parametrize(
    "text",
    [
        "The head coach is Alma Berg.",
        "Alma Berg was appointed manager on 1 May.",
        "The club fired Dorn and hired Alma Berg as its new manager.",
        "Carl Dorn was replaced by Alma Berg as head coach.",
        "They named former Easthaven coach Alma Berg as their head coach.",
        "Little is known. Alma Berg came from the north. In May, Berg was made manager.",
    ],
)
def test_stated(text: str) -> None:
    assert states(COACH, "", person("Alma Berg"), Section(1, "Staff", text)) is not None


@pytest.mark.parametrize(
    "text",
    [
        "Alma Berg opened the new stand.",
        "Former head coach Alma Berg opened the new stand.",
        "Alma Berg resigned as manager in May.",
        "Alma Berg was replaced by Carl Dorn as head coach.",
        "Carl Dorn replaced Alma Berg as the team of the year went on without a word.",
        "Alma Bergman is the head coach.",
        "Alma Berg coached the club from 2001 to 2004 as its manager.",
    ],
)
def test_not_stated(text: str) -> None:
    assert states(COACH, "", person("Alma Berg"), Section(1, "History", text)) is None


def test_an_office_of_something_else_is_another_office() -> None:
    section = Section(1, "", "It named Ann Ek, who was CEO of Virgin Rails, to its board.")
    assert states(CHIEF, "", person("Ann Ek"), section, subject="Northport Bank") is None
    own = Section(1, "", "It named Ann Ek CEO of Northport in May.")
    assert states(CHIEF, "", person("Ann Ek"), own, subject="Northport Bank") is not None


def test_old_years_are_about_something_else() -> None:
    section = Section(1, "History", "In 1994 Alma Berg became manager.")
    assert states(COACH, "", person("Alma Berg"), section, earliest=2020) is None
    assert states(COACH, "", person("Alma Berg"), section, earliest=1990) is not None


def test_a_list_under_a_telling_heading_need_not_repeat_it() -> None:
    section = Section(1, "Head coaches", "Carl Dorn (2001\u20132004)\nAlma Berg (2004\u2013present)")
    found = states(COACH, "", person("Alma Berg"), section)
    assert found is not None
    assert section.text[found.start : found.end] == "Alma Berg (2004\u2013present)"
    assert states(COACH, "", person("Carl Dorn"), section) is None


def test_amounts_must_be_equal_and_beside_a_cue() -> None:
    employees = relations()["employees"]
    value = read_value("amount", "12,345")
    assert value is not None
    assert states(employees, "", value, Section(0, "", "It has 12,345 employees.")) is not None
    assert states(employees, "", value, Section(0, "", "It has about 12,300 employees.")) is not None
    assert states(employees, "", value, Section(0, "", "It has 12,400 employees.")) is None
    assert states(employees, "", value, Section(0, "", "It sold 12,345 cars.")) is None


def test_small_numbers_must_stand_right_beside_their_cue() -> None:
    playoffs = relations()["playoff_appearances"]
    value = read_value("amount", "20")
    assert value is not None
    assert states(playoffs, "", value, Section(0, "", "The team has 20 playoff appearances.")) is not None
    assert states(playoffs, "", value, Section(0, "", "They lost 20-17 in the playoffs.")) is None


@pytest.mark.parametrize(
    ("relation", "value", "text"),
    [
        ("head_coach", "Alma Berg", "Under Berg the team rose."),
        ("team", "Los Angeles Dodgers", "He spoke for the Dodgers."),
        ("owner", "Public Investment Fund", "The PIF paid."),
        ("employees", "12,345", "Some 12,300 came."),
    ],
)
def test_any_trace_is_a_mention(relation: str, value: str, text: str) -> None:
    own = relations()[relation]
    read = read_value(own.values, value)
    assert read is not None
    assert mentions(own, "", read, text)
    assert not mentions(own, "", read, "Nothing of the kind stands here in 1931.")


def test_what_is_stated_is_mentioned() -> None:
    text = "The head coach is J. J. Redick, since 2024."
    for name in ("JJ Redick", "J. J. Redick", "J.J. Redick"):
        assert states(COACH, "", person(name), Section(0, "", text)) is not None
        assert mentions(COACH, "", person(name), text)


def test_abbreviations_end_no_sentence() -> None:
    text = "J. J. Redick left. Mr. Dorn Jr. stayed with St. Pauli F.C. for a year. Then he went."
    assert [text[start:end] for start, end in sentences(text)] == [
        "J. J. Redick left.",
        "Mr. Dorn Jr. stayed with St. Pauli F.C. for a year.",
        "Then he went.",
    ]


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("The club has won 15 league titles.", True),
        ("In Week 15 the club won the league titles.", False),
        ("The No. 15 retired after the league titles.", False),
        ("A boy aged 15 saw the league titles.", False),
        ("It is ranked #15 in league titles.", False),
        ("She won the league titles at 9 years and 15 months.", False),
        ("After 15-year talks came league titles.", False),
    ],
)
def test_an_ordinal_or_an_age_counts_nothing(text: str, stated: bool) -> None:
    count = read_value("amount", "15")
    assert count is not None
    found = states(relations()["league_titles"], "", count, Section(1, "", text))
    assert (found is not None) == stated


@pytest.mark.parametrize(
    ("relation", "kind", "name", "text"),
    [
        ("venue", "place", "Harbour Park", "The band plays a game at Harbour Park."),
        ("venue", "place", "Harbour Park", "Its academy is based beside Harbour Park."),
        ("driver", "person", "Alma Berg", "Alma Berg joined the academy."),
    ],
)
def test_a_name_near_the_subject_is_no_statement(relation: str, kind: str, name: str, text: str) -> None:
    value = read_value(kind, name)
    assert value is not None
    assert states(relations()[relation], "", value, Section(1, "", text)) is None


@pytest.mark.parametrize("text", ["It plays its home games at Harbour Park.", "Harbour Park became its home in May."])
def test_a_home_venue_is_stated(text: str) -> None:
    value = read_value("place", "Harbour Park")
    assert value is not None
    assert states(relations()["venue"], "", value, Section(1, "", text)) is not None


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("Alma Berg is the chief executive officer of Northport.", True),
        ("Alma Berg is chief executive officer.", True),
        ("Alma Berg is the chief executive officer of Commercial Banking.", False),
        ("Alma Berg is the chief executive of Commercial Banking.", False),
    ],
)
def test_who_heads_a_division_does_not_head_the_company(text: str, stated: bool) -> None:
    value = read_value("person", "Alma Berg")
    assert value is not None
    found = states(relations()["chief_executive"], "", value, Section(1, "", text), subject="Northport")
    assert (found is not None) == stated


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("Berg Capital owns the club.", True),
        ("Berg Capital owns Northport.", True),
        ("Berg Capital holds a stake in Northport Rope.", True),
        ("Northport was acquired by Berg Capital.", True),
        ("In May the works were sold to Berg Capital.", True),
        ("The owner Berg Capital sold nothing.", True),
        ("Berg Capital owns a part of Easthaven Rope.", False),
        ("Berg Capital holds a 20% stake in Easthaven Rope.", False),
        ("Berg Capital acquired Easthaven.", False),
        ("Berg Capital bid for the Easthaven Works.", False),
    ],
)
def test_who_owns_something_else_does_not_own_the_subject(text: str, stated: bool) -> None:
    value = read_value("organization", "Berg Capital")
    assert value is not None
    found = states(relations()["owner"], "", value, Section(1, "", text), subject="Northport Rope")
    assert (found is not None) == stated
