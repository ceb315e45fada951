"""Two workers on one storage, killed at random points: every instruction ends in exactly one finished trial."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing

import optuna
import pytest

from tests.optimizer.conftest import ROOT
from tests.optimizer.worker import CHILDREN, ROUNDS, search
from tests.waiting import PATIENCE, wait_until

KILLS = 3


def work(folder, ahead):
    storage, store = f"sqlite:///{folder / 'study.db'}", folder / "scores.sqlite"
    return subprocess.Popen(
        [sys.executable, "-m", "tests.optimizer.worker", storage, store, str(ahead)],
        cwd=ROOT,
        env={**os.environ, "OBEDIENT_SECONDS": "0.003"},
        stderr=subprocess.PIPE,
        text=True,
    )


def written(folder):
    """What the storage holds, as one growing number."""
    try:
        with closing(sqlite3.connect(f"file:{folder / 'study.db'}?mode=ro", uri=True, timeout=PATIENCE)) as database:
            return sum(
                database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
                for table in ("trials", "trial_user_attributes", "study_user_attributes", "trial_values")
            )
    except sqlite3.OperationalError:  # not made yet
        return 0


def wait_for(folder, more, workers):
    begin = written(folder)
    wait_until(lambda: written(folder) >= begin + more or any(worker.poll() is not None for worker in workers))


def outcome(study):
    """Every trial that stands for an instruction, without numbers: those depend on who came first."""
    return sorted(
        (str(trial.user_attrs["text"]), trial.user_attrs["round"], trial.state.name, trial.values)
        for trial in study.trials
        if "duplicate_of" not in trial.user_attrs
    )


@pytest.mark.parametrize(("seed", "ahead"), [(0, 0), (1, 1)])
def test_no_trial_is_lost_or_doubled(tmp_path, seed, ahead):
    rng = random.Random(seed)
    workers = [work(tmp_path, ahead), work(tmp_path, ahead)]
    try:
        for _ in range(KILLS):
            wait_for(tmp_path, rng.randrange(1, 40), workers)
            time.sleep(rng.random() * 0.03)
            victim = rng.randrange(2)
            workers[victim].kill()
            workers[victim].communicate()
            workers[victim] = work(tmp_path, ahead)
        for worker in workers:
            _, said = worker.communicate(timeout=PATIENCE)
            assert worker.returncode == 0, said
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    study = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'study.db'}")
    states = Counter(trial.state.name for trial in study.trials)
    assert set(states) <= {"COMPLETE", "PRUNED", "FAIL"}
    assert all(("duplicate_of" in trial.user_attrs) == (trial.state.name == "FAIL") for trial in study.trials)
    ended = [trial.user_attrs["sha256"] for trial in study.trials if trial.state.name != "FAIL"]
    assert len(ended) == len(set(ended)) == 1 + ROUNDS * CHILDREN
    alone, _ = search("sqlite:///:memory:", ":memory:", ahead)
    assert outcome(study) == outcome(alone.study)
