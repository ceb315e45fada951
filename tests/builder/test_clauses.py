"""A value beside a cue states nothing where the cue speaks of somebody or something else."""

from __future__ import annotations

import pytest

from fresco.builder.facts.values import Value, read_value
from fresco.builder.statements import statements
from fresco.builder.templates import relations
from fresco.builder.wikitext import Section


def read(kind: str, text: str) -> Value:
    value = read_value(kind, text)
    assert value is not None
    return value


def is_stated(relation: str, label: str, text: str, *, subject: str = "Northport Rovers", role: str = "") -> bool:
    own = relations()[relation]
    section = Section(1, "", text)
    return bool(statements(own, role, read(own.values, label), section, subject=subject, over=True))


@pytest.mark.parametrize(
    ("relation", "text", "stated"),
    [
        ("chairperson", "Ann Ek | Background: Former chair and CEO, Easthaven Airways", False),
        ("chairperson", "Ann Ek, chairman and former CEO of Easthaven", False),
        ("chairperson", "Ann Ek, chairwoman / founder of the Easthaven Fund", False),
        ("chairperson", "Ann Ek | Background: Former chair and CEO, Northport Rovers", True),
        ("chairperson", "Ann Ek is the chair and CEO.", True),
        ("chairperson", "Ann Ek, chair and CEO, President Lind and others came.", True),
        ("head_coach", "Ann Ek was elected coach of the season in the league.", False),
        ("head_coach", "Ann Ek was elected coach of the club in the league.", True),
        ("driver", "Ann Ek was hit by the Easthaven driver, Otto Lind.", False),
        ("head_coach", "Ann Ek's staff has the former Easthaven head coach Otto Lind in it.", False),
        ("head_coach", "Otto Lind left, and head coach Ann Ek came.", True),
        ("driver", "They raced without the reserve driver Ann Ek, as no driver was fit.", False),
        ("head_coach", "The assistant coach Ann Ek was named interim head coach.", True),
        ("head_coach", "They hired the former youth coach Ann Ek as the new manager.", True),
        ("chief_executive", "Ann Ek | Background: President and CEO, The Northport Rovers", True),
        ("driver", "They raced with the driver Ann Ek, as no other was fit.", True),
        ("head_coach", "A manager came, with Ann Ek being appointed as the new technical director.", False),
        ("head_coach", "A manager left, with Ann Ek being appointed as the new head coach.", True),
    ],
)
def test_an_office_of_another(relation: str, text: str, stated: bool) -> None:
    assert is_stated(relation, "Ann Ek", text) == stated


@pytest.mark.parametrize(
    ("row", "stated"),
    [
        ("2019 | President: Otto Lind | Chairman: Ann Ek", False),
        ("2019 | President: Ann Ek | Chairman: Otto Lind", True),
        ("President | Name: Ann Ek | Town: Easthaven", True),
        ("Ann Ek | Town: Easthaven | Post: President", True),
    ],
)
def test_in_a_row_a_cue_speaks_of_its_own_cell(row: str, stated: bool) -> None:
    assert is_stated("president", "Ann Ek", row) == stated


@pytest.mark.parametrize(
    ("relation", "label", "text", "stated"),
    [
        ("league_titles", "17", "Their rivals are Easthaven Town, who are second with 17 championships.", False),
        ("capacity", "68,456", "They play in the Harbour Ground, which has a capacity of 68,456.", True),
        ("league_titles", "17", "Easthaven Town, which have 17 titles, came to the harbour.", False),
        ("league_titles", "17", "The Rovers, who have 17 titles, are the best of the coast.", True),
        ("league_titles", "17", "The club, which has 17 titles, is the best of the coast.", True),
        ("league_titles", "3", "The team won the most AFL Championships (3).", False),
        ("league_titles", "3", "Total Super Bowl championships won: 3", False),
        ("league_titles", "3", "Total championships won: 3", True),
        ("units_sold", "100 million", "4 million were sold, and 100 million people had one.", False),
        ("units_sold", "100 million", "There are 100 million units in use.", False),
        ("units_sold", "100 million", "Sales came to 100 million units.", True),
        ("users", "100 million", "It has 100 million active users.", True),
        ("users", "100 million", "It had 100 million paying subscribers.", True),
        ("employees", "12,345", "It employs 12,345 people.", True),
        ("employees", "12,345", "Its staff serves 12,345 customers.", False),
        ("playoff_appearances", "30", "Throws | Season: 73 Ann Ek | Playoffs Game: 30 Otto Lind", False),
    ],
)
def test_a_count_of_another_body_or_another_thing(relation: str, label: str, text: str, stated: bool) -> None:
    assert is_stated(relation, label, text) == stated


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("Ada Fund already owns 10% of shares of NRS's largest rival, Easthaven Sound.", False),
        ("Ada Fund bought a stake in Northport's ground.", False),
        ("Ada Fund bought 10.4% of Northport's Class A shares.", True),
        ("Ada Fund bought a tenth of Northport's stock.", True),
        ("Ada Fund bought a stake in Northport.", True),
        ("Ada Fund acquired the event service Rope On Site from the board.", False),
        ("Ada Fund acquired the record company of the coast, Northport Record Sound.", True),
        ("In the end Ada Fund bought it from the board.", True),
    ],
)
def test_what_is_owned_may_be_something_of_the_subject(text: str, stated: bool) -> None:
    assert is_stated("owner", "Ada Fund", text, subject="Northport Record Sound") == stated


@pytest.mark.parametrize(
    ("label", "text", "stated"),
    [
        ("Rope 3", "Rope-3.1 was released in July.", False),
        ("2.1", "Version 3.2.1 was released in July.", False),
        ("2.1", "Release 2.1.4 came in July.", False),
        ("Rope 3", "Rope 3 was released in July.", True),
        ("2.1", "In July 2.1 was released. Then came 2.2.", True),
        ("Rope 3", "The small version of Rope 3 is slow.", False),
    ],
)
def test_a_version_is_no_part_of_another(label: str, text: str, stated: bool) -> None:
    assert is_stated("latest_release", label, text, subject="Rope") == stated


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("Berg stayed despite speculations of a transfer to Easthaven Town.", False),
        ("Berg told the board that he would not be signing for Easthaven Town.", False),
        ("Berg turned down a contract with Easthaven Town.", False),
        ("Berg signed a contract with Easthaven Town.", True),
        ("After months of rumours, the whole summer long and over the sea, Berg signed for Easthaven Town.", True),
    ],
)
def test_what_has_not_come_about_is_not_stated(text: str, stated: bool) -> None:
    assert is_stated("team", "Easthaven Town", text, subject="Alma Berg") == stated
