"""One function over many items on several processes: results come in the order of the items, whoever computed them.

A worker holds what its function needs (a model, a corpus): it is told how to *make* the function, makes it once, and is
asked for one item after another. Items and results are pickled, so that a worker may run on another machine
(:mod:`fresco.io.ray_workers`). A worker that dies is replaced, and its item is asked for again.

Processes are started as ``python -m`` and not by :mod:`multiprocessing`, which would import the user's script again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fresco.errors import FrescoError

#: A worker's answers: the result, or what its function raised.
DONE, RAISED = "done", "raised"
#: Items that wait for each worker; bounds the memory when they come faster than they are done.
_AHEAD = 2
#: An item that so many workers died of is an error: it would kill the next one, too.
_MOST_DEATHS = 3

Item = TypeVar("Item")
Result = TypeVar("Result")
#: Gives the function; pickled.
Make = Callable[[], Callable[[Any], Any]]


class WorkerDiedError(Exception):
    """A worker ended without an answer."""


class Worker(Protocol):
    """What computes one item at a time, elsewhere."""

    def ask(self, item: Any) -> Any:
        """The function's result.

        Raises:
            WorkerDiedError: the worker is gone; another may be asked.
            Exception: what the function raised.
        """
        ...

    def end(self) -> None:
        """End it, at work or not; :meth:`ask` then raises."""
        ...


class Workers:
    """Maps functions over items, as many items at once as there are workers.

    Args:
        count: Of workers.
        start: Starts one, told how to make its function; None: a process on this machine, or none at all where
            ``count`` is 1.

    Attributes:
        count: See above.
    """

    def __init__(self, count: int, start: Callable[[Make], Worker] | None = None) -> None:
        self.count = count
        self._start = start or (ProcessWorker if count > 1 else None)

    def map(self, make: Callable[[], Callable[[Item], Result]], items: Iterable[Item]) -> Iterator[Result]:
        """The results, in the order of the items, which are taken a few ahead of the results.

        Args:
            make: Gives the function; called once by each worker.
            items: What to give to it.

        Raises:
            FrescoError: several workers died of one item; or what the function raised.
            Exception: whatever else the function raised.
        """
        if self._start is None:
            yield from map(make(), items)
            return
        team = _Team(make, self._start)
        waiting: deque[Future[Result]] = deque()
        executor = ThreadPoolExecutor(self.count, "worker")  # a thread waits for each
        try:
            for item in items:
                waiting.append(executor.submit(team.ask, item))
                while len(waiting) > _AHEAD * self.count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            executor.shutdown(wait=False, cancel_futures=True)
            team.end()
            executor.shutdown(wait=True)


class _Team:
    """The workers of one map, one for each thread that asks."""

    def __init__(self, make: Make, start: Callable[[Make], Worker]) -> None:
        self._make, self._start = make, start
        self._local = threading.local()
        self._lock = threading.Lock()
        self._workers: list[Worker] = []
        self._ended = False

    def ask(self, item: Any) -> Any:
        for _ in range(_MOST_DEATHS):
            worker = self._own()
            try:
                return worker.ask(item)
            except WorkerDiedError:
                worker.end()
                self._local.worker = None
        raise FrescoError(
            f"{_MOST_DEATHS} workers died of the same item; their last words stand above (out of memory? fewer "
            "--workers take less)"
        )

    def _own(self) -> Worker:
        worker: Worker | None = getattr(self._local, "worker", None)
        if worker is None:
            with self._lock:  # none is started behind the back of end()
                if self._ended:
                    raise FrescoError("interrupted")
                worker = self._local.worker = self._start(self._make)
                self._workers.append(worker)
        return worker

    def end(self) -> None:
        with self._lock:
            self._ended = True
        for worker in self._workers:
            worker.end()


class ProcessWorker:
    """A worker in a process of its own on this machine.

    Args:
        make: Gives its function.

    Attributes:
        process: The process.
    """

    def __init__(self, make: Make) -> None:
        import fresco

        root = str(Path(fresco.__file__).resolve().parent.parent)
        path = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
        ours, theirs = Pipe()
        assert isinstance(ours, Connection)
        self._connection: Connection = ours
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "fresco.io.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": path},
        )
        theirs.close()
        self._make: Make | None = make

    def ask(self, item: Any) -> Any:
        """See :class:`Worker`."""
        try:
            if self._make is not None:
                self._connection.send(self._make)
                self._make = None
            self._connection.send(item)
            kind, answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerDiedError from error
        if kind == RAISED:
            raise answer
        return answer

    def end(self) -> None:
        """See :class:`Worker`; the connection stays open, for a thread may be listening, which now hears the end."""
        self.process.kill()
        self.process.wait()


def cores() -> int:
    """Processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
