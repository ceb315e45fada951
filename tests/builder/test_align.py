"""Candidates of a pair: dates tell little of labels, kinds of conflict, twins of two labels."""

from __future__ import annotations

from datetime import datetime

import pytest

from fresco.builder.align import NOT_CHANGED, NOT_IN_TEXT, Aligned, align
from fresco.builder.cross_document import stating_elsewhere
from fresco.builder.facts import Fact
from fresco.builder.facts.values import read_value
from fresco.builder.near_duplicates import near_duplicates, shingles
from fresco.builder.pairs import Pair, pairs
from fresco.builder.revisions import Revision
from fresco.builder.templates import relations
from fresco.builder.wikitext import Page, parse_page
from fresco.records import Conflict, Label, Passage, parse_timestamp

COACH = relations()["head_coach"]
REFERENCE = parse_timestamp("2025-01-01T23:59:59Z")
YEARS = (2020, 2021, 2022, 2023, 2024)
GROUND = "Matches are played by the harbour wall, where the wind decides about every second goal of a game."
STAFF = "The manager of the club is {coach}, who trains the first team on four days of the week beside the river."


def when(year: int) -> datetime:
    return parse_timestamp(f"{year}-06-01T12:00:00Z")


def pair(*facts: tuple[str, int, int | None]) -> Pair:
    found = [
        Fact("Northport United", "head_coach", "", name, when(start), when(end) if end else None, "wikidata:Q1")
        for name, start, end in facts
    ]
    (made,) = pairs(found, [COACH], when(2019), REFERENCE)
    assert isinstance(made, Pair)
    return made


def revisions(*pages: tuple[int, str, str]) -> list[tuple[Revision, Page]]:
    """Revisions by (year, manager in the infobox, text)."""
    return [
        (
            Revision("Northport United", 1, year, when(year)),
            parse_page(f"{{{{Infobox football club\n| clubname = Northport United\n| manager = {coach}\n}}}}\n{text}"),
        )
        for year, coach, text in pages
    ]


CHANGE = pair(("Carl Dorn", 2020, 2022), ("Alma Berg", 2022, None))


def aligned(*texts: str, change: Pair = CHANGE) -> Aligned:
    coaches = ("Carl Dorn", "Carl Dorn", "Alma Berg", "Alma Berg", "Alma Berg")
    found = align(change, revisions(*zip(YEARS, coaches, texts, strict=True)), REFERENCE, infobox=False)
    assert isinstance(found, Aligned)
    return found


def test_one_text_is_one_candidate_of_its_label_with_one_of_its_dates() -> None:
    old, new = STAFF.format(coach="Carl Dorn"), STAFF.format(coach="Alma Berg")
    found = aligned(*(f"== Staff ==\n{text}\n== Ground ==\n{GROUND}" for text in (old, old, new, new, new)))
    (positive,), (outdated,), (other,) = (
        found.labelled(label) for label in (Label.POSITIVE, Label.OUTDATED, Label.INSUFFICIENT)
    )
    # The current value as early as may be, a former one as late: a date says the less.
    assert positive.revision.timestamp.year == 2022
    assert outdated.revision.timestamp.year == 2021
    assert (outdated.states, outdated.conflict) == ("Carl Dorn", Conflict.VERSION)
    assert other.text == GROUND
    assert found.discarded["near-duplicate of another of its label"] == 7


def test_dates_of_folded_texts_are_of_all_ages() -> None:
    years = set()
    for number in range(30):
        text = f"== Ground ==\n{GROUND} Stand number {number} has a roof of its own, and nobody knows why it has."
        staff = (f"== Staff ==\n{STAFF.format(coach=name)}\n{text}" for name in ["Carl Dorn"] * 2 + ["Alma Berg"] * 3)
        (other,) = aligned(*staff).labelled(Label.INSUFFICIENT)
        years.add(other.revision.timestamp.year)
    assert years == set(YEARS)


