"""One function over many items on several processes: results come in the order of the items, whoever computed them.

A worker holds what its function needs (a model, a corpus): it is told how to *make* the function, makes it once, and is
asked for one item after another. Items and results are pickled, so that a worker may run on another machine
(:mod:`fresco.io.ray_workers`). A worker that dies is replaced, and its item is asked for again.

Processes are started as ``python -m`` and not by :mod:`multiprocessing`, which would import the user's script again.
"""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, Protocol, TypeVar

from fresco.errors import FrescoError

#: A worker's answers: the result, or what its function raised.
DONE, RAISED = "done", "raised"
#: Items that wait for each worker; bounds the memory when they come faster than they are done.
_AHEAD = 2
#: Seconds of work that are done here before processes are started: they take about as long to load.
ALONE = 1.0
#: An item that so many workers died of is an error: it would kill the next one, too.
MOST_DEATHS = 3

Item = TypeVar("Item")
Result = TypeVar("Result")
#: Gives the function; pickled.
Make = Callable[[], Callable[[Any], Any]]
Answer = tuple[str, Any]


class WorkerDiedError(Exception):
    """A worker ended without an answer."""


class NoRoomError(Exception):
    """A worker has no machine to run on any more; others have."""


@dataclass(frozen=True, slots=True)
class Held:
    """Something large that many items are about: where it travels, it does so once and not with each item.

    Attributes:
        number: Unlike that of anything else held by this process.
        value: On this machine the thing itself.
    """

    number: int
    value: Any

    def get(self) -> Any:
        """The thing."""
        return self.value


_NUMBERS = itertools.count()


def hold(value: Any) -> Held:
    """A thing that stays in this process, or is sent with each item to another one of this machine."""
    return Held(next(_NUMBERS), value)


class Worker(Protocol):
    """What computes one item at a time, elsewhere."""

    def ask(self, item: Any) -> Any:
        """The function's result.

        Raises:
            WorkerDiedError: the worker is gone; another may be asked.
            NoRoomError: there is no machine for it any more.
            Exception: what the function raised.
        """
        ...

    def end(self) -> None:
        """End it, at work or not; :meth:`ask` then raises."""
        ...


class Function:
    """What a worker makes once and is asked of; its answers can be pickled, whatever happens.

    Args:
        make: Gives the function.
    """

    def __init__(self, make: Make) -> None:
        self._failed: Answer | None = None
        try:
            self._function = make()
        except Exception as error:
            self._failed = RAISED, _portable(error)

    def process(self) -> int:
        """The number of the process that it is in."""
        return os.getpid()

    def answer(self, item: Any) -> Answer:
        """:data:`DONE` with the result, or :data:`RAISED` with what was raised."""
        if self._failed is not None:
            return self._failed
        try:
            return DONE, self._function(item)
        except Exception as error:
            return RAISED, _portable(error)


def _portable(error: Exception) -> Exception:
    """The error as it may be pickled, with the trace that would be lost."""
    if not isinstance(error, FrescoError):
        error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def result_of(answer: Answer) -> Any:
    """The result of an answer, or its error raised."""
    kind, value = answer
    if kind == RAISED:
        raise value
    return value


class Workers:
    """Maps functions over items, as many items at once as there are workers.

    Args:
        count: Of workers.
        start: Starts one, told how to make its function; None: a process on this machine, or none at all where
            ``count`` is 1.
        hold: Makes something :class:`Held` by all of them.

    Attributes:
        count: See above.
        start: See above.
        hold: See above.
    """

    def __init__(
        self, count: int, start: Callable[[Make], Worker] | None = None, hold: Callable[[Any], Held] = hold
    ) -> None:
        self.count, self.hold = count, hold
        self.start = start or (ProcessWorker if count > 1 else Here)

    def map(self, make: Callable[[], Callable[[Item], Result]], items: Iterable[Item]) -> Iterator[Result]:
        """The results, in the order of the items; see :meth:`Team.map`. Little work is done here.

        Args:
            make: Gives the function; called once by each worker.
            items: What to give to it.
        """
        left = iter(items)
        if self.start is ProcessWorker and ALONE:
            function, spent = make(), 0.0
            for item in left:
                began = time.perf_counter()
                result = function(item)
                spent += time.perf_counter() - began
                yield result
                if spent >= ALONE:
                    break
            else:
                return
        with self.team(make) as team:
            yield from team.map(left)

    @contextmanager
    def team(self, make: Make) -> Iterator[Team]:
        """Workers of one function, for as long as the block runs."""
        team = Team(make, self.start, self.count)
        try:
            yield team
        finally:
            team.end()


