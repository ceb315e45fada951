"""Wikitext to sections: what is kept, what goes, and that nothing damaged stops it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fresco.builder.wikitext import Page, clean, parse_infoboxes, parse_page
from fresco.builder.wikitext.parsed import Parser
from fresco.builder.wikitext.worker import from_json, to_json

PAGE = """{{Short description|none}}
{{Infobox company
| name = Northport Bank
| key_people = {{ubl|[[Ann Ek]] ([[chief executive officer|CEO]])|Bo Lund<br />(chairman)}} <!-- check | this -->
| revenue = {{increase}} {{US$|5.99}}&nbsp;billion (2023)
| empty =
}}
'''Northport Bank''' is a [[bank (finance)|bank]] of the [[coast]].<ref name="a">A book, p. 3.</ref> It earned
{{US$|5.99}} billion in {{start date|2023|5}}.<ref name="a" />

[[File:Bank.jpg|thumb|The bank at [[night]]]]
== {{nowrap|First [[years]]}} ==
It began small.
{| class="wikitable"
|-
| a cell ||
{| nested
| deep
|}
|}
{{quote box|gone}}
<gallery>
Bank.jpg|Gone
</gallery>
It grew ''fast''.
* First point
* Second point
== See also ==
* [[Other bank]]
=== Below ===
Gone too.
== Later ==
<!-- a comment -->It goes on.
"""


def test_sections_are_plain_text_with_lead_and_headings() -> None:
    page = parse_page(PAGE)
    assert [(each.index, each.heading) for each in page.sections] == [(0, ""), (1, "First years"), (4, "Later")]
    lead, first, later = (each.text for each in page.sections)
    assert lead.replace("\n", " ") == "Northport Bank is a bank of the coast. It earned US$5.99 billion in May 2023."
    assert first == "It began small.\nIt grew fast.\nFirst point\nSecond point"
    assert later == "It goes on."


def test_fields_of_infoboxes_are_entries_with_links_and_notes() -> None:
    (box,) = parse_page(PAGE).infoboxes
    assert box.kind == "company"
    people = [(each.text, each.target, each.note) for each in box.fields["key people"]]
    assert people == [("Ann Ek", "Ann Ek", "CEO"), ("Bo Lund", "", "chairman")]
    (revenue,) = box.fields["revenue"]
    assert (revenue.text, revenue.note) == ("US$5.99 billion", "2023")
    assert box.fields["empty"] == ()
    assert parse_infoboxes(PAGE) == parse_page(PAGE).infoboxes


def test_pages_survive_the_way_to_the_child_process_and_back() -> None:
    page = parse_page(PAGE)
    assert from_json(to_json(page)) == page


@pytest.mark.parametrize(
    ("wikitext", "text"),
    [
        ("an {{unclosed template", "an unclosed template"),
        ("an [[unclosed link", "an unclosed link"),
        ("a <ref>reference that never ends", "a"),
        ("a <!-- comment that never ends", "a"),
        ("before\n{| open table\n| cell\n\nafter", "before\nafter"),
        ("'''bold and ''both", "bold and both"),
        ("שלום '''עולם''' ([[ירושלים|עיר]])", "שלום עולם (עיר)"),
        ("{{lang|ar|مرحبا}} (; ) end", "مرحبا end"),
        ("a<br>b", "a\nb"),
        ("[https://example.org site] and [https://example.org]", "site and"),
        ("&amp;lt; 5 &ndash; 6", "&lt; 5 \u2013 6"),
    ],
)
def test_damaged_and_foreign_text(wikitext: str, text: str) -> None:
    assert clean(wikitext).replace("<", "") in (text, text.replace("&lt;", ""))


_MARKUP = st.lists(
    st.sampled_from(
        [
            *("{{", "}}", "[[", "]]", "|", "=", "\n", "{|", "|}", "|-", "<ref>", "</ref>", "<!--", "-->", "==", "'''"),
            *(
                "*",
                "Infobox x",
                "<br>",
                "<nowiki>",
                "&nbsp;",
                "text",
                "ubl",
                " ",
                "File:",
                "שלום",
                "{{{",
                "}}}",
                "<div",
            ),
            ">",
        ]
    ),
    max_size=60,
).map("".join)


@settings(max_examples=150)
@given(st.one_of(_MARKUP, st.text(max_size=300)))
def test_any_text_is_cleaned_to_plain_text(wikitext: str) -> None:
    page = parse_page(wikitext)
    numbers = [each.index for each in page.sections]
    assert numbers == sorted(set(numbers))
    for section in page.sections:
        assert section.text.strip() == section.text != ""
        assert "[[" not in section.text
        assert "{{" not in section.text
    assert parse_page(wikitext) == page
    assert from_json(to_json(page)) == page


@pytest.mark.parametrize(
    "wikitext",
    [
        "{{" * 20_000,
        "[[" * 20_000,
        "{{a|" * 5_000 + "}}" * 5_000,
        "{|\n" * 5_000,
        "<b>" * 20_000,
        "'''''" * 20_000,
        "== a ==\n" * 20_000,
        "{{Infobox x|a=" + "{{b|" * 3_000,
    ],
    ids=["templates", "links", "nested", "tables", "tags", "quotes", "headings", "infobox"],
)
def test_pathological_text_ends_within_the_limit(wikitext: str, tmp_path: Path) -> None:
    failed: list[str] = []
    with Parser(tmp_path / "p.sqlite", workers=1, time_limit=3) as parser:
        found = list(parser.pages([("bad", wikitext), ("good", PAGE)], whole=True, failed=failed.append))
    assert found[-1] == ("good", parse_page(PAGE))
    assert len(found) + len(failed) == 2


def test_a_page_of_two_megabytes(tmp_path: Path) -> None:
    words = "".join(f"Sentence number {number} of the [[page]] stands here.{{{{cn}}}} " for number in range(40_000))
    text = f"{{{{Infobox company|name=X}}}}\nLead.\n== Long ==\n{words[:2_000_000]}"
    with Parser(tmp_path / "p.sqlite", workers=1, time_limit=30) as parser:
        ((_, page),) = parser.pages([("x", text)], whole=True, failed=lambda _: pytest.fail("gave up"))
    assert len(page.sections[1].text) > 500_000


def test_a_hanging_page_is_given_up_and_the_next_one_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The child is told to hang on a mark; a real text that hangs the parser is not known today.
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import time, mwparserfromhell\n"
        "real = mwparserfromhell.parse\n"
        "def slow(text, *a, **k):\n"
        "    while 'HANG' in str(text): pass\n"
        "    if 'WAIT' in str(text): time.sleep(3)\n"  # as a busy machine lets it
        "    return real(text, *a, **k)\n"
        "mwparserfromhell.parse = slow\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(folder))
    failed: list[str] = []
    with Parser(tmp_path / "p.sqlite", workers=1, time_limit=2) as parser:
        pages = parser.pages([("a", "HANG"), ("b", "fine"), ("c", "WAIT")], whole=True, failed=failed.append)
        assert [key for key, _ in pages] == ["b", "c"]
    assert failed == ["a"]


def test_what_was_parsed_is_kept(tmp_path: Path) -> None:
    def texts() -> Iterator[tuple[str, str]]:
        yield "x", PAGE

    for _ in range(2):
        with Parser(tmp_path / "p.sqlite", workers=1) as parser:
            ((_, page),) = parser.pages(texts(), whole=True, failed=lambda _: None)
            assert page == parse_page(PAGE)
    with Parser(tmp_path / "p.sqlite", workers=1) as parser:
        from hashlib import sha1

        digest = sha1(PAGE.encode()).hexdigest()
        assert parser.has(digest, whole=False)
        assert parser.known(digest, whole=False) == parse_page(PAGE)
        assert parser.known("0" * 40, whole=False) is None
        assert isinstance(parser.known(digest, whole=True), Page)
