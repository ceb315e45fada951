"""Data tables: rows as lines of plain text, and what they state."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fresco.builder.facts.values import read_value
from fresco.builder.statements import mentions, sentences, states
from fresco.builder.templates import relations
from fresco.builder.wikitext import Section, clean
from fresco.builder.wikitext.parsed import Parser

HEAD = '{| class="wikitable"\n'


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ("! Year !! Ships\n|-\n| 2023 || 12\n", "2023 | Ships: 12"),
        ("|+ Fleet\n! Year\n! Ships\n|-\n| 2023\n| 12\n|-\n| 2024\n|14\n",
         "Fleet\n2023 | Ships: 12\n2024 | Ships: 14"),
        ("|-\n! Year !! 2023 !! 2024\n|-\n! Ships\n| 12 || 14\n", "Ships | 2023: 12 | 2024: 14"),
        ('! rowspan="2" | Year !! colspan="2" | Ships\n|-\n! Old !! New\n|-\n| 2023 || 3 || 9\n',
         "2023 | Ships Old: 3 | Ships New: 9"),
        ("! Port !! Ship\n|-\n| rowspan=2 | North || Alma\n|-\n| Berg\n", "North | Ship: Alma\nNorth | Ship: Berg"),
        ("! Port !! Ship\n|-\n| colspan=2 | closed\n", "closed"),
        ("! colspan=2 | Fleet\n|-\n! Port !! Ship\n|-\n| North || Alma\n|-\n! Port !! Ship\n|-\n| South || Dorn\n",
         "Fleet\nNorth | Ship: Alma\nPort | Ship\nSouth | Ship: Dorn"),
        ('! Port !! Ship\n|-\n| North || <span style="display:none">0012</span>Alma\n', "North | Ship: Alma"),
        ('! Port !! Ship\n|- style="color:red"\n| style="x" | [[North|the North]] || {{nowrap|Alma}}<br>[[Berg]]\n',
         "the North | Ship: Alma Berg"),
        ("! Port !! Ship\n|-\n| North || \n* Alma\n* Berg\n", "North | Ship: Alma, Berg"),
        ("! Port !! Ship\n|-\n| North || {{ubl|Alma\n| Berg}}\n|-\n| South || Dorn\n",
         "North | Ship: Alma Berg\nSouth | Ship: Dorn"),
        ("! Port !! Note\n|-\n| North || \u2014\n|-\n| || \n", "North"),
        ("| no || headings\n", "no | headings"),
        ("! only || headings\n", "only | headings"),
        ("", ""),
    ],
)  # fmt: skip
def test_rows_become_lines(rows: str, text: str) -> None:
    assert clean(f"Before.\n{HEAD}{rows}|}}\nAfter.") == "\n".join(part for part in ("Before.", text, "After.") if part)
    assert clean(f"Before.\n{HEAD}{rows}|}}\nAfter.", tables=False) == "Before.\nAfter."


def test_layout_nested_and_unclosed_tables_are_dropped() -> None:
    assert clean("a\n{|\n| layout\n|}\nb") == "a\nb"
    assert clean(f"a\n{HEAD}| one\n|\n{HEAD}| deep\n|}}\n|}}\nb") == "a\nb"
    assert clean(f"a\n{HEAD}| x\n\nb") == "a\nb"


def test_marks_cannot_be_forged() -> None:
    forged = "\ue000t\ue002h1,1;Year\ue002h1,1;Ships\ue001r\ue002d1,1;2024\ue002d1,1;99\ue004x"
    assert " | " not in clean(forged)
    assert clean(f"{HEAD}! Year !! Ships\n|-\n| 2023 || \ue001r\ue002d99,99;12\n|}}").count("\n") == 0


_ROWS = st.lists(
    st.sampled_from(
        [
            *("|", "||", "!", "!!", "|-", "|+", "{|", "|}", "\n", "{{", "}}", "[[", "]]", "rowspan=99", "colspan=1e9"),
            *('colspan="7"', "text", " ", "\n* ", "<br>", "'''", "\ue000t", "\ue002", HEAD),
        ]
    ),
    max_size=50,
).map("".join)


@settings(max_examples=200)
@given(_ROWS)
def test_any_table_is_plain_text(rows: str) -> None:
    text = clean(f"Before.\n{HEAD}{rows}\n|}}\n\nAfter.")
    assert text.startswith("Before.")
    assert not any(mark in text for mark in "\ue000\ue001\ue002\ue004")
    assert all(line.strip() == line != "" for line in text.split("\n"))


@pytest.mark.parametrize(
    "rows", ["| rowspan=100 colspan=100 | x\n|-\n" * 300, "| a " * 50_000, "{{a|" * 10_000, "! h\n" * 20_000]
)
def test_huge_tables_end_within_the_limit(rows: str, tmp_path: Path) -> None:
    failed: list[str] = []
    with Parser(tmp_path / "p.sqlite", workers=1, time_limit=4) as parser:
        found = list(parser.pages([("x", f"{HEAD}{rows}|}}")], whole=True, failed=failed.append))
    assert [key for key, _ in found] + failed == ["x"]


def test_what_was_parsed_without_tables_is_not_given_for_what_is_parsed_with_them(tmp_path: Path) -> None:
    page = f"Lead text.\n{HEAD}! Year !! Ships\n|-\n| 2023 || 12\n|}}"
    for tables in (True, False):
        with Parser(tmp_path / "p.sqlite", tables=tables, workers=1) as parser:
            ((_, parsed),) = parser.pages([("x", page)], whole=True, failed=lambda _: None)
        assert ("Ships" in parsed.sections[0].text) == tables


FINANCES = """Finances in million US$
2021 | Revenue: 10,000 | Net income: 354 | Employees: 7,100
2022 | Revenue: 12,345 | Net income: (512) | Employees: 7,450
2023 | Revenue: 13,579 | Net income: 612 | Employees: 7,450"""
TURNED = "Revenue | 2021: 10.0 | 2022: 12.3 | 2023: 13.6\nEmployees | 2022: 7,450 | 2023: 7,450"


@pytest.mark.parametrize(
    ("relation", "value", "text", "stated"),
    [
        ("revenue", "US$13.58 billion", FINANCES, True),
        ("revenue", "US$13.579 billion", FINANCES, True),
        ("revenue", "US$12.35 billion", FINANCES, False),  # overtaken by a later year
        ("revenue", "US$13.58 billion", FINANCES.replace("Revenue", "Fines"), False),
        ("net_income", "US$612 million", FINANCES, True),
        ("net_income", "US$13.58 billion", FINANCES, False),  # another column
        ("employees", "7,450", FINANCES, True),
        ("employees", "7,400", FINANCES, False),
        ("revenue", "US$13.6 billion", TURNED, True),
        ("revenue", "US$12.3 billion", TURNED, False),
        ("employees", "7,450", TURNED, True),
        ("revenue", "US$13.6 billion", "Revenue | Value: 13.6", False),  # of which year?
        ("total_assets", "US$13.58 billion", FINANCES, False),
    ],
)
def test_amounts_in_tables(relation: str, value: str, text: str, stated: bool) -> None:
    own = relations()[relation]
    read = read_value("amount", value)
    assert read is not None
    found = states(own, "", read, Section(1, "Finances", text))
    assert (found is not None) == stated
    if found:
        assert "\n" not in text[found.start : found.end]
        assert mentions(own, "", read, text)


def test_an_amount_of_an_earlier_year_is_a_mention_all_the_same() -> None:
    value = read_value("amount", "US$12.345 billion")
    assert value is not None
    assert mentions(relations()["revenue"], "", value, FINANCES)
    assert not mentions(relations()["revenue"], "", value, FINANCES.replace("12,345", "12,945"))


@pytest.mark.parametrize(
    ("row", "stated"),
    [
        ("Head coach | Name: Alma Berg", True),
        ("Alma Berg | Position: Head coach | Nationality: Norway", True),
        ("Alma Berg | Position: Physiotherapist", False),
        ("2021 | Manager: Alma Berg", False),
        ("Head coach | Name: Alma Berg | From: 2021 | To: 2023", False),
        ("Head coach | Name: Alma Berg | From: 2021 | To: present", True),
    ],
)
def test_names_in_tables(row: str, stated: bool) -> None:
    value = read_value("person", "Alma Berg")
    assert value is not None
    found = states(relations()["head_coach"], "", value, Section(1, "Staff", f"Staff\n{row}"))
    assert (found is not None) == stated


def test_a_row_is_one_sentence() -> None:
    text = "It has a fleet. It sails.\n2023 | Ship: M. S. Alma. Built in U.S. Ports | Port: North\nThe end."
    assert [text[start:end] for start, end in sentences(text)][2] == text.split("\n")[1]
