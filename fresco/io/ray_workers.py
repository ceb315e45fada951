"""Workers on a cluster: actors of Ray, which places them, starts them again where they die, and repeats their task.

    with opened("auto") as cluster:
        for result in Workers(cluster.cpus, cluster.start).map(make, items): ...

Every machine of the cluster needs this package in the version of the one that asks.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fresco.errors import FrescoError
from fresco.io.foreign import one_line
from fresco.io.workers import MOST_DEATHS, Function, Held, Make, NoRoomError, Worker, WorkerDiedError, hold, result_of

#: Seconds after which an actor that says nothing is asked whether it is there.
_PATIENCE = 5.0
_EXTRA = "pip install 'fresco-ccs[ray]'"


@contextmanager
def opened(address: str) -> Iterator[Cluster]:
    """The cluster at an address, for as long as the block runs; one that is connected to already stays so.

    Args:
        address: As Ray takes it: ``auto`` (the cluster that this machine belongs to), ``local`` (one of this machine
            alone, made for the purpose), ``HOST:PORT``, ``ray://HOST:PORT``.

    Raises:
        FrescoError: Ray is not installed, or no cluster answers.
    """
    try:
        import ray
    except ImportError:
        raise FrescoError(f"--ray needs ray: {_EXTRA}") from None
    own = not ray.is_initialized()
    if own:
        try:
            ray.init(address, logging_level="ERROR", log_to_driver=False)  # standard output is for results
        except Exception as error:  # Ray raises many kinds, bare ones among them
            raise FrescoError(
                f"--ray {address}: no cluster answers ({one_line(error)[:160]}); start one with `ray start --head`, or "
                "give --ray local for this machine alone"
            ) from error
    try:
        yield Cluster(int(ray.cluster_resources().get("CPU", 0)), int(ray.cluster_resources().get("GPU", 0)))
    finally:
        if own:
            ray.shutdown()


class Kept(Held):
    """Something that Ray keeps, once for each machine; ``value`` is its reference."""

    def get(self) -> Any:
        """The thing."""
        import ray

        return ray.get(self.value)


class Cluster:
    """A cluster that is connected to.

    Attributes:
        cpus: Cores of all machines, as they were.
        gpus: Of all machines, as they were.
    """

    def __init__(self, cpus: int, gpus: int) -> None:
        self.cpus, self.gpus = cpus, gpus
        self._made: tuple[Make, Any] | None = None
        self._working: set[RayWorker] = set()
        self._lock = threading.Lock()

    def start(self, make: Make, *, gpus: int = 0) -> Worker:
        """Start an actor, wherever a core is free, or so many GPUs."""
        import ray

        with self._lock:
            # It may hold a corpus: Ray keeps it once for all workers of a map.
            if self._made is None or self._made[0] is not make:
                self._made = make, ray.put(make)
            worker = RayWorker(self._made[1], gpus, self)
            self._working.add(worker)
        return worker

    def hold(self, value: Any) -> Held:
        """See :class:`fresco.io.workers.Held`."""
        import ray

        return Kept(hold(value).number, ray.put(value))

    def leave(self, worker: RayWorker, *, for_lack_of: str | None = None) -> bool:
        """Count a worker no more.

        Args:
            worker: One that :meth:`start` gave.
            for_lack_of: ``CPU`` or ``GPU``: only if there are fewer of them now than there are workers.

        Returns:
            Whether it is counted no more.

        Raises:
            FrescoError: there is none of them left.
        """
        import ray

        with self._lock:
            if for_lack_of is not None:
                left = int(ray.cluster_resources().get(for_lack_of, 0))
                if not left:
                    raise FrescoError(f"the cluster has no {for_lack_of} left; what is stored is kept")
                if len(self._working) <= left:
                    return False
            self._working.discard(worker)
            return True


class RayWorker:
    """A worker that is an actor.

    Args:
        make: Gives its function; where Ray keeps it.
        gpus: That it needs.
        cluster: That it runs on.
    """

    def __init__(self, make: Any, gpus: int, cluster: Cluster) -> None:
        import ray

        self._ray, self._cluster = ray, cluster
        self._needs = "GPU" if gpus else "CPU"
        options = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": -1, "max_task_retries": MOST_DEATHS - 1}
        # Two at a time: it says that it is there while it computes.
        self._actor = ray.remote(Function).options(**options, max_concurrency=2).remote(make)
        self._ended = threading.Event()

    def ask(self, item: Any) -> Any:
        """See :class:`fresco.io.workers.Worker`."""
        if self._ended.is_set():
            raise WorkerDiedError
        answer = self._actor.answer.remote(item)
        try:
            while not self._is_ready(answer):
                # Ray starts an actor again whose machine is lost, where there is room; where there is none, it waits.
                there = self._is_ready(self._actor.process.remote())
                if not there and not self._is_ready(answer) and self._cluster.leave(self, for_lack_of=self._needs):
                    raise NoRoomError
            return result_of(self._ray.get(answer))
        except self._ray.exceptions.RayActorError as error:
            raise WorkerDiedError from error

    def _is_ready(self, answer: Any) -> bool:
        done, _ = self._ray.wait([answer], timeout=_PATIENCE)
        return bool(done)

    def end(self) -> None:
        """See :class:`fresco.io.workers.Worker`."""
        self._cluster.leave(self)
        self._ended.set()
        self._ray.kill(self._actor, no_restart=True)