class Team:
    """The workers of one function, one for each thread that asks.

    Args:
        make: Gives the function.
        start: Starts a worker.
        count: Of workers; they start when they are first needed.
    """

    def __init__(self, make: Make, start: Callable[[Make], Worker], count: int) -> None:
        self._make, self._start, self._count = make, start, count
        self._local = threading.local()
        self._lock = threading.Lock()
        self._workers: list[Worker] = []
        self._ended = False
        self._threads = ThreadPoolExecutor(count, "worker")

    def map(self, items: Iterable[Any]) -> Iterator[Any]:
        """The results, in the order of the items, which are taken a few ahead of the results.

        Raises:
            FrescoError: several workers died of one item; or what the function raised.
            Exception: whatever else the function raised.
        """
        if self._start is Here:
            yield from map(self._ask, items)
            return
        waiting: deque[Future[Any]] = deque()
        for item in items:
            waiting.append(self._threads.submit(self._ask, item))
            while len(waiting) > _AHEAD * self._count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def end(self) -> None:
        """End the workers, at work or not."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            self._ended = True
        for worker in self._workers:
            worker.end()
        self._threads.shutdown(wait=True)

    def _ask(self, item: Any) -> Any:
        for _ in range(MOST_DEATHS):
            worker = self._own()
            try:
                return worker.ask(item)
            except WorkerDiedError:
                worker.end()
                self._local.worker = None
            except NoRoomError:
                worker.end()
                self._local.worker = None
                # This thread waits until another one has done the item, and then sees whether there is room again.
                return self._threads.submit(self._ask, item).result()
        raise FrescoError(
            f"{MOST_DEATHS} workers died of the same item; their last words stand above, or in Ray's logs (out of "
            "memory? fewer --workers take less)"
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


class Here:
    """A worker that is this process: the plain way.

    Args:
        make: Gives its function.
    """

    def __init__(self, make: Make) -> None:
        self._function = make()

    def ask(self, item: Any) -> Any:
        """See :class:`Worker`."""
        return self._function(item)

    def end(self) -> None:
        """See :class:`Worker`."""


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
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerDiedError from error
        return result_of(answer)

    def end(self) -> None:
        """See :class:`Worker`; the connection stays open, for a thread may be listening, which now hears the end."""
        self.process.kill()
        self.process.wait()


@contextmanager
def opened(count: int | None, ray: str | None = None) -> Iterator[Workers]:
    """Workers on this machine, or on a cluster.

    Args:
        count: Of workers; None: as many as there are cores.
        ray: Address of the cluster (:func:`fresco.io.ray_workers.opened`); None: this machine.

    Raises:
        FrescoError: Ray is not installed, or no cluster answers.
    """
    if ray is None:
        yield Workers(count or cores())
        return
    from fresco.io import ray_workers

    with ray_workers.opened(ray) as cluster:
        # More than there are cores would wait for one that never comes.
        yield Workers(min(count or cluster.cpus, cluster.cpus), cluster.start, cluster.hold)


@contextmanager
def opened_for_models(ray: str | None, device: str | None) -> Iterator[Workers]:
    """Workers that hold a model each: this process alone, or as many as a cluster has GPUs, or else cores.

    Args:
        ray: Address of the cluster; None: this process.
        device: ``cpu`` leaves the GPUs alone.

    Raises:
        FrescoError: Ray is not installed, or no cluster answers.
    """
    if ray is None:
        yield Workers(1)
        return
    from fresco.io import ray_workers

    with ray_workers.opened(ray) as cluster:
        if cluster.gpus and (device or "cuda").startswith("cuda"):
            yield Workers(cluster.gpus, partial(cluster.start, gpus=1), cluster.hold)
        else:
            yield Workers(cluster.cpus, cluster.start, cluster.hold)


def cores() -> int:
    """Processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1
