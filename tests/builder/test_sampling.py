"""Which revisions are read of a long history."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from fresco.builder.near_duplicates import near_duplicates, shingles, similarity
from fresco.builder.pairs import spread
from fresco.builder.pools import by_hash, near_topic_revision
from fresco.builder.revisions import Revision
from fresco.builder.sampling import sample
from fresco.records import parse_timestamp

START = parse_timestamp("2024-01-01T00:00:00Z")
END = parse_timestamp("2024-12-31T00:00:00Z")


def history(hours: list[int], sha1: str = "a" * 40) -> list[Revision]:
    return [Revision("X", 1, index, START + timedelta(hours=hour), sha1) for index, hour in enumerate(sorted(hours))]


def test_of_many_edits_in_a_day_the_one_that_stood_is_read() -> None:
    edits = [0, 24 * 20, 24 * 20 + 1, 24 * 20 + 2, 24 * 29 + 23]
    revisions = history(edits)
    chosen = sample(revisions, START, START + timedelta(days=30), 30)
    # The last edit of day 20 stood for nine days; the very last one for an hour only, until the reference date.
    assert revisions[3] in chosen or revisions[4] in chosen
    assert revisions[1] not in chosen
    assert revisions[2] not in chosen


def test_hidden_revisions_are_no_choice() -> None:
    assert sample(history([0, 100], sha1=""), START, END, 30) == []


@given(st.lists(st.integers(0, 24 * 365), min_size=1, max_size=60, unique=True), st.integers(1, 90))
def test_samples_are_few_in_order_and_cover_the_window(hours: list[int], days: int) -> None:
    revisions = history(hours)
    chosen = sample(revisions, START, END, days)
    assert chosen == sorted(chosen, key=lambda each: each.timestamp)
    assert len(set(chosen)) == len(chosen) <= 366 // days + 2
    before = [each for each in revisions if each.timestamp <= END]
    assert bool(chosen) == bool(before)


@given(st.integers(0, 30), st.integers(1, 6))
def test_spread_keeps_the_last(count: int, most: int) -> None:
    revisions = history(list(range(count)))
    chosen = spread(revisions, most)
    assert len(chosen) == min(count, most)
    assert chosen[-1:] == revisions[-1:]
    assert len(set(chosen)) == len(chosen)


def test_choices_by_hash_are_not_moved_by_more_pages() -> None:
    titles = [f"Page {number}" for number in range(50)]
    few = by_hash(titles, 10)
    assert set(few) <= set(by_hash(titles, 20))
    kept = [title for title in titles if title not in few][:20] + few
    assert by_hash(kept, 10) == few
    revisions = history([0, 1, 2])
    assert near_topic_revision(revisions) is near_topic_revision(list(revisions))


def test_near_duplicates_share_nearly_all_runs_of_words() -> None:
    text = "The club plays by the river and has played there for as long as anyone in the town remembers " * 3
    assert near_duplicates(shingles(text), shingles(text.upper() + " Yes."))
    assert not near_duplicates(shingles(text), shingles("Something else stands here, and nothing of the club by it."))
    assert similarity(shingles("a b"), shingles("a b")) == 1.0
