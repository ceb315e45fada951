"""Searches of many rollouts at once, gathered: what waits when a place comes free goes to the retriever together.

A lone search is sent at once. Under load batches grow by themselves, so that a thousand rollouts neither need a
connection each nor wait for one another, and the retriever gets no more than :data:`AT_ONCE` requests at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ccs.agent.environment import search
from ccs.agent.trajectory import Hit
from fresco.clients.json_api import RefusedError
from fresco.errors import FrescoError

if TYPE_CHECKING:
    from ccs.retrieve.base import Retriever

#: Requests to the retriever in flight.
AT_ONCE = 4
#: Queries of one request, at most.
MOST = 256


class SearchFailedError(FrescoError):
    """The retriever failed: of no concern to rollouts that did not ask it then."""


@dataclass
class _Wanted:
    query: str
    count: int
    found: asyncio.Future[list[Hit]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class GatheredSearches:
    """Asks one retriever for all coroutines of an event loop; a context manager that ends its threads.

    Args:
        retriever: May be asked by several threads; None where nobody searches.
        at_once: Requests in flight.
    """

    def __init__(self, retriever: Retriever | None, at_once: int = AT_ONCE) -> None:
        self.retriever = retriever
        self._free = at_once
        self._threads = ThreadPoolExecutor(at_once, "search")
        self._waiting: list[_Wanted] = []
        self._running: set[asyncio.Task[None]] = set()  # a loop keeps no task alive by itself

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def __call__(self, query: str, count: int) -> tuple[list[Hit], float]:
        """Search.

        Args:
            query: What for.
            count: Passages wanted.

        Returns:
            Best first, and the seconds that it took with all its waiting.

        Raises:
            SearchFailedError: the retriever failed.
        """
        started = time.perf_counter()
        wanted = _Wanted(query, count)
        self._waiting.append(wanted)
        if self._free:
            self._free -= 1
            task = asyncio.create_task(self._work())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
        return await wanted.found, time.perf_counter() - started

    async def _work(self) -> None:
        """Search for what waits until nothing does."""
        try:
            while self._waiting:
                count = self._waiting[0].count
                batch = [each for each in self._waiting if each.count == count][:MOST]
                taken = set(map(id, batch))
                self._waiting = [each for each in self._waiting if id(each) not in taken]
                try:
                    await self._search(batch, count)
                except Exception as error:  # whoever waits for it raises it
                    _fail(batch, error)
        finally:
            self._free += 1

    async def _search(self, batch: Sequence[_Wanted], count: int) -> None:
        assert self.retriever is not None, "this agent does not search"
        loop = asyncio.get_running_loop()
        queries = [each.query for each in batch]
        try:
            found = await loop.run_in_executor(self._threads, search, self.retriever, queries, count)
        except RefusedError:
            if len(batch) < 2:
                raise
            for each in batch:  # one query that it refuses must not cost those of other rollouts
                try:
                    await self._search([each], count)
                except FrescoError as error:
                    _fail([each], error)
            return
        for each, hits in zip(batch, found, strict=True):
            if not each.found.done():
                each.found.set_result(hits)


def _fail(batch: Sequence[_Wanted], error: Exception) -> None:
    for each in batch:
        if not each.found.done():
            each.found.set_exception(SearchFailedError(str(error)) if isinstance(error, FrescoError) else error)
