"""The cache: what goes in comes out, from several processes, after kills and from damaged files."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fresco.builder.revisions import Revision
from fresco.builder.wikipedia.cache import FOREVER, Answer, Cache, Listed, Listing, text_sha1
from fresco.errors import FrescoError

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
_START = datetime(2020, 1, 1, tzinfo=UTC)


def _listed(title: str, hours: list[int]) -> list[Listed]:
    return [
        Listed(Revision(title, 7, hour, _START + timedelta(hours=hour), text_sha1(str(hour))), size=hour)
        for hour in sorted(hours)
    ]


@given(st.lists(_TEXTS, max_size=8))
@settings(max_examples=25)
def test_texts_come_back_as_they_went_in(texts: list[str]) -> None:
    with TemporaryDirectory() as folder, Cache(Path(folder) / "c.sqlite") as cache:
        source = cache.source("here")
        cache.put_answers(source, [(n, Answer(text_sha1(text)), text) for n, text in enumerate(texts)])
        for number, text in enumerate(texts):
            answer = cache.answer(source, number)
            assert answer is not None
            assert cache.text(answer.sha1) == text
        assert cache.text(text_sha1("never put in")) is None
        assert cache.answer(source, len(texts)) is None


_HOURS = st.integers(0, 30)
_WINDOWS = st.lists(
    st.tuples(_HOURS, _HOURS).map(sorted).filter(lambda pair: pair[0] < pair[1]), min_size=1, max_size=5
)


@given(st.sets(_HOURS, max_size=20), _WINDOWS, _WINDOWS)
@settings(max_examples=50)
def test_a_listing_answers_exactly_the_windows_it_covers(
    saved: set[int], listed: list[list[int]], asked: list[list[int]]
) -> None:
    at = int((_START + timedelta(days=10)).timestamp())

    def seconds(hour: int) -> int:
        return int((_START + timedelta(hours=hour)).timestamp())

    with TemporaryDirectory() as folder, Cache(Path(folder) / "c.sqlite") as cache:
        source = cache.source("here")
        for start, stop in listed:
            rows = _listed("T", [hour for hour in saved if start <= hour < stop])
            cache.put_listing(source, "t", seconds(start), seconds(stop), at, Listing("T"), rows)
        for start, stop in asked:
            found = cache.listing(source, "t", seconds(start), seconds(stop))
            assert (found is not None) == any(a <= start and stop <= b for a, b in listed)
            if found is not None:
                rows = cache.revisions(source, "T", seconds(start), seconds(stop))
                assert rows == _listed("T", [hour for hour in saved if start <= hour < stop])


def test_what_a_listing_does_not_know_yet(tmp_path: Path) -> None:
    with Cache(tmp_path / "c.sqlite") as cache:
        source = cache.source("here")
        cache.put_listing(source, "t", 0, FOREVER, 1000, Listing("T"), [])
        assert cache.listing(source, "t", 0, FOREVER) is not None
        assert cache.listing(source, "t", 5, 1000) is not None
        assert cache.listing(source, "t", 0, 1001) is None
        assert cache.listing(cache.source("there"), "t", 0, 1000) is None


def test_a_later_listing_replaces_what_a_wiki_no_longer_shows(tmp_path: Path) -> None:
    with Cache(tmp_path / "c.sqlite") as cache:
        source = cache.source("here")
        cache.put_listing(source, "T", 0, FOREVER, 1000, Listing("T"), _listed("T", [1, 2, 3]))
        cache.put_listing(source, "T", 0, FOREVER, 2000, Listing("T"), _listed("T", [1, 3, 4]))
        assert cache.revisions(source, "T") == _listed("T", [1, 3, 4])


_WRITER = """
import sys
from pathlib import Path
from fresco.builder.wikipedia.cache import Answer, Cache, text_sha1
cache = Cache(Path(sys.argv[1]))
source = cache.source("here")
first = int(sys.argv[2])
for start in range(first, first + 400, 10):
    texts = [f"number {n} " * 200 for n in range(start, start + 10)]
    cache.put_answers(source, [(start + i, Answer(text_sha1(t)), t) for i, t in enumerate(texts)])
    print(start, flush=True)
"""


def _writer(path: Path, first: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _WRITER, str(path), str(first)], stdout=subprocess.PIPE)


def _check(path: Path, numbers: range) -> int:
    """Every text that is there is whole; how many of the numbers are there."""
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    there = 0
    with Cache(path) as cache:
        source = cache.source("here")
        for number in numbers:
            answer = cache.answer(source, number)
            if answer is not None:
                there += 1
                assert cache.text(answer.sha1) == f"number {number} " * 200
    return there


def test_processes_write_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    writers = [_writer(path, first) for first in (0, 200, 400)]  # they overlap
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    assert _check(path, range(800)) == 800


def test_a_killed_writer_leaves_whole_rows(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    for kill_after in (0.0, 0.003, 0.02):
        writer = _writer(path, 0)
        assert writer.stdout is not None
        acknowledged = int(writer.stdout.readline()) + 10
        time.sleep(kill_after)
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
        there = _check(path, range(400))
        assert there >= acknowledged
        assert there % 10 == 0  # a transaction is there whole or not at all


def test_files_that_are_no_cache(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("this is no database at all, and long enough to be looked at as one" * 20)
    with pytest.raises(FrescoError, match="cannot be used"):
        Cache(text)
    assert text.read_text().startswith("this is no database")

    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE mine (x)")
    with pytest.raises(FrescoError, match="another program"):
        Cache(foreign)

    newer = tmp_path / "newer.sqlite"
    Cache(newer).close()
    with sqlite3.connect(newer) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(FrescoError, match="version 99"):
        Cache(newer)

    with pytest.raises(FrescoError, match="cannot be used"):
        Cache(tmp_path)


def test_a_damaged_text_is_never_given_out(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite"
    with Cache(path) as cache:
        cache.put_answers(cache.source("here"), [(1, Answer(text_sha1("abc")), "abc")])
    with sqlite3.connect(path) as database:
        database.execute("UPDATE texts SET body = zeroblob(20)")
    with Cache(path) as cache, pytest.raises(FrescoError, match="is damaged; delete the file"):
        cache.text(text_sha1("abc"))


def test_a_full_disk_is_one_clear_line(tmp_path: Path) -> None:
    with Cache(tmp_path / "c.sqlite") as cache:
        source = cache.source("here")
        cache.connection.execute("PRAGMA max_page_count = 20")  # SQLite's own way to run out of space
        body = "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(200_000))
        with pytest.raises(FrescoError, match=r"cannot be used .*full"):
            cache.put_answers(source, [(1, Answer(text_sha1(body)), body)])
        assert cache.answer(source, 1) is None
        cache.connection.execute("PRAGMA max_page_count = 100000")
        cache.put_answers(source, [(1, Answer(text_sha1(body)), body)])
        assert cache.text(text_sha1(body)) == body
