"""Markdown, plain text and front matter as pages."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.builder.infobox_text import infobox_lines, infobox_sections, part_of
from fresco.builder.markup import MARKUPS, parse, rst, title_of
from fresco.builder.markup.fields import LISTED
from fresco.builder.wikitext import Page
from fresco.builder.wikitext.worker import from_json, to_json
from fresco.errors import FrescoError

PAGE = """---
title: Apache Struts
versionCommand: x
releases:
  - releaseCycle: "7"
    eol: false
    latest: "7.10"
    latestReleaseDate: 2026-08-01
  - releaseCycle: "6"
    eol: 2027-01-01
    latest: "6.11.0"
links: [a, b]
---
> [Struts](https://x) is a *free*
> framework.

# Support ##

- one `item`<br>and more
- two

| Version | State |
|---|---|
| 7 | **supported** |

```
code is no prose
```

<div>html <b>words</b><script>bad()</script></div>
"""


def test_markdown_is_read_as_a_reader_sees_it() -> None:
    page = parse("markdown", PAGE, whole=True, tables=True)
    assert [(each.index, each.heading, each.text) for each in page.sections] == [
        (0, "", "Struts is a free framework."),
        (1, "Support", "one item\nand more\ntwo\n7 | State: supported\nhtml words"),
    ]
    assert "7 | State" not in parse("markdown", PAGE, whole=True, tables=False).sections[1].text
    assert not parse("markdown", PAGE, whole=False, tables=True).sections


def test_front_matter_is_fields_and_each_entry_of_a_list_has_its_own() -> None:
    page = parse("markdown", PAGE, whole=False, tables=True)
    assert [(box.kind, box.subject) for box in page.infoboxes] == [("fields", ""), ("releases", "7"), ("releases", "6")]
    assert page.infoboxes[1].fields["latest"][0].text == "7.10"  # a version, no number
    assert [each.text for each in page.infoboxes[0].fields["links"]] == ["a", "b"]
    sections = infobox_sections(page)
    assert [(each.index, each.heading) for each in sections] == [
        (-1, "Fields"),
        (-2, "Releases: 7"),
        (-3, "Releases: 6"),
    ]
    assert sections[1].text.splitlines() == [
        "Release cycle: 7", "Eol: false", "Latest: 7.10", "Latest release date: 2026-08-01"
    ]  # fmt: skip
    lines = infobox_lines(page, -3)
    (part,) = part_of(page, lines, lines[2].start, lines[2].end)
    assert part.subject == "6" and list(part.fields) == ["latest"]
    assert from_json(to_json(page)) == page


@pytest.mark.parametrize(
    "matter",
    ["---\n: [\n---\n", "---\n- a\n- b\n---\n", "+++\nx =\n+++\n", "---\na: &a [*a]\n---\n", "---\n---\n"],
)
def test_damaged_front_matter_costs_its_fields_only(matter: str) -> None:
    page = parse("markdown", f"{matter}text of the page\n", whole=True, tables=True)
    assert [each.text for each in page.sections] == ["text of the page"]


def test_plain_text_is_paragraphs() -> None:
    text = "One line\nand its rest.\n\n\nAnother.\n- an entry\n  of a list\n- two\n"
    (section,) = parse("plain", text, whole=True, tables=True).sections
    assert section.text.splitlines() == ["One line and its rest.", "Another.", "- an entry of a list", "- two"]


#: The same page in three languages, with fields as a table, as a list of lines and as a list of terms.
HTML = """<!doctype html><title>Mail &amp; Post</title><nav>Home</nav><script>bad()</script>
<p>Mail is a <b>ser</b>vice.<p>It runs <a href=x>day</a><br>and night.
<h2>People</h2><table><tr><th>On-call lead<td>Ada Lovell<tr><th>Since<td>2024-01-15</table>
<ul><li>Seats: 12<li>Room: <em>North hall</em></ul>
<dl><dt>Status<dd>active<dt>Owner:<dd>Bela Kuhn</dl>
<h2>Years</h2><table><tr><th>Year<th>Letters<tr><td>2023<td>5,785<table><tr><td>inner</table></table>
<pre>code is no prose</pre>
"""
RST = """Mail & Post
===========

Mail is a *ser*\\ vice. It runs :ref:`day <x>` and night, see :pep:`8`.

.. include:: /etc/passwd

People
------

:On-call lead: Ada Lovell
:Since: 2024-01-15

- Seats: 12
- Room: *North hall*

======  =========
Status  active
Owner   Bela Kuhn
======  =========

.. versionchanged:: 3.2
   It became faster.

Years
-----

====  =======
Year  Letters
====  =======
2023  5,785
====  =======

::

   code is no prose
"""
FIELDS = {
    "on-call lead": "Ada Lovell", "since": "2024-01-15", "seats": "12", "room": "North hall", "status": "active",
    "owner": "Bela Kuhn",
}  # fmt: skip


def fields(page: Page) -> dict[str, str]:
    (box,) = page.infoboxes
    assert (box.kind, box.subject) == (LISTED, "")
    return {name: entry.text for name, (entry,) in box.fields.items()}


def test_html_is_read_as_a_browser_shows_it() -> None:
    pytest.importorskip("selectolax", reason="pip install 'fresco-ccs[markup]'")
    page = parse("html", HTML, whole=True, tables=True)
    assert [(each.index, each.heading, each.text.splitlines()) for each in page.sections] == [
        (0, "", ["Mail is a service.", "It runs day", "and night."]),
        (1, "People", ["On-call lead: Ada Lovell", "Since: 2024-01-15", "Seats: 12", "Room: North hall",
                       "Status: active", "Owner: Bela Kuhn"]),
        (2, "Years", ["2023 | Letters: 5,785 inner"]),
    ]  # fmt: skip
    assert fields(page) == fields(parse("html", HTML, whole=False, tables=False)) == FIELDS
    assert title_of(HTML, "html") == "Mail & Post" and title_of("<h1>A <i>b</i></h1>", "html") == "A b"
    assert not infobox_sections(page)  # the text has their words
    deep = parse("html", "<div>" * 5000 + "deep", whole=True, tables=True)
    assert [each.text for each in deep.sections] == ["deep"]


def test_restructuredtext_is_read_as_a_reader_sees_it() -> None:
    pytest.importorskip("docutils", reason="pip install 'fresco-ccs[markup]'")
    page = parse("rst", RST, whole=True, tables=True)
    assert [(each.index, each.heading, each.text.splitlines()) for each in page.sections] == [
        (1, "Mail & Post", ["Mail is a service. It runs day and night, see PEP 8."]),
        (2, "People", ["On-call lead: Ada Lovell", "Since: 2024-01-15", "Seats: 12", "Room: North hall",
                       "Status: active", "Owner: Bela Kuhn", "3.2 It became faster."]),
        (3, "Years", ["2023 | Letters: 5,785"]),
    ]  # fmt: skip
    assert fields(page) == fields(parse("rst", RST, whole=False, tables=False)) == FIELDS
    assert title_of(RST, "rst") == "Mail & Post"


def test_fields_of_a_text_are_lists_and_tables_of_names_and_values_only() -> None:
    table = "| Field | Value |\n|---|---|\n| Owner | Ada |\n| Room | 12 |\n"
    items = "* **Seats:** 12\n* Status: *active*\n"
    page = parse("markdown", f"{table}\n{items}", whole=False, tables=False)
    assert fields(page) == {"owner": "Ada", "room": "12", "seats": "12", "status": "active"}
    assert fields(parse("plain", "A page.\n\nOwner: Ada\nRoom: 12\n", whole=False, tables=True)) == {
        "owner": "Ada", "room": "12"
    }  # fmt: skip
    for other in (
        table.replace("Field | Value", "Version | State"),  # a table of things, not of fields
        "* Seats: 12\n* and a sentence\n",
        "* Seats: 12\n",
        "* Seats: 12\n* Seats: 13\n",
        f"{items}\ntext\n\n{items.replace('12', '13').replace('active', 'off')}",  # one name, two values
    ):
        assert not parse("markdown", other, whole=False, tables=True).infoboxes
    lines = parse("plain", "Owner: Ada\nRoom: 12\n", whole=True, tables=True).sections[0].text.splitlines()
    assert lines == ["Owner: Ada", "Room: 12"]


@pytest.mark.parametrize(("markup", "module"), [("html", "selectolax.lexbor"), ("rst", "docutils.core")])
def test_a_missing_extra_is_named(markup: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rst._publish.cache_clear()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(FrescoError, match=r"pip install 'fresco-ccs\[markup\]'"):
        title_of("x", markup)


@given(st.sampled_from(sorted(set(MARKUPS.values()))), st.text())
def test_any_text_can_be_read(markup: str, text: str) -> None:
    pytest.importorskip({"html": "selectolax", "rst": "docutils"}.get(markup, "yaml"))
    page = parse(markup, text, whole=True, tables=True)
    assert from_json(to_json(page)) == page
