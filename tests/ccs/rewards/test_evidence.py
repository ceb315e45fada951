"""The offline default: ordering by quality, and what cannot raise it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccs.rewards.bottleneck import psi_trace
from ccs.rewards.evidence import Evidence
from tests.ccs.rewards.trails import (
    DIRECTOR,
    FILM,
    OFF_TOPIC,
    OFF_TOPIC_TOO,
    QUESTION,
    TOPICAL,
    TOPICAL_TOO,
    TOWN,
    perfect,
    trail,
)

_PAGES = (FILM, DIRECTOR, TOWN, TOPICAL, TOPICAL_TOO, OFF_TOPIC, OFF_TOPIC_TOO)


def score(*pages: str, question: str = QUESTION, **options: float) -> float:
    return Evidence(**options).score_traces([(question, psi_trace(trail(*(("x", [page]) for page in pages))))])[0]  # type: ignore[arg-type]


def test_by_hand():
    question = "Who was the director of Basalt?"  # "director" weighs 1, "Basalt" 3
    page = '"Basalt"\nIts director was unknown.'
    assert score(page, question=question, pages=1) == pytest.approx(1.0)
    assert score(page, question=question) == pytest.approx(0.3 + 0.7 * 0.5)  # one page where two are wanted
    assert score("Its director was unknown.", question=question, pages=1, floor=1.0) == pytest.approx(0.25)


def test_perfect_above_half_above_topical_above_off_topic():
    whole, half, topical = score(FILM, DIRECTOR, TOWN), score(FILM), score(TOPICAL, TOPICAL_TOO)
    assert whole > 1.3 * half and whole > 1.3 * topical
    assert min(half, topical) > 0.1 > score(OFF_TOPIC, OFF_TOPIC_TOO)


def test_pages_that_link_only_to_each_other_earn_nothing():
    assert score(TOPICAL, OFF_TOPIC, OFF_TOPIC_TOO) == pytest.approx(score(TOPICAL), abs=0.02)


def test_parts_of_one_page_are_not_linked():
    other_part = '"Hollow Lantern"\nHollow Lantern was shot by Ada Quillfeather in a quarry.'
    assert score(FILM, other_part) < score(FILM, DIRECTOR)


def test_nothing_found_earns_nothing():
    assert score() == score("") == 0.0
    assert Evidence().score_traces([("?!", psi_trace(perfect())), ("who is it", psi_trace(perfect()))]) == [0.0, 0.0]


def test_a_huge_first_line_is_read_in_time():
    huge = f'"{"Hollow Lantern " * 100_000}"\n{"word " * 100_000}'
    started = time.process_time()  # not the clock's: a busy machine needs longer by that
    assert 0 < score(huge, FILM) <= 1
    assert time.process_time() - started < 30


@given(st.lists(st.sampled_from(_PAGES), min_size=1, max_size=5), st.data())
def test_repetition_and_order_change_nothing(pages, data):
    again = data.draw(st.lists(st.sampled_from(pages), max_size=4))
    shuffled = data.draw(st.permutations([*pages, *again]))
    assert score(*shuffled) == pytest.approx(score(*pages), abs=1e-12)


@given(st.lists(st.text(max_size=40), max_size=4), st.text(max_size=60))
def test_any_text_scores_from_0_to_1(pages, question):
    assert 0 <= score(*pages, question=question) <= 1


@given(
    st.lists(st.sampled_from(_PAGES), min_size=1, max_size=4), st.lists(st.text(max_size=30), min_size=1, max_size=4)
)
def test_queries_are_not_read(pages, queries):
    asked = [(queries[n % len(queries)], [page]) for n, page in enumerate(pages)]
    pasted = [(QUESTION, [page]) for page in pages]
    one, other = Evidence().score_traces([(QUESTION, psi_trace(trail(*searches))) for searches in (asked, pasted)])
    assert one == other
