"""One re-ranker on several devices: ``--device cuda:0,cuda:1`` or ``all``.

Each device has a process of its own that holds the model and plans the whole run, as a single device would. Before it
computes a batch it asks this process for it, and gets each batch that is neither stored nor another's. So the batches
are those of one device, whoever computes them, and so are the scores; all of them pass through here into the one store.
Every process tokenizes the whole run, which is cheap beside the models that want several devices.

What a process had taken when it died is free again, and the others do it once they are through.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, Pipe, wait
from typing import Any

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.records import Pair
from fresco.rerank.base import Reranker
from fresco.rerank.spread import Spread

#: What is said to a worker: score these, or the answer to its question; what it says.
SCORE, TAKE, SCORES, END, FAILED = "score", "take", "scores", "end", "failed"


class ManyDevices(Spread):
    """A pointwise re-ranker with a process a device."""

    def __init__(self, lead: Reranker, spec: str, settings: Settings, devices: Sequence[str]) -> None:
        """Keep what is needed to start; processes start at the first score.

        Args:
            lead: The re-ranker, opened on one device; its weights are never loaded here.
            spec: From which every process opens its own.
            settings: Theirs, but for the device.
            devices: One each.
        """
        super().__init__(lead, spec, settings)
        self._devices = list(devices)
        self._workers: list[_Worker] = []
        self._lost: list[str] = []

    @property
    def truncated(self) -> int:
        """Inputs of which the passage's end was cut; every process reads all of them."""
        return max((int(own.get("truncated") or 0) for own in self._described.values()), default=0)

    def describe(self) -> Mapping[str, Any]:
        """The re-ranker's own words, and what each process has to say."""
        lost = {"devices_lost": list(self._lost)} if self._lost else {}
        return {**super().describe(), "device": ",".join(self._devices), "truncated": self.truncated, **lost}

    def score_batches(
        self, pairs: Sequence[Pair], instruction: str | None, is_done: Callable[[Sequence[int]], bool]
    ) -> Iterator[tuple[Sequence[int], Sequence[float]]]:
        """Score a run; see :class:`fresco.rerank.base.BatchScorer`."""
        scored: set[int] = set()
        whole = False
        try:
            while True:
                kept = {index for index in range(len(pairs)) if index in scored or is_done([index])}
                yield from self._round(pairs, instruction, kept, scored)
                if len(scored | kept) == len(pairs):
                    break
            whole = True
        finally:
            if not whole:
                self.close()

    def close(self) -> None:
        """End the processes; the next score starts them again."""
        for worker in self._workers:
            worker.end()
        self._workers = []

    def _round(
        self, pairs: Sequence[Pair], instruction: str | None, kept: set[int], scored: set[int]
    ) -> Iterator[tuple[Sequence[int], Sequence[float]]]:
        """Have every process go through the run once.

        Args:
            pairs: Of the run.
            instruction: Of the run.
            kept: What needs no scores.
            scored: What has got some; grows.
        """
        owners: dict[int, _Worker] = {}
        for worker in (working := self._running()):
            worker.say((SCORE, pairs, instruction, kept))
        while working:
            for ready in wait([worker.connection for worker in working]):
                worker = next(own for own in working if own.connection is ready)
                kind, *told = worker.hear()
                if kind == TAKE:
                    (indices,) = told
                    free = not kept.issuperset(indices) and not any(index in owners for index in indices)
                    owners.update(dict.fromkeys(indices, worker) if free else {})
                    worker.say(free)
                elif kind == SCORES:
                    scored.update(told[0])
                    yield told[0], told[1]
                elif kind == FAILED:
                    raise FrescoError(told[0])
                else:
                    working.remove(worker)
                    if kind == END:
                        self._described[worker.device] = told[0]
                    else:
                        self._lose(worker)
                        owners = {index: own for index, own in owners.items() if own is not worker or index in scored}

    def _running(self) -> list[_Worker]:
        if not self._workers:
            left = list(self._devices)
            for device in self._lost:
                left.remove(device)
            if not left:
                raise FrescoError(
                    f"{self.name}: the processes of all devices ({','.join(self._devices)}) died; what they scored is "
                    "stored, and their last words stand above"
                )
            self._workers = [_Worker(self._spec, self._settings, device, len(self._devices)) for device in left]
        return list(self._workers)

    def _lose(self, worker: _Worker) -> None:
        sys.stderr.write(f"fresco: the process of {worker.device} died; the others do its work\n")
        self._lost.append(worker.device)
        self._workers.remove(worker)
        worker.end()


class _Worker:
    """A process that scores on one device.

    Attributes:
        device: Its device.
        connection: To it; closed at its end when it dies.
    """

    def __init__(self, spec: str, settings: Settings, device: str, count: int) -> None:
        self.device = device
        ours, theirs = Pipe()
        assert isinstance(ours, Connection)
        self.connection: Connection = ours
        command = [sys.executable, "-m", "fresco.rerank.device_worker", str(theirs.fileno())]
        self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()])  # noqa: S603
        theirs.close()
        self.say((spec, settings, device, count))

    def say(self, message: Any) -> None:
        with suppress(OSError):  # it is dead, which :meth:`hear` finds
            self.connection.send(message)

    def hear(self) -> tuple[Any, ...]:
        """Its next message; of a dead one a message of no known kind."""
        try:
            message: tuple[Any, ...] = self.connection.recv()
        except (EOFError, OSError):
            return ("dead",)
        return message

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait()


def devices_of(settings: Settings) -> list[str]:
    """The devices that ``--device`` names, as many as there are commas, or every GPU of this machine.

    Raises:
        FrescoError: ``all``, and there is no GPU; or a name is missing.
    """
    if settings.device == "all":
        import torch

        count = torch.cuda.device_count()
        if not count:
            raise FrescoError("--device all: no CUDA device here; name the devices, as in --device cpu,cpu")
        return [f"cuda:{number}" for number in range(count)]
    names = [name.strip() for name in (settings.device or "").split(",")]
    if len(names) > 1 and not all(names):
        raise FrescoError(f"--device {settings.device}: a name is missing between its commas")
    return names
