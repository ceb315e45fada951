"""The index of near-duplicates finds what comparing each with each finds."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from fresco.builder.near_duplicates import NEAR, TwinIndex, near_duplicates, shingles, similarity

_SETS = st.lists(st.frozensets(st.sampled_from("abcdefghijkl"), min_size=1), min_size=1, max_size=12)


@settings(max_examples=300)
@given(_SETS)
def test_it_misses_nothing_and_adds_nothing(sets: list[frozenset[str]]) -> None:
    index = TwinIndex()
    for number, own in enumerate(sets):
        assert index.twins(own) == [at for at, other in enumerate(sets[:number]) if near_duplicates(own, other)]
        assert index.add(own) == number
    assert len(index) == len(sets)


def test_the_bound_itself_is_a_duplicate() -> None:
    one, other = frozenset("abcd"), frozenset("abcde")
    assert similarity(one, other) == NEAR
    index = TwinIndex()
    index.add(one)
    assert index.twins(other) == [0]


def test_short_texts_have_a_shingle_of_their_own() -> None:
    assert shingles("Two words") == {"two words"}
