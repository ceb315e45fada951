"""The relation files: enough of them, each complete, each template usable."""

from __future__ import annotations

import re

import pytest

from fresco.builder.queries import in_a_question, query_id, query_rows, query_text
from fresco.builder.templates import choose, read_relation, relations
from fresco.errors import FrescoError
from fresco.records import Kind

GOOD = """
name = "keeper"
property = "P1"
subjects = "houses"
values = "person"
holders = "single"
cues = ['\\bkeeper\\b']
explicit = ["Who is the current keeper of {subject}?", "Latest keeper of {subject}?", "Who keeps {subject} now?"]
implicit = ["Who is the keeper of {subject}?", "Who keeps {subject}?", "Keeper of {subject}?"]
[[fields]]
infoboxes = ["house"]
names = ["keeper"]
"""


def test_there_are_at_least_fifteen_relations_of_both_kinds() -> None:
    known = relations()
    assert len(known) >= 15
    assert {relation.several for relation in known.values()} == {True, False}
    assert sum(bool(relation.property) for relation in known.values()) >= 15


@pytest.mark.parametrize("key", list(relations()))
def test_every_template_makes_a_question(key: str) -> None:
    relation = relations()[key]
    for template in (*relation.explicit, *relation.implicit):
        text = template.format(subject="Northport United", role="secretary")
        assert text.endswith("?")
        assert "Northport United" in text
        assert "{" not in text
    explicit = " ".join(relation.explicit).lower()
    assert any(word in explicit for word in ("current", "latest", "most recent"))
    for template in relation.implicit:
        assert not any(word in template.lower().split() for word in ("current", "currently", "latest", "recent"))


def test_the_choice_of_a_template_depends_on_its_own_pair_only() -> None:
    relation = relations()["head_coach"]
    text = query_text("AC Milan (football)", relation, "", Kind.EXPLICIT)
    assert text == query_text("AC Milan (football)", relation, "", Kind.EXPLICIT)
    assert "(football)" not in text
    assert query_id("AC Milan", "head_coach", "", Kind.EXPLICIT) == "AC_Milan:head_coach:explicit"


def test_a_relation_that_is_not_there_is_named() -> None:
    with pytest.raises(FrescoError, match="no relation 'coach'"):
        choose(["coach"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "keeper"', "", "'name' is missing"),
        ('values = "person"', 'values = "animal"', "animal"),
        ('"Keeper of {subject}?"]', "]", "at least three"),
        ("cues = ['\\bkeeper\\b']", "cues = ['(']", "cues"),
        ('names = ["keeper"]', "", "names"),
        ('name = "keeper"', "name = ", "Invalid"),
        ('name = "keeper"', 'name = "keeper"\nnmae = "x"', "nmae"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault(old: str, new: str, message: str) -> None:
    assert read_relation("keeper", GOOD).name == "keeper"
    with pytest.raises(FrescoError, match=r"keeper\.toml") as error:
        read_relation("keeper", GOOD.replace(old, new))
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("title", "lead", "name"),
    [
        ("Northport Pistons", "The Northport Pistons are a basketball team.", "the Northport Pistons"),
        ("Bank of Northport", "The Bank of Northport (BoN) is a bank.", "the Bank of Northport"),
        ("Harbour Administration", "The United Isles Harbour Administration (HA) is an", "the Harbour Administration"),
        ("Dorn", "The Dorn Group, Inc. is an investment bank.", "Dorn"),
        ("Dorn", "The Dorn & Ek Company makes rope.", "Dorn"),
        ("The Dorn Company", "The Dorn Company makes rope.", "The Dorn Company"),
        ("AC Northport", "AC Northport is a club. The AC Northport fans sing.", "AC Northport"),
        ("Dorn (company)", "The Dorn is a company.", "the Dorn"),
        ("IPad", "The iPad is a tablet.", "the iPad"),
        ("EBay", "eBay Inc. is a market.", "eBay"),
        ("IPad", "The iPad Air is a tablet.", "iPad"),
        ("Uber", "Ubermensch is a word.", "Uber"),
        ("Dorn", "", "Dorn"),
        (
            "Harbour Reserve",
            "The Harbour Reserve System (short: the Harbour Reserve) is a bank.",
            "the Harbour Reserve",
        ),
        ("Dorn", "The Dorn Group is a bank. Dorn has branches, and the Dorn family none.", "Dorn"),
        ("Isles Board of Rope", "The Board of Rope (BR) makes rules.", "the Isles Board of Rope"),
        ("Bank of Rope", "The Rope is a river.", "Bank of Rope"),
        ("Coast A", "The Coast A is a league. Coast A has clubs; Coast A ends in May. Coast A pays.", "Coast A"),
    ],
)
def test_a_name_has_the_article_of_its_own_lead(title: str, lead: str, name: str) -> None:
    assert in_a_question(title, lead) == name
    row = {"subject": title, "role": "", "current": ["Ann Ek"], "spoken": in_a_question(title, lead)}
    for query in query_rows(row, relations()["head_coach"], "2025-01-01T00:00:00Z"):
        assert f" {name}" in query["text"]


@pytest.mark.parametrize("key", [key for key, each in relations().items() if re.search("team|club", each.subjects)])
def test_no_verb_must_agree_with_a_team(key: str) -> None:
    relation = relations()[key]
    for template in (*relation.explicit, *relation.implicit):
        assert not re.search(
            r"\b(?:is|are|does|do|has|have|was|were|did) \{subject\}|\{subject\} (?!as\b)\w+s\b", template
        )


def test_an_office_of_a_body_keeps_its_capitals() -> None:
    text = query_text("Navy Board", relations()["leader"], "Chief of Staff", Kind.IMPLICIT, "the Navy Board")
    assert "Chief of Staff of the Navy Board" in text


def test_a_league_has_a_champion_and_no_winner() -> None:
    champion = relations()["champion"]
    assert not any("winner of" in template for template in (*champion.explicit, *champion.implicit))


def test_a_role_that_is_a_name_stays_as_it_is() -> None:
    known = relations()
    assert "Saint-Pauli" in query_text("Alma Berg", known["club_goals"], "Saint-Pauli", Kind.EXPLICIT)
    assert "home runs" in query_text("Alma Berg", known["career_statistic"], "Home runs", Kind.IMPLICIT)


def test_a_wrong_pattern_of_values_is_named() -> None:
    with pytest.raises(FrescoError, match=r"keeper\.toml, looks"):
        read_relation("keeper", GOOD.replace("cues =", 'looks = "("\ncues ='), "keeper.toml")
