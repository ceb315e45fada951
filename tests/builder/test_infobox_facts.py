"""Facts from changing infoboxes: what is a change, and what only looks like one."""

from __future__ import annotations

from collections import Counter

import pytest

from fresco.builder.facts import Fact
from fresco.builder.facts.infobox import Dated, facts_of_page
from fresco.builder.templates import relations
from fresco.builder.wikitext import parse_infoboxes, references
from fresco.records import parse_timestamp

DAYS = ("2023-01-01T00:00:00Z", "2023-06-01T00:00:00Z", "2024-01-01T00:00:00Z", "2024-06-01T00:00:00Z")


def facts(field: str, *values: str, kind: str = "football club", times: tuple[str, ...] = DAYS) -> list[Fact]:
    moments = [parse_timestamp(time) for time in times[: len(values)]]
    dated = [
        Dated(when, until, parse_infoboxes(f"{{{{Infobox {kind}\n| name = X\n| {field} = {value}\n}}}}\nText."))
        for when, until, value in zip(moments, [*moments[1:], None], values, strict=True)
    ]
    return list(facts_of_page("X", dated, list(relations().values())))


def values(*args: str, kind: str = "football club", times: tuple[str, ...] = DAYS) -> list[str]:
    return [fact.value for fact in facts(*args, kind=kind, times=times)]


def test_a_change_of_manager_is_two_facts_with_their_times() -> None:
    first, second = facts("manager", "[[Alma Berg]]", "[[Alma Berg]]", "[[Carl Dorn (coach)|Carl Dorn]]")
    assert (first.value, first.start, first.end) == ("Alma Berg", parse_timestamp(DAYS[0]), parse_timestamp(DAYS[2]))
    assert (second.value, second.start, second.end) == ("Carl Dorn", parse_timestamp(DAYS[2]), None)
    assert {first.relation, second.relation} == {"head_coach"}


@pytest.mark.parametrize(
    ("field", "kind", "one", "other"),
    [
        ("manager", "football club", "[[Alma Berg]]", "Alma Berg<ref>new</ref>"),
        ("manager", "football club", "[[Alma Berg]]", "{{nowrap|[[Alma Berg]] (interim)}} <!-- sic -->"),
        ("manager", "football club", "[[Alma Berg (coach)|Alma Berg]]", "{{flagicon|NOR}} '''Alma Berg'''"),
        ("key_people", "company", "[[Alma Berg]] (CEO)", "{{ubl|[[Alma Berg]] ([[Chief executive officer|CEO]])}}"),
        (
            "key_people",
            "company",
            "Alma Berg (CEO)",
            "{{plainlist|\n* Alma Berg<br />{{small|(chief executive officer)}}\n}}",
        ),
        ("key_people", "company", "A Berg (CEO)<br>B Dorn (CFO)", "{{ubl|B Dorn (CFO)|A Berg (CEO)}}"),
        ("num_employees", "company", "{{increase}} 12,000 (2023)", "c. 12,000"),
        ("revenue", "company", "US$5.99 billion", "{{increase}} {{US$|5.99}}&nbsp;billion (2023)"),
        ("owner", "football club", "[[A Fund]]<br>[[B Bank]]", "{{ubl|[[B Bank]]|[[A Fund]]}}"),
    ],
)
def test_formatting_and_order_are_no_changes(field: str, kind: str, one: str, other: str) -> None:
    found = facts(field, one, other, one, kind=kind)
    assert len(found) == len({(fact.relation, fact.value) for fact in found})
    assert found
    assert all(fact.end is None for fact in found)


@pytest.mark.parametrize("gap", ["", "vacant", "''Vacant''", "TBD", "TBA", "\u2013", "{{wikidata|property|P286}}"])
def test_a_gap_is_unknown_and_no_change(gap: str) -> None:
    assert values("manager", "Alma Berg", gap, "Alma Berg") == ["Alma Berg"]
    assert values("manager", "Alma Berg", gap, "Carl Dorn") == ["Alma Berg", "Carl Dorn"]


def test_a_value_that_is_no_longer_stated_is_known_up_to_there() -> None:
    (fact,) = facts("manager", "Alma Berg", "Alma Berg", "")
    assert fact.end == parse_timestamp(DAYS[2])


