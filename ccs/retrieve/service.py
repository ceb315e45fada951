"""A server of Search-R1's retriever contract over an index (see :mod:`ccs.retrieve.client` for the contract).

Requests that come while a search runs are searched together in the next one: a model embeds sixty-four queries in
little more time than one. Only those that want the same number of passages are, because an approximate index answers
otherwise when it is asked for more: what a client gets must not depend on who asks beside it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel, Field, ValidationError

from ccs.agent.trajectory import Hit
from ccs.retrieve.base import Retriever
from fresco.errors import FrescoError
from fresco.io.http_server import read_body


@dataclass(frozen=True)
class ServiceLimits:
    """What one request may ask.

    Attributes:
        body: Bytes.
        queries: How many; Search-R1's trainer sends its whole batch in one request, 2,560 of them by default.
        query: Characters of each.
        topk: Passages for each.
        batch: Queries of several requests that are searched together, at most.
        seconds: For the body of a request to arrive; a client that drips it holds a connection no longer.
    """

    body: int = 8 << 20
    queries: int = 4096
    query: int = 10_000
    topk: int = 100
    batch: int = 512
    seconds: float = 30.0


class _Wanted(BaseModel):
    queries: list[str]
    topk: int | None = Field(default=None, ge=0)  # Search-R1's client sends 0, or null, for the server's own
    return_scores: bool = False


@dataclass(frozen=True)
class _Request:
    queries: Sequence[str]
    k: int
    answer: asyncio.Future[list[list[Hit]]]


class Batcher:
    """Searches what came in meanwhile in one call; one search at a time.

    Args:
        retriever: Searches.
        most: Queries in one call, at most, unless a single request has more.
    """

    def __init__(self, retriever: Retriever, most: int) -> None:
        self._retriever, self._most = retriever, most
        self._waiting: deque[_Request] = deque()
        self._came = asyncio.Event()

    async def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """What the retriever finds.

        Raises:
            FrescoError: as the retriever does.
        """
        request = _Request(queries, k, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        self._came.set()
        return await request.answer

    async def run(self) -> None:
        """Serve until cancelled."""
        while True:
            await self._came.wait()
            self._came.clear()
            while batch := self._batch():
                await self._answer(batch)

    def _batch(self) -> list[_Request]:
        """The request that waits longest, and those behind it that can be searched with it."""
        batch: list[_Request] = []
        left: deque[_Request] = deque()
        count = 0
        for request in self._waiting:
            if request.answer.done():  # its client has gone
                continue
            if batch and (request.k != batch[0].k or count + len(request.queries) > self._most):
                left.append(request)
            else:
                batch.append(request)
                count += len(request.queries)
        self._waiting = left
        return batch

    async def _answer(self, batch: Sequence[_Request]) -> None:
        texts = [query for request in batch for query in request.queries]
        try:
            found = await asyncio.to_thread(self._retriever.search, texts, batch[0].k)
        except Exception as error:  # whatever the index or the model raises is each request's answer
            for request in batch:
                if not request.answer.done():
                    request.answer.set_exception(error)
            return
        start = 0
        for request in batch:
            if not request.answer.done():
                request.answer.set_result(found[start : start + len(request.queries)])
            start += len(request.queries)


def make_app(retriever: Retriever, *, topk: int = 3, limits: ServiceLimits | None = None) -> FastAPI:
    """The server's application.

    Args:
        retriever: Searches; asked by one thread at a time.
        topk: Where a request names none, or 0.
        limits: What a request may ask; more is answered with 413 or 422 and a line that says why.

    Raises:
        FrescoError: limits below what the server itself sends.
    """
    limits = limits or ServiceLimits()
    for name, value in asdict(limits).items():
        if not value > 0:
            raise FrescoError(f"the limit of {name} is {value}; more than 0 is wanted")
    if not 1 <= topk <= limits.topk:
        raise FrescoError(f"--top-k {topk}: 1 to {limits.topk} is wanted, which --max-top-k raises")
    batcher = Batcher(retriever, limits.batch)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        running = asyncio.create_task(batcher.run())
        yield
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    app = FastAPI(title="ccs serve", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/retrieve")
    async def retrieve(request: Request) -> dict[str, Any]:
        body = await read_body(
            request, most=limits.body, seconds=limits.seconds, mend="send it in parts (--max-body-mb)"
        )
        wanted = _read(body, limits)
        if not wanted.queries:
            return {"result": []}
        try:
            found = await batcher.search(wanted.queries, wanted.topk or topk)
        except FrescoError as error:
            raise HTTPException(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)) from error
        return {"result": [[_item(hit, wanted.return_scores) for hit in hits] for hits in found]}

    return app


def _read(body: bytes, limits: ServiceLimits) -> _Wanted:
    try:
        wanted = _Wanted.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise _unprocessable(f"{where}: {first['msg']}") from None
    if len(wanted.queries) > limits.queries:
        raise _unprocessable(f"queries: {len(wanted.queries)} of them; {limits.queries} are the most (--max-queries)")
    if any(len(query) > limits.query for query in wanted.queries):
        raise _unprocessable(f"queries: one is longer than {limits.query} characters (--max-query-characters)")
    if (wanted.topk or 0) > limits.topk:
        raise _unprocessable(f"topk: {wanted.topk} is more than {limits.topk} (--max-top-k)")
    return wanted


def _unprocessable(why: str) -> HTTPException:
    return HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, why)


def _item(hit: Hit, with_score: bool) -> dict[str, Any]:
    document = {"id": hit.id, "contents": hit.contents}
    return {"document": document, "score": hit.score} if with_score else document
