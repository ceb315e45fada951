"""The output folder: claimed by one configuration, torn lines and checkpoints dropped."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccs.training.config import read_train_config
from ccs.training.journal import Journal
from fresco.errors import FrescoError


def checkpoint(journal: Journal, step: int, *, whole: bool = True) -> Path:
    folder = journal.checkpoints / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"x")
    if whole:
        journal.seal(step)
    return folder


def test_another_configuration_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path).claim(read_train_config("demo"))
    Journal(tmp_path).claim(read_train_config("demo", ["optimization.steps=500"]))
    with pytest.raises(FrescoError, match=r"another optimization\.seed, agent\.turns; give|agent\.turns, optimization"):
        Journal(tmp_path).claim(read_train_config("demo", ["optimization.seed=1", "agent.turns=3"]))


def test_resume_takes_the_newest_whole_checkpoint_and_drops_what_is_later(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    checkpoint(journal, 10)
    newest = checkpoint(journal, 20)
    torn = checkpoint(journal, 30, whole=False)
    for step in range(1, 25):
        journal.add("steps.jsonl", {"step": step, "loss": float("nan")})
    for step in (0, 20, 25):
        journal.add("evaluations.jsonl", {"step": step})
    with (tmp_path / "steps.jsonl").open("a") as stream:
        stream.write('{"step": 25, "lo')
    assert journal.resume() == newest
    assert not torn.exists()
    assert [row["step"] for row in journal.rows("steps.jsonl")] == list(range(1, 21))
    assert journal.rows("steps.jsonl")[0]["loss"] is None
    assert [row["step"] for row in journal.rows("evaluations.jsonl")] == [0, 20]


def test_a_checkpoint_replaces_others_only_once_it_is_whole(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    old = checkpoint(journal, 10)
    torn = checkpoint(journal, 20, whole=False)
    newest = checkpoint(journal, 30, whole=False)
    assert old.exists()
    journal.seal(30, keep=1)
    assert not old.exists()
    assert torn.exists(), "another process may be writing it"
    assert journal.resume() == newest
    checkpoint(journal, 40, whole=False)
    journal.seal(40, keep=2)
    assert newest.exists()


def test_without_a_checkpoint_all_begins_anew(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.add("steps.jsonl", {"step": 1})
    journal.add("evaluations.jsonl", {"step": 0})
    assert journal.resume() is None
    assert journal.rows("steps.jsonl") == journal.rows("evaluations.jsonl") == []
