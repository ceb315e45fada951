"""Templates that stand for words, families of them; unknown ones make a value unreadable and slide to no neighbour."""

from __future__ import annotations

import pytest

from fresco.builder.wikitext import clean
from fresco.builder.wikitext.infobox import entries
from fresco.builder.wikitext.references import without_references


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{start date|2020|Jan|5}}", "January 5, 2020"),
        ("{{Start date and age|df=yes|2020|01|05}}", "5 January 2020"),
        ("{{end date|2020|September}}", "September 2020"),
        ("{{dts|2024|May|3}}", "May 3, 2024"),
        ("{{dts|format=dmy|2024|May|3}}", "3 May 2024"),
        ("{{dts|3 May 2024}}", "3 May 2024"),
        ("{{date|2024-05-03|dmy}}", "3 May 2024"),
        ("{{birth date|1=1970|2=2|3=1}}", "February 1, 1970"),
        ("{{start date|2020}}", "2020"),
        ("{{INR|95|c}}", "₹95 crore"),
        ("{{INR|1.4|lc}}", "₹1.4 lakh crore"),
        ("{{INRConvert|20|l}}", "₹20 lakh"),
        ("{{US$|5.99|b}}", "US$5.99 billion"),
        ("{{USD|100|2010}}", "US$100"),
        ("{{currency|100|GBP}}", "£100"),
        ("{{frac|3|1|2}}", "3 1/2"),
        ("{{sfrac|1|2}}", "1/2"),
        ("{{formatnum:12345}}", "12,345"),
        ("{{formatnum:1234567.5}}", "1,234,567.5"),
        ("{{num|12345}}", "12,345"),
        ("{{nobreak|12 August 2024}}", "12 August 2024"),
        ("{{nowrap|1=a = b}}", "a = b"),
        ("{{USS|Enterprise|CV-6}}", "USS Enterprise"),
        ("{{HMS|Victory}}", "HMS Victory"),
        ("{{sclass|Nimitz|carrier}}", "Nimitz-class carrier"),
        ("{{lang-fr|Doé}}", "Doé"),
        ("{{lang-sr-Latn|Doe}}", "Doe"),
        ("{{langx|fr|Doé}}", "Doé"),
        ("{{transl|ar|ALA|Bayt}}", "Bayt"),
        ("{{nihongo||日本|Nihon}}", "Nihon"),
        ("{{ill|Jane Roe|fr|lt=J. Roe}}", "J. Roe"),
        ("{{uc:abc}}", "ABC"),
        ("{{NYSE|ACME}}", "NYSE: ACME"),
    ],
)
def test_templates_are_read_as_a_reader_sees_them(template: str, text: str) -> None:
    assert clean(f"It is {template} there.") == f"It is {text} there."
    (entry,) = entries(template)
    assert entry.readable
    assert entry.text == text.partition(" (")[0]


@pytest.mark.parametrize(
    "template",
    [
        "{{unheard of|2020}}",
        "{{start date|2020|13|5}}",
        "{{start date|soon}}",
        "{{INR|95|wagonloads}}",
        "{{formatnum:many}}",
        "{{#invoke:Officeholder|of|x}}",
        "{{wikidata|property|P286}}",
        "{{CURRENTYEAR}}",
        "{{nowrap|{{unheard of|Jane}}}}",
        "{{lang|fr|{{unheard of|Jane}}}}",
        "{{To USD|12|NLD}}",
    ],
)
def test_what_cannot_be_read_is_unreadable_and_keeps_its_role(template: str) -> None:
    first, second = entries(f"Ann Ek (chair)<br>{template} (CEO)")
    assert (first.text, first.note, first.readable) == ("Ann Ek", "chair", True)
    assert not second.readable
    assert second.note == "CEO"


@pytest.mark.parametrize(
    "wrapped",
    [
        "{{plainlist|1=\n* A (CEO)\n* B (CFO)\n}}",
        "{{plainlist|\n* A (CEO)\n* B (CFO)\n}}",
        "{{ubl|1=A (CEO)|2=B (CFO)}}",
        "{{ublist|A (CEO)|B (CFO)}}",
        "{{unbulleted list|A (CEO)|2=B (CFO)}}",
        "{{bulleted list|A (CEO)|B (CFO)}}",
        "{{hlist|A (CEO)|B (CFO)}}",
        "{{nobreak|A (CEO)}}<br />{{nowrap|1=B (CFO)}}",
        "A{{efn|x}} (CEO)<br>B{{increase}} (CFO)",
    ],
)
def test_lists_give_their_entries_however_they_are_spelled(wrapped: str) -> None:
    assert [(entry.text, entry.note) for entry in entries(wrapped)] == [("A", "CEO"), ("B", "CFO")]


def test_a_role_in_brackets_alone_is_given_to_nobody_who_has_one() -> None:
    first, second = entries("Ann Ek (chair)<br>(CEO)<br>Bo Lund<br>{{small|(CFO)}}")
    assert (first.note, second.note) == ("chair", "CFO")


@pytest.mark.parametrize(
    ("reference", "left"),
    [
        ('<ref name="a/b" />', ""),
        ('<ref name="a/b"/>', ""),
        ("<ref name=a/b />", ""),
        ("<ref name=a/b>x</ref>", ""),
        ("<ref name=a/>", ""),
        ('<ref name="a>b" />', ""),
        ('<ref name="a>b">x</ref>', ""),
        ("<ref name='a/b' group=\"n/1\" / >", ""),
        ('<REF NAME="a">x</REF >', ""),
        ("<ref>a <ref>b</ref> c</ref>", ""),
        ('<ref>a <ref name="x/y" /> c</ref>', ""),
        ("<ref>{{cite web\n| url=http://a/b/\n}}</ref>", ""),
        ("</ref>", ""),
        ("<references />", "<references />"),
    ],
)
def test_references_swallow_nothing(reference: str, left: str) -> None:
    after = "\nNext <ref>y</ref>line.\n\nNext paragraph.<ref>z</ref>"
    assert without_references(f"One{reference} two.{after}") == f"One{left} two.\nNext line.\n\nNext paragraph."


@pytest.mark.parametrize("unclosed", ["<ref>x", '<ref name="a">x', "<ref name=a", '<ref name="a>x'])
def test_an_unclosed_reference_ends_with_its_paragraph(unclosed: str) -> None:
    text = without_references(f"One{unclosed} two.\n\nNext paragraph.<ref>z</ref> End.")
    assert text == "One\n\nNext paragraph. End."