def test_a_former_value_in_the_newest_revision_is_history_and_has_its_date() -> None:
    history = "== History ==\nCarl Dorn was the manager from 2019 to 2022 and won the cup of the coast in his time."
    staff = f"== Staff ==\n{STAFF.format(coach='Alma Berg')}"
    old = f"== Staff ==\n{STAFF.format(coach='Carl Dorn')}"
    found = aligned(old, old, staff + "\n" + history, staff + "\n" + history, staff + "\n" + history)
    kinds = {each.conflict: each.revision.timestamp.year for each in found.labelled(Label.OUTDATED)}
    assert kinds[Conflict.HISTORY] == 2024
    assert kinds[Conflict.VERSION] < 2022


def test_a_text_that_outlives_its_value_has_the_date_of_its_last_revision() -> None:
    stale = f"== Past ==\n{STAFF.format(coach='Carl Dorn')}"
    new = f"== Staff ==\n{STAFF.format(coach='Alma Berg')}"
    (outdated,) = aligned(stale, stale, f"{stale}\n{new}", f"{stale}\n{new}", new).labelled(Label.OUTDATED)
    assert (outdated.conflict, outdated.revision.timestamp.year) == (Conflict.VERSION, 2023)


def test_rows_of_one_table_part_where_a_former_row_would_stand_beside_the_current_one() -> None:
    head = "{| class=wikitable\n! Year !! Head coach !! What else there was to tell of the year by the harbour"
    rows = [
        f"|-\n| {year} || {coach} || {'the wind and the waves and the rain of a long and cold winter ' * 3}"
        for year, coach in ((2021, "Carl Dorn"), (2024, "Alma Berg (present)"))
    ]
    old, new = ("\n".join([head, *own, "|}"]) for own in (rows[:1], rows))
    found = aligned(old, old, new, new, new)
    late = [each for each in found.labelled(Label.OUTDATED) if each.conflict is Conflict.HISTORY]
    assert late
    assert not any("Alma Berg" in each.text for each in late)


def test_a_stale_sentence_of_the_newest_revision_is_history_too() -> None:
    new = (
        f"== Staff ==\n{STAFF.format(coach='Alma Berg')}\n== Today ==\nThe head coach is Carl Dorn, as everybody says."
    )
    old = f"== Staff ==\n{STAFF.format(coach='Carl Dorn')}"
    found = aligned(old, old, new, new, new)
    assert Conflict.HISTORY in {each.conflict for each in found.labelled(Label.OUTDATED)}


def test_a_sentence_that_only_moved_to_another_section_is_history() -> None:
    moved = "Carl Dorn was the manager from 2019 to 2022 and won the cup of the coast twice in his time."
    gone = "Under the manager Carl Dorn the club by the harbour was promoted twice in three long years."
    staff = f"== Staff ==\n{STAFF.format(coach='Alma Berg')}"
    old = f"== Staff ==\nOnce more. {moved}\n== Cups ==\n{gone}"
    # In the newest revision it stands beside the current manager: that window is no outdated passage.
    new = f"{staff} {moved}"
    kinds = {each.conflict: each.text for each in aligned(old, old, new, new, new).labelled(Label.OUTDATED)}
    assert moved in kinds[Conflict.HISTORY]
    assert kinds[Conflict.VERSION] == gone


def test_a_sentence_is_history_still_where_a_typo_in_it_was_mended() -> None:
    one = "From 2019 on the manager was Carl Dorn, who won the cup of the coast twicce in his time there by the sea."
    new = f"== Past ==\n{one.replace('twicce', 'twice')} {STAFF.format(coach='Alma Berg')}"
    outdated = aligned(one, one, new, new, new).labelled(Label.OUTDATED)
    assert {each.conflict for each in outdated} == {Conflict.HISTORY}


def test_a_sentence_whose_name_was_replaced_is_of_an_old_version() -> None:
    one = f"== Staff ==\n{STAFF.format(coach='Carl Dorn')} {GROUND}"
    outdated = aligned(one, one, *[one.replace("Carl Dorn", "Alma Berg")] * 3).labelled(Label.OUTDATED)
    assert {each.conflict for each in outdated} == {Conflict.VERSION}


