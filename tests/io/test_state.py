"""State files: what was written is read, and whatever else lies there is one line."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fresco.errors import FrescoError
from fresco.io.jsonlines import parse_json
from fresco.io.state import is_finite, read_state, write_state
from fresco.optimizer.search.soundness import flaw_of_trial
from fresco.results.rows import are_rows
from fresco.scoring.store import ScoreStore

CONTENT = {"count": 3, "name": "Zoë", "files": {"a": "1"}, "ratio": 0.1, "none": None}
SHAPE = {"count": int, "name": str, "files": dict, "none": (str, type(None)), "ratio": lambda value: 0 <= value <= 1}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    write_state(tmp_path / "state.json", CONTENT)
    return tmp_path / "state.json"


def test_what_was_written_is_read(state: Path) -> None:
    assert read_state(state, SHAPE, "again") == CONTENT


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_is_taken_for_a_state(state: Path, data: st.DataObject) -> None:
    whole = state.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    change = data.draw(st.sampled_from(["flip", "cut", "insert", "drop"]))
    damaged = {
        "flip": whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :],
        "cut": whole[:place],
        "insert": whole[:place] + data.draw(st.binary(min_size=1, max_size=9)) + whole[place:],
        "drop": whole[:place] + whole[place + 1 :],
    }[change]
    state.write_bytes(damaged)
    try:
        found = read_state(state, SHAPE, "make it again")
    except FrescoError as error:
        assert str(error).startswith(f"{state}: ") and str(error).endswith("; make it again")
        assert "\n" not in str(error) and len(str(error)) < len(str(state)) + 300
    else:  # white space between values, or the checksum's own name: as from a version that wrote none
        assert found == CONTENT or "checksum" not in json.loads(damaged)
    finally:
        state.write_bytes(whole)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is damaged (Expecting value"),
        (b"[]", "is damaged (holds [], no object)"),
        (b"\xff\xfe{}", "is damaged ('utf-8' codec"),
        (b'{"count": 1' + b"0" * 400 + b"}", "a number of 401 digits"),
        (b'{"count": NaN}', "NaN is no JSON number"),
        (b'{"count": true}', "count is True"),
        (b'{"count": "3"}', "count is '3'"),
        (b"{}", "has no count"),
        (b"[" * 100_000, "is damaged"),
        (json.dumps({**CONTENT, "ratio": 2}).encode(), "ratio is 2"),
    ],
)
def test_each_damage_is_named(state: Path, content: bytes, said: str) -> None:
    state.write_bytes(content)
    with pytest.raises(FrescoError) as refused:
        read_state(state, SHAPE, "make it again")
    assert said in str(refused.value) and "\n" not in str(refused.value)


def test_a_file_of_an_earlier_version_has_no_checksum(state: Path) -> None:
    state.write_text(json.dumps(CONTENT))
    assert read_state(state, SHAPE, "again") == CONTENT


def test_secrets_stay_out(state: Path) -> None:
    write_state(state, {"url": "http://me:hunter22@h/?token=abcdef"})
    assert "hunter22" not in state.read_text() and "abcdef" not in state.read_text()
    assert read_state(state, {"url": str}, "again")["url"] == "http://me:***@h/?token=***"


@pytest.mark.parametrize("text", ["1" + "0" * 400, "1e999", "-1e999", "[1" + "0" * 5000 + "]"])
def test_numbers_that_no_float_holds_are_no_json_of_ours(text: str) -> None:
    with pytest.raises(ValueError, match=r"digits|beyond"):
        parse_json(text)
    assert parse_json("[1e308, 123456789012345678901, -0.0]") == [1e308, 123456789012345678901, -0.0]


def test_a_score_that_lost_a_bit_is_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scores.sqlite"
    keys = [bytes([number]) * 32 for number in range(4)]
    with ScoreStore(path) as store:
        store.put((key, number / 3) for number, key in enumerate(keys))
    with sqlite3.connect(path) as database:
        database.execute("UPDATE scores SET value = value + 1e-9 WHERE key = ?", (keys[1],))
        database.execute("UPDATE scores SET value = 'text' WHERE key = ?", (keys[2],))
    with ScoreStore(path) as store:
        assert store.get(keys) == {keys[0]: 0.0, keys[3]: 1.0}
        assert "2 scores were damaged; they are made again" in capsys.readouterr().err
        store.put([(keys[1], 0.5)])  # the damaged one does not stand in its way
        assert store.get(keys)[keys[1]] == 0.5
        assert not capsys.readouterr().err


def test_a_store_of_an_earlier_version_is_read_and_written(tmp_path: Path) -> None:
    path = tmp_path / "scores.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE scores (key BLOB PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID")
        database.execute("INSERT INTO scores VALUES (?, ?)", (b"old", 0.25))
    for _ in range(2):
        with ScoreStore(path) as store:
            store.put([(b"new", 0.5)])
            assert store.get([b"old", b"new"]) == {b"old": 0.25, b"new": 0.5}


_TRIAL = {
    "sha256": "",
    "operator": "",
    "parents": [],
    "round": 1,
    "seed": 0,
    "detail": {},
    "pairs_scored": 1,
    "pairs_charged": 1,
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, True),
        (-2.5, True),
        (10**400, False),
        (float("nan"), False),
        (float("inf"), False),
        (True, False),
        ("1", False),
    ],
)
def test_a_finite_number_is_one_that_a_float_holds(value: object, expected: bool) -> None:
    assert is_finite(value) is expected
    assert are_rows({"row": {"figure": {"value": value, "ci_low": None, "ci_high": 1}}}) is expected
    assert (flaw_of_trial("COMPLETE", {"text": None, **_TRIAL, "seconds": value}) is None) is expected
