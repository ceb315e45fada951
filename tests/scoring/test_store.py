from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.errors import FrescoError
from fresco.scoring.store import ScoreStore, context_key, default_store, pair_key
from tests.factories import make_passage, make_query
from tests.waiting import PATIENCE


def test_what_is_put_is_found_again_after_reopening(tmp_path):
    keys = [bytes([number]) * 32 for number in range(5)]
    with ScoreStore(tmp_path / "deep" / "scores.sqlite") as store:
        store.put((key, index / 3) for index, key in enumerate(keys))
    with ScoreStore(tmp_path / "deep" / "scores.sqlite") as store:
        assert store.get([*keys, b"unknown"]) == {key: index / 3 for index, key in enumerate(keys)}


def test_the_first_score_of_a_key_stays(tmp_path):
    with ScoreStore(tmp_path / "s") as store:
        store.put([(b"k", 1.0)])
        store.put([(b"k", 2.0), (b"l", 3.0)])
        assert store.get([b"k", b"l"]) == {b"k": 1.0, b"l": 3.0}


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9) | st.just(-0.0))
def test_every_number_is_found_again(number):
    with ScoreStore(":memory:") as store:
        store.put([(b"k" * 32, number)])
        assert store.get([b"k" * 32]) == {b"k" * 32: number}


def test_more_keys_than_sqlite_binds_at_once():
    with ScoreStore(":memory:") as store:
        keys = [number.to_bytes(32, "big") for number in range(2345)]
        store.put((key, 0.5) for key in keys)
        assert len(store.get(keys)) == 2345


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), min_size=2, max_size=2, unique=True))
def test_keys_differ_where_anything_differs(fields):
    keys = {context_key(name, instruction) for name, instruction in fields}
    assert len(keys) == 2


def test_the_default_instruction_is_not_the_empty_one():
    assert context_key("m", None) != context_key("m", "")


def test_a_pair_key_sees_text_date_and_pool():
    query, passage = make_query(), make_passage("a", days_old=3)
    context = context_key("m", None)
    later = make_passage("a", days_old=2)
    assert pair_key(context, query, passage) != pair_key(context, query, later)
    listwise = context_key("m", None, [passage, later])
    assert listwise != context_key("m", None, [later, passage])


def test_a_foreign_file_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but somebody's notes\n" * 100)
    with pytest.raises(FrescoError, match=r"notes\.txt: file is not a database; .*--store"):
        ScoreStore(path)
    assert path.read_text().startswith("not a database")


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(FrescoError, match="unable to open database file"):
        ScoreStore(tmp_path)


def _write(path: Path, start: int) -> None:
    with ScoreStore(path) as store:
        for number in range(start, start + 200):
            store.put([(number.to_bytes(32, "big"), float(number))])


def test_two_processes_write_at_once(tmp_path):
    path = tmp_path / "s"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_write, args=(path, start)) for start in (0, 100)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE)
        assert worker.exitcode == 0
    with ScoreStore(path) as store:
        found = store.get([number.to_bytes(32, "big") for number in range(300)])
    assert sorted(found.values()) == [float(number) for number in range(300)]


def test_default_place(monkeypatch, tmp_path):
    monkeypatch.setenv("FRESCO_STORE", str(tmp_path / "own"))
    assert default_store() == tmp_path / "own"
    monkeypatch.delenv("FRESCO_STORE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_store() == tmp_path / "fresco" / "scores.sqlite"