def test_one_body_under_two_headings_is_one_passage() -> None:
    body = "Carl Dorn was the manager from 2019 to 2022 and won the cup of the coast twice in his time."
    texts = [f"== {head} ==\n{body}\n== Staff ==\n{STAFF.format(coach='Alma Berg')}" for head in ("Past", "History")]
    outdated = aligned(texts[0], texts[0], *[texts[1]] * 3).labelled(Label.OUTDATED)
    assert [(each.conflict, each.heading) for each in outdated if body in each.text] == [(Conflict.HISTORY, "History")]


def test_a_value_to_come_is_announced() -> None:
    change = pair(("Carl Dorn", 2020, 2022), ("Alma Berg", 2022, None), ("Olga Ek", 2026, None))
    assert [fact.value for fact in change.coming] == ["Olga Ek"]
    news = "== News ==\nFrom July on Olga Ek will be the head coach of the club by the harbour, as the board says."
    new = f"== Staff ==\n{STAFF.format(coach='Alma Berg')}\n{news}"
    old = f"== Staff ==\n{STAFF.format(coach='Carl Dorn')}"
    found = aligned(old, old, new, new, new, change=change)
    assert {each.states: each.conflict for each in found.labelled(Label.OUTDATED)}["Olga Ek"] is Conflict.ANNOUNCED


def test_a_change_of_one_name_in_a_long_text_gets_smaller_windows() -> None:
    around = " ".join(
        f"In {year} the club played on the grounds of the old harbour and won." for year in range(1950, 1968)
    )
    texts = [f"== Staff ==\n{STAFF.format(coach=coach)} {around}" for coach in ["Carl Dorn"] * 2 + ["Alma Berg"] * 3]
    found = aligned(*texts)
    assert found.size < 300
    for outdated in found.labelled(Label.OUTDATED):
        for positive in found.labelled(Label.POSITIVE):
            assert not near_duplicates(shingles(outdated.text), shingles(positive.text))
    assert found.labelled(Label.OUTDATED)


def test_nothing_but_the_infobox_states_it() -> None:
    pages = revisions(
        *((year, coach, GROUND) for year, coach in zip((2021, 2023), ("Carl Dorn", "Alma Berg"), strict=True))
    )
    assert align(CHANGE, pages, REFERENCE, infobox=False) == NOT_IN_TEXT
    longer = [
        (revision, parse_page(f"{{{{Infobox football club\n| manager = {coach}\n| founded = 1901 by dock workers\n"
                              f"| league = [[League of the Coast]]\n}}}}\n{GROUND}"))
        for (revision, _), coach in zip(pages, ("Carl Dorn", "Alma Berg"), strict=True)
    ]  # fmt: skip
    found = align(CHANGE, longer, REFERENCE)
    assert isinstance(found, Aligned)
    assert {each.heading for each in found.candidates if each.label is Label.POSITIVE} == {"Infobox"}
    assert align(CHANGE, longer[1:], REFERENCE) == NOT_CHANGED


@pytest.mark.parametrize(
    ("body", "year", "found"),
    [
        ("He knew Carl Dorn, who was head coach of Northport United, from school.", 2024, True),
        ("He knew Carl Dorn, who was head coach of Northport United, from school.", 2021, False),
        ("He knew Carl Dorn, who was head coach of Easthaven Rovers, from school.", 2024, False),
        ("Northport United won. Carl Dorn was head coach of another club.", 2024, False),
        ("Carl Dorn was head coach of Northport United; now Alma Berg is.", 2024, False),
    ],
)
def test_other_pages_that_state_a_former_value_after_the_change(body: str, year: int, found: bool) -> None:
    dorn, berg = (read_value("person", name) for name in ("Carl Dorn", "Alma Berg"))
    assert dorn is not None
    assert berg is not None
    passages = {"other": Passage("other", "Emil Falk", "Life", body, when(year))}
    args = ("Northport United", COACH, "", [berg], [dorn], when(2022))
    assert list(stating_elsewhere(*args, passages)) == (["other"] if found else [])
