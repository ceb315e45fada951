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
from fresco.io.workers import MOST_DEATHS, Function, Make, Worker, WorkerDiedError, result_of

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


class Cluster:
    """A cluster that is connected to.

    Attributes:
        cpus: Cores of all machines.
        gpus: Of all machines.
    """

    def __init__(self, cpus: int, gpus: int) -> None:
        self.cpus, self.gpus = cpus, gpus
        self._made: tuple[Make, Any] | None = None

    def start(self, make: Make, *, gpus: int = 0) -> Worker:
        """Start an actor, wherever a core is free, or so many GPUs."""
        import ray

        # It may hold a corpus: Ray keeps it once for all workers of a map.
        if self._made is None or self._made[0] is not make:
            self._made = make, ray.put(make)
        return RayWorker(self._made[1], gpus)


class RayWorker:
    """A worker that is an actor.

    Args:
        make: Gives its function; where Ray keeps it.
        gpus: That it needs.
    """

    def __init__(self, make: Any, gpus: int) -> None:
        import ray

        self._ray = ray
        options = {"num_cpus": 1, "num_gpus": gpus, "max_restarts": -1, "max_task_retries": MOST_DEATHS - 1}
        self._actor = ray.remote(Function).options(**options).remote(make)
        self._ended = threading.Event()

    def ask(self, item: Any) -> Any:
        """See :class:`fresco.io.workers.Worker`."""
        if self._ended.is_set():
            raise WorkerDiedError
        try:
            answer = self._ray.get(self._actor.answer.remote(item))
        except self._ray.exceptions.RayActorError as error:
            raise WorkerDiedError from error
        return result_of(answer)

    def end(self) -> None:
        """See :class:`fresco.io.workers.Worker`."""
        self._ended.set()
        self._ray.kill(self._actor, no_restart=True)
