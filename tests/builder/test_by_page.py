"""Stages mapped over pages: the same bytes by one process and by several, some of which die."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fresco.builder.by_page import Asked, OfPage
from fresco.builder.config import BuildConfig
from fresco.builder.pipeline import build
from fresco.builder.wikipedia import Mirror
from fresco.io import workers
from fresco.io.workers import ProcessWorker
from fresco.records import parse_timestamp
from tests.builder.own_pages import club_rows, write
from tests.builder.test_pipeline import files


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BuildConfig]:
    """A dump, and what one process makes of it."""
    folder = tmp_path_factory.mktemp("alone")
    dump = write(folder / "clubs.jsonl", club_rows())
    reference = parse_timestamp("2025-01-01T23:59:59Z")
    config = BuildConfig(folder / "b", "own pages", reference=reference, workers=1)
    with Mirror(dump, folder / "cache.sqlite") as mirror:
        build(config, mirror)
    return dump, config


def test_several_processes_make_the_bytes_of_one(
    alone: tuple[Path, BuildConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each stage the first worker that is asked dies before it answers."""
    dump, config = alone
    killed: dict[type, int] = {}
    asked: dict[int, set[type]] = {}
    ask = ProcessWorker.ask

    def deadly(self: ProcessWorker, item: Any) -> Any:
        kind = type(item)
        if killed.setdefault(kind, self.process.pid) == self.process.pid:
            self.process.kill()
            self.process.wait()
        answer = ask(self, item)
        asked.setdefault(self.process.pid, set()).add(kind)
        return answer

    monkeypatch.setattr(ProcessWorker, "ask", deadly)
    monkeypatch.setattr(workers, "ALONE", 0.0)
    with Mirror(dump, tmp_path / "cache.sqlite") as mirror:
        build(replace(config, out=tmp_path / "b", workers=2), mirror)
    assert files(tmp_path / "b") == files(config.out)
    assert {OfPage, dict, Asked} == set(killed) == set().union(*asked.values())
    assert not set(killed.values()) & set(asked)  # what died has answered nothing
