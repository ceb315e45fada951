"""Words of scripts whose letters bear marks, as BM25 counts them."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.stats.bm25 import word_statistics
from fresco.stats.words import cut_whole, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("हिन्दी भाषा।", ["हिन्दी", "भाषा"]),  # vowel signs and virama, which \w does not know
        ("தமிழ் மொழி", ["தமிழ்", "மொழி"]),
        ("שָׁלוֹם עוֹלָם", ["שָׁלוֹם", "עוֹלָם"]),
        ("cafe\u0301 CAFÉ", ["café", "café"]),  # decomposed and composed are one word
        ("نمی\u200cخواهم خانه\u200c", ["نمی\u200cخواهم", "خانه"]),  # a joiner behind the last letter says nothing  # noqa: RUF001
        ("中国 x_1 don't 3,5", ["中国", "x_1", "don", "t", "3", "5"]),
        # No blank between words: all pairs of neighbours, marks and all; what stands beside is a word of its own.
        ("中国的首都 2024年 x中", ["中国", "国的", "的首", "首都", "2024", "年", "x", "中"]),
        ("東京タワーへ", ["東京", "京タ", "タワ", "ワー", "ーへ"]),
        ("ที่ไทย", ["ที่ไ", "ไท", "ทย"]),
        ("서울은 수도", ["서울은", "수도"]),
        ("\u0301 \u200c !", []),
    ],
)
def test_words_keep_their_marks(text: str, found: list[str]) -> None:
    assert words(text) == [unicodedata.normalize("NFC", word) for word in found]


@given(st.text())
def test_without_marks_words_are_what_w_matches(text: str) -> None:
    bare = unicodedata.normalize("NFC", "".join(c for c in text.lower() if unicodedata.category(c)[0] not in "MC"))
    unspaced = any(len(words(run)) > 1 for run in re.findall(r"\w+", bare))
    if not unspaced and not any(unicodedata.category(c)[0] == "M" for c in bare):
        assert words(bare) == re.findall(r"\w+", bare.lower())


def test_words_of_one_consonant_skeleton_are_told_apart() -> None:
    """Cut at its marks "दिन" (day) is the letters of "दान" (gift)."""
    statistics = word_statistics(["दिन", "दान", "घर"])
    assert statistics is not None and set(statistics.idf) == {"दिन", "दान", "घर"}


@pytest.mark.parametrize("part", ["首都", "北京", "ไทย", "タワー"])
def test_a_part_of_a_sentence_without_blanks_is_found_in_it(part: str) -> None:
    sentence = "中国的首都是北京。東京タワーへ行く。ประเทศไทยและลาว"
    assert set(words(part)) <= set(words(sentence))
    assert not set(words(part)) & set(words("別の文章です และอื่น"))


@given(st.text())
def test_words_are_cut_no_further(text: str) -> None:
    assert not any(map(cut_whole, words(text)))
    assert cut_whole("中国的首都") and not cut_whole("capital")
