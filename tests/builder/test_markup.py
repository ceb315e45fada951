"""Markdown, plain text and front matter as pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.builder.infobox_text import infobox_lines, infobox_sections, part_of
from fresco.builder.markup import MARKUPS, parse
from fresco.builder.wikitext.worker import from_json, to_json

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


@given(st.sampled_from(sorted(set(MARKUPS.values()))), st.text())
def test_any_text_can_be_read(markup: str, text: str) -> None:
    page = parse(markup, text, whole=True, tables=True)
    assert from_json(to_json(page)) == page