def test_vandalism_that_is_reverted_within_a_day_is_no_fact() -> None:
    times = ("2023-01-01T00:00:00Z", "2023-06-01T10:00:00Z", "2023-06-01T18:00:00Z")
    assert values("manager", "Alma Berg", "Mickey Mouse", "Alma Berg", times=times) == ["Alma Berg"]
    slow = ("2023-01-01T00:00:00Z", "2023-06-01T10:00:00Z", "2023-06-03T18:00:00Z")
    assert len(values("manager", "Alma Berg", "Mickey Mouse", "Alma Berg", times=slow)) == 3


def test_two_names_for_one_office_are_not_clear() -> None:
    assert values("manager", "Alma Berg<br>Carl Dorn", "Carl Dorn") == ["Carl Dorn"]


def test_holders_of_a_shared_office_have_intervals_of_their_own() -> None:
    found = {
        fact.value: fact.end
        for fact in facts("owner", "{{ubl|[[Ada Fund]]|[[Bo Bank]]}}", "{{ubl|[[Bo Bank]]|Cy Group}}")
    }
    assert found == {"Ada Fund": parse_timestamp(DAYS[1]), "Bo Bank": None, "Cy Group": None}


def test_only_the_role_that_is_asked_for_counts() -> None:
    found = facts(
        "key_people",
        "{{ubl|Ann Ek (CEO)|Bo Ek (CEO of Other Division)|Cy Lund (deputy CEO)|Di Moe (chairman)}}",
        "{{ubl|Ann Ek (CEO)|Bo Nu (CEO of Other Division)|Cy Lund (deputy CEO)|Ed Noe (chairman)}}",
        kind="company",
    )
    assert {(fact.relation, fact.value) for fact in found} == {
        ("chief_executive", "Ann Ek"),
        ("chairperson", "Di Moe"),
        ("chairperson", "Ed Noe"),
    }


def test_offices_with_titles_of_their_own_keep_them() -> None:
    box = (
        "| leader_title1 = [[Secretary General]]\n| leader_name1 = Ann Ek\n"
        "| leader_title2 = Treasurer\n| leader_name2 = Bo Lund"
    )
    infoboxes = parse_infoboxes(f"{{{{Infobox organization\n{box}\n}}}}")
    dated = [Dated(parse_timestamp(DAYS[0]), None, infoboxes)]
    found = {(fact.role, fact.value) for fact in facts_of_page("X", dated, list(relations().values()))}
    assert found == {("Secretary General", "Ann Ek"), ("Treasurer", "Bo Lund")}


@pytest.mark.parametrize(
    ("stated", "prose", "kept"),
    [
        (("Alma Berg", "Mickey Mouse", "Alma Berg"), "", {"Alma Berg"}),
        (("Alma Berg", "Alma Berg", "Mickey Mouse"), "", {"Alma Berg"}),
        (("Mickey Mouse", "Alma Berg", "Alma Berg"), "", {"Alma Berg"}),
        (("Alma Berg", "Alma Berg", "Carl Dorn"), "The coach is C. Dorn.", {"Alma Berg", "Carl Dorn"}),
        (("Alma Berg", "Alma Berg", "Carl Dorn", "Carl Dorn"), "", {"Alma Berg", "Carl Dorn"}),
        (("Alma Berg", "Carl Dorn"), "", {"Alma Berg", "Carl Dorn"}),
    ],
)
def test_one_revision_alone_must_be_confirmed_by_prose(stated: tuple[str, ...], prose: str, kept: set[str]) -> None:
    moments = [parse_timestamp(time) for time in DAYS[: len(stated)]]
    dated = [
        Dated(when, until, parse_infoboxes(f"{{{{Infobox football club\n| manager = {name}\n}}}}"), lambda: prose)
        for when, until, name in zip(moments, [*moments[1:], None], stated, strict=True)
    ]
    problems: Counter[str] = Counter()
    found = facts_of_page("X", dated, list(relations().values()), problems=problems)
    assert {fact.value for fact in found} == kept
    assert problems.total() == len(set(stated) - kept)


