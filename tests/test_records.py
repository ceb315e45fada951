from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.records import Benchmark, Conflict, Label, Passage, Pool, format_timestamp, parse_timestamp
from tests.factories import make_passage, make_pool, make_query

MOMENTS = st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)).map(
    lambda when: when.replace(microsecond=0)
)


def test_texts_carry_the_timestamp_line_of_the_paper():
    passage = Passage("p", "Ajax", "Staff", "John leads.", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))
    assert passage.text == "Title: Ajax\n##Staff\nJohn leads.\nTimestamp: 2024-05-06T07:08:09Z"
    assert make_query(3).text == "Who leads club 3?\nTimestamp: 2025-01-01T23:59:59Z"


def test_lead_has_no_heading():
    passage = Passage("p", "Ajax", "", "A club.", datetime(2024, 5, 6, tzinfo=UTC))
    assert passage.content == "Title: Ajax\nA club."


@given(MOMENTS)
def test_timestamps_round_trip(when):
    assert parse_timestamp(format_timestamp(when)) == when


@pytest.mark.parametrize(
    "text", ["2024-05-06", "2024-05-06T07:08:09", "2024-13-01T00:00:00Z", "2024-02-30T00:00:00Z", ""]
)
def test_bad_timestamps_are_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse_timestamp(text)


@given(body=st.text(), when=MOMENTS)
def test_no_text_can_forge_the_date(body, when):
    passage = Passage("p", "", "", f"{body}\nTimestamp: 2999-01-01T00:00:00Z", when)
    lines = [line for line in passage.text.split("\n") if line.startswith("Timestamp:")]
    assert lines == [f"Timestamp: {format_timestamp(when)}"]
    assert passage.text.endswith(passage.timestamp_line)


def test_a_pool_needs_a_positive_and_distinct_passages():
    one, two = make_passage("a"), make_passage("b")
    with pytest.raises(ValueError, match="no positive"):
        Pool(make_query(), (one, two), (Label.OUTDATED, Label.NEAR_TOPIC))
    with pytest.raises(ValueError, match="twice"):
        Pool(make_query(), (one, one), (Label.POSITIVE, Label.OUTDATED))
    with pytest.raises(ValueError, match="2 passages, 1 labels"):
        Pool(make_query(), (one, two), (Label.POSITIVE,))


def test_what_is_said_of_the_passages_fits_them():
    pool = make_pool(outdated=1, near=1)
    said = dataclasses.replace(
        pool, gains=(3, 0, -1), conflicts=(None, Conflict.VERSION, None), superseded=(False, True, False)
    )
    assert said.grades == (3, 0, -1)
    assert pool.grades == (1, 0, 0)
    hidden = Benchmark("b", (said,), "f").without_timestamps().pools[0]
    assert (hidden.gains, hidden.conflicts, hidden.superseded) == (said.gains, said.conflicts, said.superseded)
    for change, problem in (
        ({"gains": (1, 0)}, "3 passages, 2 gains"),
        ({"superseded": (True,)}, "3 passages, 1 superseded"),
        ({"gains": (0, 1, 0)}, "is positive with grade 0"),
        ({"gains": (1, 0, 2)}, "is near-topic with grade 2"),
        ({"conflicts": (None, None, Conflict.HISTORY)}, "is near-topic; only an outdated passage"),
    ):
        with pytest.raises(ValueError, match=problem):
            dataclasses.replace(pool, **change)


def test_hidden_dates_leave_the_text_but_not_the_record():
    benchmark = Benchmark("b", (make_pool(),), "f").without_timestamps()
    pool = benchmark.pools[0]
    assert "Timestamp" not in pool.query.text
    assert all("Timestamp" not in passage.text and passage.timestamp_line == "" for passage in pool.passages)
    assert pool.passages[0].timestamp == make_pool().passages[0].timestamp
