"""The study: whose search it is, one trial an instruction, leases, and that it is plain Optuna."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import numpy as np
import optuna
import pytest

from fresco.errors import FrescoError
from fresco.optimizer.proposers.base import ProposedInstruction
from fresco.optimizer.search.storage import close_storage, explained, open_storage, without_password
from fresco.optimizer.search.study import SearchStudy
from fresco.optimizer.search.worker import Worker
from tests.waiting import PATIENCE

IDENTITY = {"reranker": "r1", "benchmark": ["a", "b"], "population": 4}


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path / 'study.db'}"


def opened(url, identity=IDENTITY, worker=None):
    return SearchStudy(open_storage(url), "s", identity, worker or Worker())


#: What a search notes of a trial that has ended.
ENDED = {"pairs_scored": 9, "pairs_charged": 9, "seconds": 0.5}


def add(study, text, number=1, **more):
    study.add(
        ProposedInstruction(text or "", "clauses", **more),
        text=text,
        number=number,
        seed=0,
        choices={"a": ("none", "x")},
    )


def test_an_instruction_has_one_trial_however_often_it_is_added(url):
    for _ in range(2):
        study = opened(url)
        for text in ("one", "two", "one", None):
            add(study, text)
    assert [trial.user_attrs["text"] for trial in study.trials()] == ["one", "two", None]


def test_of_two_trials_of_workers_that_proposed_at_once_the_later_fails(url):
    study = opened(url)
    add(study, "one")
    study.study.add_trial(study.study.trials[0])  # what a worker that looked a moment earlier would add
    study.complete(study.trials()[0], 0.5, 0.4, ENDED)
    assert [trial.number for trial in study.trials()] == [0]
    states = [(trial.state.name, trial.user_attrs.get("duplicate_of")) for trial in study.study.trials]
    assert states == [("COMPLETE", None), ("FAIL", 0)]


def test_a_trial_ends_once(url):
    one, other = opened(url), opened(url)
    add(one, "one")
    trial = one.trials()[0]
    one.complete(trial, 0.5, 0.4, ENDED)
    other.prune(trial, {"pairs_scored": 1})
    other.complete(trial, 0.1, 0.1, {})
    (ended,) = other.trials()
    assert ended.state.name == "COMPLETE"
    assert ended.values == [0.5, 0.4]
    assert ended.user_attrs["pairs_scored"] == 9


def test_the_study_is_plain_optuna(url):
    study = opened(url)
    add(study, "one", params={"a": "x"}, parents=(0,), detail={"critique": "too vague"})
    study.put_values(0, 0, np.array([0.25, 1 / 3]))
    study.complete(study.trials()[0], 0.5, 0.4, ENDED)
    plain = optuna.load_study(study_name="s", storage=url)
    assert [direction.name for direction in plain.directions] == ["MAXIMIZE", "MAXIMIZE"]
    assert plain.metric_names == ["EK", "NEK"]
    (trial,) = plain.best_trials
    assert trial.params == {"a": "x"}
    assert trial.user_attrs["parents"] == [0]
    assert trial.user_attrs["detail"] == {"critique": "too vague"}
    assert len(plain.trials_dataframe()) == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"reranker": "r2"}, "another reranker .r1, now r2"), ({"benchmark": ["a", "c"]}, "another benchmark")],
)
def test_a_study_of_another_search_is_refused(url, changed, said):
    opened(url)
    with pytest.raises(FrescoError, match=said):
        opened(url, {**IDENTITY, **changed})


def test_a_study_that_fresco_did_not_make_is_refused(url):
    study = optuna.create_study(study_name="s", storage=url, directions=["maximize"] * 2)
    study.add_trial(optuna.trial.create_trial(values=[1.0, 1.0]))
    with pytest.raises(FrescoError, match="was not made by fresco"):
        opened(url)


@pytest.mark.parametrize("count", [1, 3])
def test_a_study_with_another_number_of_objectives_is_one_line(url, count):
    optuna.create_study(study_name="s", storage=url, directions=["maximize"] * count)
    with pytest.raises(FrescoError, match=f"has {count} objective.*choose another --study"):
        opened(url)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("DELETE FROM trial_user_attributes WHERE key = 'sha256'", "trial 0 lacks 'sha256'"),
        ("UPDATE trial_user_attributes SET value_json = '\"one\"' WHERE key = 'round'", "trial 0 lacks 'round'"),
        ("UPDATE study_user_attributes SET value_json = '7' WHERE key = 'fresco'", "says nothing of its search"),
    ],
)
def test_a_damaged_study_is_one_line(url, tmp_path, damage, said):
    add(opened(url), "one")
    with closing(sqlite3.connect(tmp_path / "study.db")) as database, database:
        assert database.execute(damage).rowcount > 0
    with pytest.raises(FrescoError, match=f"the study 's' of this storage is damaged: {said}") as caught:
        opened(url)
    assert "\n" not in str(caught.value)


def test_values_that_are_no_numbers_are_one_line(url):
    study = opened(url)
    add(study, "one")
    study.put_values(0, 0, np.array([0.5]))
    study._set(study._trial_id(0), "ap:0", ["half"])
    with pytest.raises(FrescoError, match=r"damaged: trial 0 has no numbers in 'ap:0'"):
        study.values([0], 0, 1)


@pytest.mark.parametrize("values", [[], [0.5, 0.5, 0.5], [[0.5, 0.5]], [0.5, float("nan")]])
def test_values_of_other_queries_are_one_line(url, values):
    study = opened(url)
    add(study, "one")
    study._set(study._trial_id(0), "ap:0", values)
    with pytest.raises(FrescoError, match=r"damaged: trial 0 has not 2 numbers in 'ap:0'"):
        study.values([0], 0, 2)
    with pytest.raises(FrescoError, match=r"damaged: trial 0 lacks 'ap:1'"):
        study.stored(0, 1, 2)


DROPPED = {**ENDED, "estimate": [0.5, 0.4], "error": [0.1, 0.1], "stage": 0, "standing": 0.1}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("parents", value) for value in (["0"], [[0]], [0.5], "0", None)),
        *(("round", value) for value in (-1, 0.5, "1")),
        *(("detail", value) for value in ("x", None, [1])),
        *(("pairs_scored", value) for value in ("many", None, -3, [9])),
        *(("seconds", value) for value in ("long", None, float("inf"))),
        *((key, value) for key in ("estimate", "error") for value in ([0.1], [None, 1], "x", [0.1, float("nan")])),
        *(("seed", value) for value in (None, "0")),
    ],
)
def test_whatever_a_trial_holds_instead_is_one_line(url, tmp_path, key, value):
    study = opened(url)
    add(study, "one")
    study.prune(study.trials()[0], DROPPED)
    assert [trial.state.name for trial in opened(url).trials()] == ["PRUNED"]
    with closing(sqlite3.connect(tmp_path / "study.db")) as database, database:
        change = "UPDATE trial_user_attributes SET value_json = ? WHERE key = ?"
        assert database.execute(change, (json.dumps(value), key)).rowcount == 1
    with pytest.raises(FrescoError, match=f"damaged: trial 0 lacks '{key}', or holds something else there"):
        opened(url)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("x", "is none"),
        ({}, "lacks 'rejected'"),
        ({"rejected": {"a": "b"}, "rejections": [], "cost": {}}, "lacks 'rejected'"),
        ({"rejected": {}, "rejections": ["x"], "cost": {}}, "lacks 'rejections'"),
        ({"rejected": {}, "rejections": [], "cost": {"pairs": None}}, "lacks 'cost'"),
    ],
)
def test_a_damaged_plan_is_one_line(url, plan, said):
    study = opened(url)
    study.study.set_user_attr("planned:1", plan)
    with pytest.raises(FrescoError, match=f"damaged: the plan of round 1 {said}"):
        study.planned(1)


@pytest.mark.parametrize("lease", ["x", 7, [], ["x"], ["x", "y"], ["host", 1e12], [None, 1e12], {"a": 1}])
def test_what_is_no_lease_holds_nobody_up(lease):
    assert Worker().may_take(lease)


def test_no_attribute_of_a_study_holds_a_password(url):
    study = opened(url, {"proposer": ["llm:http://me:secret@host/v1#m"], "store": "mysql://me:secret@host/db"})
    add(study, "one")
    held = [study.study.user_attrs, *(trial.user_attrs for trial in study.study.trials)]
    assert "secret" not in json.dumps(held)
    assert "me:***@host" in json.dumps(held)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////nowhere/at/all/study.db",
        "postgresql://user:secret@127.0.0.1:1/none",
        "nonsense",
        "redis://localhost",
    ],
)
def test_a_storage_that_cannot_be_opened_is_one_clear_line(url):
    with pytest.raises(FrescoError, match="cannot be opened") as caught:
        open_storage(url)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_passwords_are_hidden():
    assert without_password("mysql://me:pw@host/db") == "mysql://me:***@host/db"
    assert without_password("sqlite:///study.db") == "sqlite:///study.db"


def test_leases():
    mine, other = Worker(), Worker()
    assert mine.may_take(None)
    assert mine.may_take(mine.lease())
    assert not mine.may_take(other.lease())
    name, _ = other.lease()
    assert mine.may_take([name, time.time() - 1])
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    host = name.split(":")[0]
    assert mine.may_take([f"{host}:{int(ended.stdout)}:1", time.time() + 99])
    assert not mine.may_take([f"elsewhere:{int(ended.stdout)}:1", time.time() + 99])
    assert not mine.may_take([f"{host}:{os.getpid()}:1", time.time() + 99])


def test_what_one_worker_scores_another_leaves(url):
    one, other = opened(url), opened(url)
    add(one, "one")
    with one.take(0, 0):
        assert other.take(0, 0) is None
        one.put_values(0, 0, np.array([0.5]))
    assert one.take(0, 0) is None
    with one.take_planning(1):
        assert other.take_planning(1) is None


def test_a_lease_is_renewed_while_the_work_lasts_and_runs_out_behind_it(url):
    def ends():
        return other.trials()[0].user_attrs["lease"][1]

    one = SearchStudy(open_storage(url), "s", IDENTITY, Worker(seconds=1.0))
    other = opened(url)
    add(one, "one")
    deadline = time.monotonic() + PATIENCE
    with one.take(0, 0):
        first = ends()
        while ends() == first:  # the thread beside the work has not come to it yet
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert ends() > first
    last = ends()
    while other.take(0, 0) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert time.time() >= last


def test_a_storage_that_goes_away_is_one_clear_line(url, tmp_path):
    study = opened(url)
    add(study, "one")
    with closing(sqlite3.connect(tmp_path / "study.db")) as database, database:
        database.execute("DROP TABLE trial_user_attributes")
    with pytest.raises(FrescoError, match=r"failed.*what was finished is kept") as caught, explained(url):
        study.put_values(0, 0, np.array([0.5]))
    assert "\n" not in str(caught.value)


def test_sqlite_writes_ahead_and_a_closed_storage_is_one_file(url, tmp_path):
    storage = open_storage(url)
    add(SearchStudy(storage, "s", IDENTITY, Worker()), "one")
    with closing(storage._backend.engine.raw_connection()) as connection:
        modes = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert modes == ["wal", 1]  # 1: commits do not wait for the disk
    close_storage(storage)
    assert [path.name for path in tmp_path.iterdir()] == ["study.db"]
    assert [trial.user_attrs["text"] for trial in opened(url).trials()] == ["one"]


def test_what_is_stored_is_what_is_read(url):
    study = opened(url)
    add(study, "one")
    stored = study.put_values(0, 0, np.array([1 / 3, 0.25]))
    np.testing.assert_array_equal(stored, opened(url).values([0], 0, 2)[0])