@pytest.mark.parametrize(
    ("name", "title", "kept"),
    [
        ("Carl Dorn", "Carl Dorn is the new coach", {"Alma Berg", "Carl Dorn"}),
        ("Carl Dorn", "The new coach begins", {"Alma Berg"}),
    ],
)
def test_a_source_that_names_the_new_holder_confirms(name: str, title: str, kept: set[str]) -> None:
    page = f"{{{{Infobox football club\n| manager = {name}<ref>{{{{cite web|title={title}}}}}</ref>\n}}}}"
    times = [parse_timestamp(day) for day in DAYS[:3]]
    before = parse_infoboxes(page.replace(name, "Alma Berg"))
    dated = [Dated(when, None, before, str, str) for when in times[:2]]
    dated.append(Dated(times[2], None, parse_infoboxes(page), str, lambda: "".join(references(page))))
    assert {fact.value for fact in facts_of_page("X", dated, list(relations().values()))} == kept


def test_a_number_in_a_reference_confirms_nothing() -> None:
    boxes = [parse_infoboxes(f"{{{{Infobox company\n| num_employees = {number}\n}}}}") for number in (50, 7, 50)]
    dated = [
        Dated(parse_timestamp(day), None, box, str, lambda: "7 May") for day, box in zip(DAYS, boxes, strict=False)
    ]
    assert {fact.value for fact in facts_of_page("X", dated, list(relations().values()))} == {"50"}


def test_numbers_of_different_things_are_no_amount() -> None:
    one, other = (f"{{{{ubl|{boats} fishing boats|{ships} great ships}}}}" for boats, ships in ((528, 157), (380, 229)))
    assert values("production", one, one, other, other, kind="company") == []
    again = [f"{{{{ubl|{boats} fishing boats|{boats - 9} fishing boats}}}}" for boats in (528, 380)]
    assert values("production", again[0], again[0], again[1], again[1], kind="company") == ["528", "380"]


def test_redirects_and_moves_are_resolved() -> None:
    names = ("[[Old Park]]", "[[New Park|The Park]]", "[[Third Ground]]")
    dated = [
        Dated(parse_timestamp(day), None, parse_infoboxes(f"{{{{Infobox football club\n| ground = {name}\n}}}}"))
        for day, name in zip(DAYS, names, strict=False)
    ]
    leads = {"Old Park": "New Park"}
    found = list(
        facts_of_page(
            "X",
            dated,
            list(relations().values()),
            resolve=lambda titles: {each: leads.get(each, each) for each in titles},
        )
    )
    assert [fact.value for fact in found] == ["Old Park", "Third Ground"]
    assert "The Park" in found[0].aliases


def test_a_value_behind_an_unknown_template_is_dropped_and_counted() -> None:
    box = parse_infoboxes("{{Infobox company\n| key_people = Ann Ek (chairman)<br>{{unheard|Bo}} (CEO)\n}}")
    problems: Counter[str] = Counter()
    dated = [Dated(parse_timestamp(DAYS[0]), None, box)]
    found = list(facts_of_page("X", dated, list(relations().values()), problems=problems))
    assert [(fact.relation, fact.value) for fact in found] == [("chairperson", "Ann Ek")]
    assert problems == {"value behind a template that is not known": 1}


def test_a_preview_is_no_release() -> None:
    assert values("latest preview version", "2.0", "3.0", "3.0", kind="software") == []


def test_of_a_composite_amount_the_total_counts() -> None:
    one, other = (f"{{{{ubl|{free} million free|{total} million total}}}}" for free, total in ((200, 300), (220, 400)))
    found = values("num_users", one, one, other, other, kind="website")
    assert [value.split()[0] for value in found] == ["300", "400"]


def change(field: str, **others: str) -> list[tuple[str, str, str]]:
    """The facts of a change in one field of the page Harbour Agency: relation, role and value."""
    kind = others.pop("kind", "football club")
    beside = "".join(f"| {name} = {value}\n" for name, value in others.items())
    moments = [parse_timestamp(time) for time in DAYS]
    dated = [
        Dated(when, until, parse_infoboxes(f"{{{{Infobox {kind}\n| {field} = [[{name}]]\n{beside}}}}}\nText."))
        for when, until, name in zip(
            moments, [*moments[1:], None], ["Ann Ek", "Ann Ek", "Ola Dorn", "Ola Dorn"], strict=True
        )
    ]
    found = facts_of_page("Harbour Agency", dated, list(relations().values()))
    return [(fact.relation, fact.role, fact.value) for fact in found]


