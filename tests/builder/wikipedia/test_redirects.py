from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.builder.wikipedia.redirects import is_bare, normal_title, target_of


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("#REDIRECT [[Bluesky]]", "Bluesky"),
        ("#redirect [[Some conference#2023]] {{R to related topic}}", "Some conference"),
        ("\n # Redirect : [[A_b|c]]", "A b"),
        ("#REDIRECT[[:Category:X]]", "Category:X"),
        ("#WEITERLEITUNG [[Ziel]]", "Ziel"),
        ("#перенаправление [[Цель]]", "Цель"),
        ("#पुनर्प्रेषित [[लक्ष्य]]", "लक्ष्य"),
        ("# a numbered list of [[links]]", None),
        ("An article about #REDIRECT [[X]]", None),
        ("", None),
    ],
)  # fmt: skip
def test_target_of(text: str, target: str | None) -> None:
    assert target_of(text) == target


def test_a_page_with_an_article_among_its_revisions_is_no_bare_redirect() -> None:
    assert is_bare([30, 120])
    assert is_bare([])
    assert not is_bare([120, 20_000, 30])


@given(st.text())
def test_normal_title_is_a_fixed_point_and_nothing_crashes(text: str) -> None:
    once = normal_title(text)
    assert normal_title(once) == once
    target_of(text)
