"""What is a value, when are two the same, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.builder.facts.values import amounts, fold, read_value, same


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("person", "Robert Ortberg", "Robert Kelly Ortberg"),
        ("person", "Steve Cohen", "Steven Cohen"),
        ("person", "Gen. Timothy D. Haugh", "Timothy Haugh"),
        ("person", "Nuri Şahin", "Nuri Sahin"),
        ("person", "Carlos Sainz Jr.", "Carlos Sainz"),
        ("organization", "Arsenal F.C.", "Arsenal"),
        ("organization", "Red Bulls GMBH", "Red Bull GmbH"),
        ("organization", "Mercedes (team)", "Mercedes"),
        ("amount", "US$574.8 billion", "US$574.785 billion"),
        ("amount", "c. 26,000", "26,000 (2023)"),
        ("version", "DALL·E 3", "DALL-E 3"),
        ("version", "v4.2.1", "4.2.1"),
        ("version", "Version 4.2.1", "4.2.1"),
        ("person", "Park Min-seo", "Park Min Seo"),
        ("person", "Park Min-seo", "Park Minseo"),
        ("person", "Thomas Müller", "Thomas Mueller"),
        ("person", "Conan O\u2019Neill", "Conan ONeill"),
        ("person", "Jane\u200e Roe\u2060", "Jane Roe"),
        ("person", "Dame Jane Roe, DBE, FRS", "Jane Roe"),
        ("person", "Rt Hon. Jane Roe KC MP", "Jane Roe"),
        ("person", "Dr. Jane Roe, Ph.D.", "Jane Roe"),
        ("organization", "Cafe\u0301 Royal", "Caf\u00e9 Royal"),
        ("organization", "Red Bull Racing", "Red Bull"),
        ("place", "Riyadh Air Metropolitano", "Metropolitano"),
        ("amount", "$2.417T", "US$2.417 trillion"),
        ("amount", "137.1 billion", "137.05 billion"),
        ("organization", "Ann Ek", "Ann and Ola Ek"),
        ("amount", "\u20b995,000 crore", "\u20b90.95 lakh crore"),
        ("amount", "\u20b91,40,000 crore", "\u20b91.4 lakh crore"),
        ("amount", "25 lakh", "2.5 million"),
    ],
)
def test_spellings_of_one_value_are_the_same(kind: str, one: str, other: str) -> None:
    a, b = read_value(kind, one), read_value(kind, other)
    assert a is not None
    assert b is not None
    assert same(a, b)
    assert same(b, a)


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("person", "Alma Berg", "Carl Dorn"),
        ("person", "Stephanie McMahon", "Vince McMahon"),
        ("organization", "Paris Saint-Germain", "Real Madrid"),
        ("amount", "25,000", "26,000"),
        ("amount", "$2.417T", "$2.412T"),
        ("amount", "US$137.1 billion", "US$137.01 billion"),
        ("amount", "12,345", "12,346"),
        ("amount", "US$1.4 trillion", "US$1.62 trillion"),
        ("percentage", "5.25%", "4.75%"),
        ("version", "3.1", "3.2"),
        ("organization", "Inter", "Inter Miami"),
        ("organization", "Real Madrid", "Real Madrid Castilla"),
        ("amount", "\u20b995,000", "\u20b995,000 crore"),
    ],
)
def test_other_values_differ(kind: str, one: str, other: str) -> None:
    a, b = read_value(kind, one), read_value(kind, other)
    assert a is not None
    assert b is not None
    assert not same(a, b)


@pytest.mark.parametrize(
    "text", ["", "vacant", "Vacant", "TBD", "TBA", "N/A", "\u2013", "to be announced", "none", "  "]
)
@pytest.mark.parametrize("kind", ["person", "organization", "place", "amount"])
def test_nobody_is_no_value(kind: str, text: str) -> None:
    assert read_value(kind, text) is None


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("Alma Berg", "2019\u20132021"),
        ("Alma Berg", "former"),
        ("former coach Alma Berg", ""),
        ("Alma Berg and Carl Dorn", ""),
    ],
)
def test_former_holders_and_pairs_are_no_person(text: str, note: str) -> None:
    assert read_value("person", text, note=note) is None


@pytest.mark.parametrize(
    ("kind", "one", "other", "alike"),
    [
        ("person", ("Jane Roe", "Jane Roe"), ("Jane Doe-Miller", "Jane Roe"), True),
        ("person", ("Jane Roe", "Jane_Roe"), ("Jane Doe-Miller", "jane Roe"), True),
        ("place", ("Metropolitano", "Metropolitano Stadium"), ("Wanda Park", "Metropolitano Stadium"), True),
        ("person", ("Jane Roe", "Jane Roe (chess)"), ("Jane Roe", "Jane Roe (player)"), True),  # moved meanwhile
        ("person", ("James Poe", "James Poe"), ("Jane Poe", "Jane Poe"), False),
        ("organization", ("Inter", "Inter Milan"), ("Inter Miami", "Inter Miami CF"), False),
        ("place", ("Old Park", "Old Park"), ("Old Park North", "Old Park North"), False),
        ("person", ("Ann Poe", "Poe family"), ("Bo Poe", "Poe family"), False),
        ("organization", ("Ek", "List of owners#Ek"), ("Lund", "List of owners#Lund"), False),
        ("version", ("14", "Android version history"), ("15", "Android version history"), False),
    ],
)
def test_a_link_says_what_a_value_is(kind: str, one: tuple[str, str], other: tuple[str, str], alike: bool) -> None:
    a, b = (read_value(kind, text, target=target) for text, target in (one, other))
    assert a is not None
    assert b is not None
    assert same(a, b) is same(b, a) is alike


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("645 Fifth Avenue", "645 Fifth Ave.", True),
        ("645 Fifth Avenue, Northport, U.S.", "645 Fifth Ave., Northport, United States", True),
        ("1 North Way, Northport, California", "1 South Loop, Northport, California", False),
        ("12 North Way", "14 North Way", False),
    ],
)
def test_an_address_written_in_two_ways_is_one(one: str, other: str, alike: bool) -> None:
    a, b = read_value("place", one), read_value("place", other)
    assert a is not None
    assert b is not None
    assert same(a, b) is same(b, a) is alike


@pytest.mark.parametrize("text", ["250\u2013340 mi", "475\u2013105", "US$5 to 6 billion", "$5\u2013$6 billion", "12-5"])
def test_a_range_or_a_score_is_no_amount(text: str) -> None:
    assert read_value("amount", text) is None


@pytest.mark.parametrize("note", ["m. 2001; div. 2019", "m. 2005; sep. 2023", "m. 1980; d. 2020", "m. 1980; died 2020"])
def test_a_marriage_that_ended_is_former(note: str) -> None:
    assert read_value("person", "Alma Berg", note=note) is None
    married = read_value("person", "Alma Berg", note="m. 2001")
    assert married is not None


def test_crowds_own_nothing() -> None:
    assert read_value("organization", "Private shareholders") is None
    assert read_value("organization", "Current and former employees") is None


@pytest.mark.parametrize(
    ("text", "number", "digits"),
    [
        ("US$574.8 billion", 574.8e9, 4),
        ("1,525,000", 1_525_000.0, 4),
        ("2.1 million employees", 2.1e6, 2),
        ("CHF \u22127.3 billion", -7.3e9, 2),
        ("a 21,550-seat stadium", 21_550.0, 4),
        ("4.75%", 4.75, 3),
        ("bats .284 so far", 0.284, 3),
        ("No.15", 15.0, 2),
    ],
)
def test_amounts(text: str, number: float, digits: int) -> None:
    (amount,) = amounts(text)
    assert amount.number == pytest.approx(number)
    assert amount.digits == digits
    assert 0 <= amount.at < amount.end <= len(text)


def test_years_are_no_amounts() -> None:
    value = read_value("amount", "2023: 12,345")
    assert value is not None
    assert value.amount is not None
    assert value.amount.number == 12_345


@given(st.text(max_size=200))
def test_reading_never_fails_and_a_value_equals_itself(text: str) -> None:
    for kind in ("person", "organization", "place", "version", "amount", "percentage"):
        value = read_value(kind, text, target=text, note=text[:20])
        if value is not None:
            assert same(value, value)
    assert fold(fold(text)) == fold(text)