@pytest.mark.parametrize(
    ("title", "role"),
    [
        ("Director of the Harbour Agency", "Director"),
        ("Director of the Agency", "Director"),
        ("Acting Director", "Director"),
        ("Chairman of the Joint Chiefs of Staff", "Chairman of the Joint Chiefs of Staff"),
        ("Chief of Staff", "Chief of Staff"),
        ("Chief Officer of Research Facilities", "Chief Officer of Research Facilities"),
        ("Presidency", "President"),
    ],
)
def test_an_office_is_cut_only_at_the_name_of_its_own_body(title: str, role: str) -> None:
    found = change("chief1_name", chief1_position=title, kind="government agency")
    assert found == [("leader", role, "Ann Ek"), ("leader", role, "Ola Dorn")]


def test_a_leadership_is_nobodys_title() -> None:
    assert change("chief1_name", chief1_position="Leadership", kind="government agency") == []


@pytest.mark.parametrize(
    ("field", "sibling", "own", "another"),
    [
        ("owner", "owntitle", "Owner(s)", "President"),
        ("chairman", "chrtitle", "Chairwoman", "CEO"),
        ("manager", "mgrtitle", "Head coach", "Sporting director"),
    ],
)
def test_a_field_that_its_sibling_renames_is_another_office(field: str, sibling: str, own: str, another: str) -> None:
    assert len(change(field)) == 2
    assert change(field, **{sibling: own}) == change(field)
    renamed = {relation for relation, _, _ in change(field, **{sibling: another})}
    assert renamed <= {"leader"}  # an office of its own title, where the relations know it


def test_the_head_of_engineering_is_technical_director_where_nothing_else_is_said() -> None:
    position = "engineering_head_position"
    assert len(change("engineering_head", kind="F1 team")) == 2
    assert len(change("engineering_head", kind="F1 team", **{position: "Technical Director"})) == 2
    assert change("engineering_head", kind="F1 team", **{position: "Chief Operating and Technical Officer"}) == []


def test_an_interim_principal_officer_is_no_chief_executive() -> None:
    one, other = ("[[Ann Ek]] (CEO)", "[[Ola Dorn]] (interim principal executive officer)")
    assert values("key_people", one, one, other, other, kind="company") == ["Ann Ek"]


def boxes(*texts: str, kind: str) -> tuple[list[str], Counter[str]]:
    """The values of the facts of boxes with these lines, and what became none."""
    dated = [
        Dated(parse_timestamp(day), None, parse_infoboxes(f"{{{{Infobox {kind}\n{text}\n}}}}"))
        for day, text in zip(DAYS, texts, strict=False)
    ]
    problems: Counter[str] = Counter()
    found = facts_of_page("X", dated, list(relations().values()), problems=problems)
    return [f"{fact.role}: {fact.value}".removeprefix(": ") for fact in found], problems


def test_figures_of_two_years_that_round_alike_are_two() -> None:
    fine, coarse = "| equity = US$117.2 billion", "| equity = US$117 billion"
    assert boxes(f"{fine} (2022)", f"{coarse} (2023)", kind="company")[0] == ["US$117.2 billion", "US$117 billion"]
    in_fields = (f"{fine}\n| equity_year = 2022", f"{coarse}\n| equity_year = 2023")
    assert boxes(*in_fields, kind="company")[0] == ["US$117.2 billion", "US$117 billion"]
    assert boxes(f"{fine} (2022)", f"{coarse} (2022)", kind="company")[0] == ["US$117.2 billion"]
    assert boxes(fine, coarse, kind="company")[0] == ["US$117.2 billion"]


def test_a_recount_is_no_change() -> None:
    three, four = "3 (1990, 1995, 2021)", "4 (1984, 1990, 1995, 2021)"
    found, problems = boxes(f"| div_champs = {three}", f"| div_champs = {four}", kind="basketball club")
    assert found == []
    assert problems["count that changes without a new year in its list"] == 1
    found, _ = boxes(
        f"| div_champs = {three}", f"| div_champs = {four.replace('2021', '2021, 2023')}", kind="basketball club"
    )
    assert found == ["3", "4"]


def test_named_parts_are_no_whole() -> None:
    parts = "| launches = {{ubl|Block 1: 6|Block 2: 2}}"
    assert boxes(parts, parts.replace("6", "7"), kind="rocket")[0] == []
    total = parts.replace("Block 1: 6", "Total: 8")
    assert boxes(total, total.replace("8", "9"), kind="rocket")[0] == ["8", "9"]


