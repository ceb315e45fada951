"""Labels follow from what a passage states, never from its age."""

from __future__ import annotations

import pytest

from fresco.builder.facts.values import Value, read_value
from fresco.builder.infobox_text import HEADING, infobox_sections
from fresco.builder.reading import BOTH, EARLY, MENTIONS, MENTIONS_FORMER, OTHER, SHORT, Reading, Sought
from fresco.builder.templates import relations
from fresco.builder.wikitext import Section, parse_page
from fresco.builder.windows import Window
from fresco.records import Label


def value(kind: str, text: str) -> Value:
    read = read_value(kind, text)
    assert read is not None
    return read


BERG, DORN, EK = (value("person", name) for name in ("Alma Berg", "Carl Dorn", "Olga Ek"))
COACH = Sought(relations()["head_coach"], "", "Northport United", (BERG,), (BERG,), (DORN,), (EK,))
NEW, OLD = value("amount", "US$5.2 billion"), value("amount", "US$4.4 billion")
REVENUE = Sought(relations()["revenue"], "", "Northport Bank", (NEW,), (NEW,), (OLD,))


def judged(sought: Sought, text: str, *, in_time: bool = True) -> tuple[Label | None, str]:
    section = Section(1, "Northport", text)
    verdict = Reading(sought, section).judge(Window(0, len(text)), in_time=in_time)
    return verdict.label, verdict.states


@pytest.mark.parametrize(
    ("text", "label", "states"),
    [
        ("The head coach of the club is Alma Berg, who came from the north.", Label.POSITIVE, ""),
        # Both, and it says which is which: the former one's time is over, or the current one comes last.
        ("Carl Dorn resigned as head coach, and the club named Alma Berg as its head coach.", Label.POSITIVE, ""),
        ("In 2021 Carl Dorn was hired as head coach. In 2024 Alma Berg was hired as head coach.", Label.POSITIVE, ""),
        ("The head coach is Alma Berg and all is well. The head coach is Carl Dorn, says the board.", None, BOTH),
        ("The head coach of the club is Carl Dorn, who came from the south.", Label.OUTDATED, "Carl Dorn"),
        ("Former head coach Carl Dorn led the club to the cup of the coast once.", Label.OUTDATED, "Carl Dorn"),
        ("Carl Dorn was the manager from 2019 to 2023 and won the cup of the coast.", Label.OUTDATED, "Carl Dorn"),
        ("From July on Olga Ek will be the head coach of the club by the harbour.", Label.OUTDATED, "Olga Ek"),
        ("Alma Berg opened the new stand on the northern side of the ground.", None, MENTIONS),
        ("Carl Dorn opened the new stand on the northern side of the ground.", None, MENTIONS_FORMER),
        ("In 1931 Otto Lind was head coach of the club for a whole long season.", None, OTHER),
        ("Dock workers met in the tavern and drew up the first rules of the game.", Label.INSUFFICIENT, ""),
        ("The ground stands there.", None, SHORT),
    ],
)
def test_prose(text: str, label: Label | None, states: str) -> None:
    assert judged(COACH, text) == (label, states)


def test_a_number_in_words_may_be_a_count() -> None:
    nine, eight = value("amount", "9"), value("amount", "8")
    titles = Sought(relations()["singles_titles"], "", "Alma Berg", (nine,), (nine,), (eight,))
    stands = "By the sea she won her {} and was glad of it for weeks and months."
    for nth in ("second singles title", "12th singles title", "title for the first time"):
        assert judged(titles, stands.format(nth)) == (None, OTHER)
    assert judged(titles, stands.format("match in the rain")) == (Label.INSUFFICIENT, "")


def test_a_plural_role_may_be_counted_in_the_singular() -> None:
    new, old = value("amount", "212"), value("amount", "206")
    bases = Sought(relations()["career_statistic"], "Stolen bases", "Alma Berg", (new,), (new,), (old,))
    assert judged(bases, "In August she had her 200th stolen base and was glad of it for weeks.") == (None, OTHER)


