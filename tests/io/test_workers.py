"""Functions mapped over items by real processes; workers that die."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from fresco.errors import FrescoError
from fresco.io import workers
from fresco.io.workers import ProcessWorker, Workers


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes start with the first item."""
    monkeypatch.setattr(workers, "ALONE", 0.0)


def square_and_place() -> Callable[[int], tuple[int, int]]:
    return lambda number: (number * number, os.getpid())


def deadly_once(folder: Path) -> Callable[[int], int]:
    """Dies of the number 5 where nothing did before."""

    def function(number: int) -> int:
        mark = folder / "died"
        if number == 5 and not mark.exists():
            mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return -number

    return function


def always_deadly() -> Callable[[int], int]:
    def function(number: int) -> int:
        if number == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    return function


class OddError(Exception):
    """Cannot be pickled: it takes two arguments and keeps one."""

    def __init__(self, one: str, other: str) -> None:
        super().__init__(one)
        self.other = other


def raising(error: str) -> Callable[[int], int]:
    def function(number: int) -> int:
        if number < 3:
            return number
        if error == "FrescoError":
            raise FrescoError("line 3: no number")
        if error == "OddError":
            raise OddError("odd", "number")
        return number // 0

    return function


def no_model() -> Callable[[int], int]:
    raise FrescoError("model: there is none")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[ProcessWorker]]:
    """Every process that is started; in the end none is left."""
    found: list[ProcessWorker] = []

    def start(make: workers.Make) -> ProcessWorker:
        found.append(ProcessWorker(make))
        return found[-1]

    monkeypatch.setattr(workers, "ProcessWorker", start)
    yield found
    assert all(worker.process.returncode is not None for worker in found)


@pytest.mark.parametrize(("alone", "elsewhere"), [(1000.0, 0), (1e-9, 29), (0.0, 30)])
def test_little_work_starts_no_process(alone: float, elsewhere: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "ALONE", alone)
    found = list(Workers(2).map(square_and_place, range(30)))
    assert [value for value, _ in found] == [number * number for number in range(30)]
    assert sum(place != os.getpid() for _, place in found) == elsewhere


def test_results_come_in_the_order_of_the_items(started: list[ProcessWorker]) -> None:
    found = list(Workers(2).map(square_and_place, range(40)))
    assert [value for value, _ in found] == [value for value, _ in Workers(1).map(square_and_place, range(40))]
    assert {place for _, place in found} <= {worker.process.pid for worker in started}
    assert len(started) == 2


def test_one_worker_is_this_process(started: list[ProcessWorker]) -> None:
    assert {place for _, place in Workers(1).map(square_and_place, range(3))} == {os.getpid()}
    assert not started


def test_items_are_taken_only_a_few_ahead(started: list[ProcessWorker]) -> None:
    taken = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    results = Workers(2).map(square_and_place, items())
    next(results)
    assert len(taken) <= 6
    results.close()  # type: ignore[attr-defined]


def test_the_item_of_a_worker_that_died_is_done_again(started: list[ProcessWorker], tmp_path: Path) -> None:
    found = list(Workers(2).map(partial(deadly_once, tmp_path), range(20)))
    assert found == [-number for number in range(20)]
    (dead,) = (worker for worker in started if worker.process.pid == int((tmp_path / "died").read_text()))
    assert dead.process.returncode == -signal.SIGKILL
    assert len(started) == 3


def test_an_item_that_kills_every_worker_is_one_line(started: list[ProcessWorker]) -> None:
    with pytest.raises(FrescoError, match="3 workers died of the same item"):
        list(Workers(2).map(always_deadly, range(4)))


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        ("FrescoError", FrescoError, "line 3: no number"),
        ("ZeroDivisionError", ZeroDivisionError, "integer division"),
        ("OddError", RuntimeError, "OddError: odd"),
    ],
)
def test_what_a_function_raises_is_raised_here(
    error: str, kind: type[Exception], said: str, started: list[ProcessWorker]
) -> None:
    results = Workers(2).map(partial(raising, error), range(9))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(kind, match=said):
        next(results)


def test_a_worker_that_cannot_be_made_is_told(started: list[ProcessWorker]) -> None:
    with pytest.raises(FrescoError, match="model: there is none"):
        list(Workers(2).map(no_model, range(9)))


@pytest.mark.parametrize("models", [False, True])
def test_without_ray_the_line_says_what_to_install(models: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    where = workers.opened_for_models("auto", None) if models else workers.opened(None, "auto")
    with pytest.raises(FrescoError) as raised, where:
        pass
    assert str(raised.value) == "--ray needs ray: pip install 'fresco-ccs[ray]'"