def test_a_figure_takes_its_name_from_the_field_beside_it() -> None:
    label, record = "[[Home run (baseball)|Home runs]]", "| stat2label = Record\n| stat2value = 12\u20135"
    box = f"| stat1label = {label}\n| stat1value = {{}}\n{record}"
    assert boxes(box.format(62), box.format(71), kind="baseball biography")[0] == ["Home runs: 62", "Home runs: 71"]


def test_a_role_that_stands_twice_is_not_clear() -> None:
    box = "| clubs1 = Northport\n| goals1 = 12\n| clubs2 = Easthaven\n| goals2 = {}\n| clubs3 = Northport\n| goals3 = 3"
    assert boxes(box.format(4), box.format(9), kind="football biography")[0] == ["Easthaven: 4", "Easthaven: 9"]


def test_street_and_town_are_one_place() -> None:
    box = "| headquarters = {{{{ubl|{}|Northport, California}}}}"
    found, _ = boxes(*(box.format(street) for street in ("1 North Way", "1 North Wy", "7 Quay")), kind="organization")
    assert found == ["1 North Way, Northport, California", "7 Quay, Northport, California"]
    town = "| headquarters = Northport"
    assert boxes(town, box.format("7 Quay"), kind="organization")[0] == ["Northport"]


@pytest.mark.parametrize(
    ("stated", "count"),
    [
        (("US$\u2212608 million (2023)", "US$608 million (2024)"), 0),
        (("US$3.49 billion (2022)", "US$\u2212608 million (2023)", "US$608 million (2024)"), 0),
        (("US$-0.35 billion (2021)", "US$1.89 billion (2022)", "US$-352 million (2023)"), 0),
        (("US$117.2 billion (2022)", "US$117 billion (2023)"), 2),
        (("US$3.1 billion (2021)", "US$2.9 billion (2022)", "US$3.1 billion (2023)"), 3),
        (("US$312 million (2021)", "US$290 million (2022)", "US$-298 million (2023)"), 3),
    ],
)
def test_a_sum_that_comes_back_is_a_slip(stated: tuple[str, ...], count: int) -> None:
    assert len(facts("net_income", *stated, kind="company")) == count


def test_two_counts_of_one_year_are_no_change() -> None:
    assert len(values("num_employees", "6,907 (2023)", "6,908 (2023)", kind="company")) == 1
    assert len(values("num_employees", "6,907 (2023)", "6,908 (2024)", kind="company")) == 2
    assert len(values("num_employees", "6,907 (2023)", "7,208 (2023)", kind="company")) == 2


def test_a_number_of_people_is_no_other_count() -> None:
    assert not values("members", "100 million users", "220 million users", kind="company")
    assert len(values("members", "100 million members", "220 million", kind="company")) == 2


def test_parts_of_a_count_are_told_by_what_they_count() -> None:
    parts = "{{ubl|13,747 Foreign Service employees|10,518 Civil Service employees}}"
    assert values("employees", parts, "77,880 (total)", kind="government agency") == ["77,880"]


def test_an_office_of_another_body_in_brackets_is_another_office() -> None:
    found = values("key_people", "Ann Ek (CEO)", "Bo Lund (CEO, Easthaven)", kind="company")
    assert found == ["Ann Ek"]
    found = values("key_people", "Ann Ek (CEO, President)", "Bo Lund (CEO, May 2024)", kind="company")
    assert found == ["Ann Ek", "Bo Lund", "Ann Ek"]  # as chief executive, and as president


@pytest.mark.parametrize(
    ("title", "field", "words", "found"),
    [
        ("owntitle", "owner", "President", ("leader", "President")),
        ("chrtitle", "chairman", "CEO", ("leader", "CEO")),
        ("chrtitle", "chairman", "Chairwoman", ("chairperson", "")),
        ("chrtitle", "chairman", "", ("chairperson", "")),
    ],
)
def test_a_field_that_its_page_renames_names_the_office(
    title: str, field: str, words: str, found: tuple[str, str]
) -> None:
    stated = [facts(f"{title} = {words}\n| {field}", holder) for holder in ("Ann Ek", "Bo Lund")]
    assert [[(fact.relation, fact.role, fact.value) for fact in each] for each in stated] == [
        [(*found, "Ann Ek")],
        [(*found, "Bo Lund")],
    ]