def test_the_same_words_bear_the_same_label_in_every_revision() -> None:
    for text in (
        "The head coach of the club is Carl Dorn, who came from the south.",
        "Dock workers met in the tavern and drew up the first rules of the game.",
    ):
        assert judged(COACH, text, in_time=False) == judged(COACH, text, in_time=True)


def test_before_its_time_the_current_value_is_only_announced() -> None:
    assert judged(COACH, "The club named Alma Berg as its head coach in March.", in_time=False) == (None, EARLY)


def test_a_value_to_come_is_told_from_a_former_one() -> None:
    text = "From July on Olga Ek will be the head coach of the club by the harbour."
    assert Reading(COACH, Section(1, "", text)).judge(Window(0, len(text)), in_time=True).announced


def test_a_table_by_years_states_its_last_row_and_a_window_above_it_a_former_value() -> None:
    rows = ["2022 | Revenue in billion US$: 4.40", "2023 | Revenue in billion US$: 5.20"]
    text = "\n".join(rows)
    reading = Reading(REVENUE, Section(1, "Finances of the bank of the harbour", text))
    assert reading.judge(Window(0, len(text)), in_time=True).label is Label.POSITIVE
    first = reading.judge(Window(0, len(rows[0])), in_time=True)
    assert (first.label, first.states) in ((Label.OUTDATED, "US$4.4 billion"), (None, SHORT))


BOX = """{{{{Infobox football club
| clubname = Northport United
| image = Logo.svg
| founded = 1 May 1901, by dock workers of the harbour
| manager = {manager}
| capacity = 10,500
| website = {{{{URL|example.org}}}}
}}}}
A club."""


@pytest.mark.parametrize(
    ("manager", "label"),
    [("[[Alma Berg]]", Label.POSITIVE), ("Carl Dorn", Label.OUTDATED), ("Otto Lind", None), ("", Label.INSUFFICIENT)],
)
def test_an_infobox_is_read_by_its_fields(manager: str, label: Label | None) -> None:
    page = parse_page(BOX.format(manager=manager))
    (section,) = infobox_sections(page)
    assert section is not None
    assert section.heading == HEADING
    assert "Founded: 1 May 1901, by dock workers of the harbour" in section.text
    assert "Logo" not in section.text
    assert "example" not in section.text
    assert Reading(COACH, section, page).judge(Window(0, len(section.text)), in_time=True).label is label


def test_a_part_of_an_infobox_states_what_its_own_lines_state() -> None:
    page = parse_page(BOX.format(manager="[[Alma Berg]]"))
    (section,) = infobox_sections(page)
    assert section is not None
    at = section.text.index("Manager:")
    reading = Reading(COACH, section, page)
    assert reading.judge(Window(at, len(section.text)), in_time=True).label is Label.POSITIVE
    assert reading.judge(Window(0, at - 1), in_time=True).label is Label.INSUFFICIENT


@pytest.mark.parametrize(
    ("shown", "label"), [("US$117 billion", Label.POSITIVE), ("US$117.2 billion", None), ("US$88 billion", None)]
)
def test_of_figures_that_round_alike_the_last_digit_decides(shown: str, label: Label | None) -> None:
    now, was = value("amount", "US$117 billion"), value("amount", "US$117.2 billion")
    equity = Sought(relations()["equity"], "", "Northport Bank", (now,), (now,), (was,))
    page = parse_page(f"{{{{Infobox company\n| founded = 1 May 1901, by dock workers\n| equity = {shown}\n}}}}\nText.")
    (section,) = infobox_sections(page)
    verdict = Reading(equity, section, page).judge(Window(0, len(section.text)), in_time=True)
    assert verdict.label is label


def test_what_looks_like_a_value_may_be_one() -> None:
    ground = value("place", "Harbour Park")
    venue = Sought(relations()["venue"], "", "Northport United", (ground,), (ground,), (value("place", "Old Meadow"),))
    text = "The mascots of the club moved from {} to the new town and stayed there."
    assert judged(venue, text.format("Lantern Field")) == (None, OTHER)
    assert judged(venue, text.format("the old town")) == (Label.INSUFFICIENT, "")
