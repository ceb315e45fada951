from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.io.names import file_name, one_line, printable, short


@given(st.text(max_size=300), st.integers(40, 120))
def test_what_is_shown_is_one_safe_line_of_bounded_length(text, most):
    for shown in (printable(text, most), one_line(text, most), short(text, most)):
        assert "\n" not in shown and "\x1b" not in shown
        assert not {"Cc", "Cs"} & {unicodedata.category(char) for char in shown}
    assert len(printable("a" * 1000, most)) <= most
    assert len(short("a" * 100_000, most)) <= most + 10


@pytest.mark.parametrize("text", ["Zoë Møller", "हिन्दी", "李小龙", "👩\u200d💻", "\u0645\u06cc\u200c\u062e\u0648"])
def test_the_worlds_names_stay_as_they_are(text):
    assert printable(text) == text


def test_no_value_is_too_large_to_be_shown():
    deep = [[[[[1] * 1000] * 1000] * 1000] * 1000]
    for value in (10**5000, {"a": 10**5000}, deep, b"\xff" * 10**6, "x" * 10**7):
        assert len(short(value)) <= 95


@given(st.lists(st.text(max_size=90), min_size=2, max_size=2, unique=True))
def test_file_names_are_visible_portable_and_differ(names):
    one, other = map(file_name, names)
    assert one != other
    for name in (one, other):
        assert 0 < len(name) <= 67
        assert not name.startswith((".", "-")) and not set(name) & set('/\\:*?"<>| \n')


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", ".venv/lib", "", ".", "..", "nul", "CON.txt", "a\0b", "/", "\ud800"]
)
def test_names_that_would_do_harm(name):
    made = file_name(name)
    assert made and not made.startswith(".") and made.lower() not in ("nul", "con.txt")


def test_plain_names_stay():
    assert file_name("half-life-365") == "half-life-365"
    assert file_name("BAAI/bge").startswith("BAAI-bge-")
