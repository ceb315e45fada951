"""``/rerank`` over a :class:`fresco.serving.FreshReranker`, in the shapes of Cohere, Jina and TEI.

A request is ``{"query": ..., "documents": [...], "top_n": 5}`` (Cohere, Jina; answered with ``results`` of ``index``
and ``relevance_score``), or ``{"query": ..., "texts": [...]}`` (TEI; answered with a list of ``index`` and ``score``).
A document is a text, or an object with ``text`` and ``date``, the date also in its ``metadata``; ``asked_at`` by the
query is the time that it asks about. Requests that come while others are scored are scored together in the next call.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request

from fresco.errors import FrescoError
from fresco.io.http_server import read_body
from fresco.io.jsonlines import parse_json
from fresco.io.names import short
from fresco.serving.fresh import Document, FreshReranker, Ranked, as_document, as_text, as_time

_FIELDS = {"documents": "relevance_score", "texts": "score"}


@dataclass(frozen=True)
class Limits:
    """What one request may ask.

    Attributes:
        body: Bytes.
        documents: How many.
        characters: Of the query and of each document.
        batch: Documents of several requests that are scored together, at most.
        seconds: For the body to arrive.
    """

    body: int = 16 << 20
    documents: int = 1000
    characters: int = 100_000
    batch: int = 2000
    seconds: float = 30.0


@dataclass(frozen=True)
class _Asked:
    query: str
    documents: Sequence[Document]
    asked_at: Any
    top_n: int | None
    kind: str
    answer: asyncio.Future[list[Ranked]]


class _Batcher:
    """Scores what came in meanwhile in one call; one call at a time."""

    def __init__(self, reranker: FreshReranker, most: int) -> None:
        self._reranker, self._most = reranker, most
        self._waiting: deque[_Asked] = deque()
        self._came = asyncio.Event()

    async def rerank(self, asked: _Asked) -> list[Ranked]:
        self._waiting.append(asked)
        self._came.set()
        return await asked.answer

    async def run(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            while batch := self._batch():
                await self._answer(batch)

    def _batch(self) -> list[_Asked]:
        batch: list[_Asked] = []
        count = 0
        while self._waiting:
            if self._waiting[0].answer.done():  # its client has gone
                self._waiting.popleft()
                continue
            count += len(self._waiting[0].documents)
            if batch and count > self._most:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _answer(self, batch: Sequence[_Asked]) -> None:
        try:
            answers = await asyncio.to_thread(self._score, batch)
        except Exception as error:  # whatever a base raises is the answer to each of the batch
            answers = [error] * len(batch)
        for asked, answer in zip(batch, answers, strict=True):
            if asked.answer.done():
                continue
            if isinstance(answer, Exception):
                asked.answer.set_exception(answer)
            else:
                asked.answer.set_result(answer)

    def _score(self, batch: Sequence[_Asked]) -> list[Any]:
        try:
            return self._reranker.rerank_many([(each.query, each.documents, each.asked_at) for each in batch])
        except FrescoError:
            if len(batch) == 1:
                raise
        # One request may have spoilt the call for the others: each by itself.
        return [self._alone(each) for each in batch]

    def _alone(self, asked: _Asked) -> Any:
        try:
            return self._reranker.rerank(asked.query, asked.documents, asked_at=asked.asked_at)
        except FrescoError as error:
            return error


def make_app(reranker: FreshReranker, limits: Limits | None = None) -> FastAPI:
    """The server's application.

    Args:
        reranker: Asked by one thread at a time.
        limits: More is answered with 413 or 422 and a line that says why.
    """
    allowed = limits or Limits()
    batcher = _Batcher(reranker, allowed.batch)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        running = asyncio.create_task(batcher.run())
        yield
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    app = FastAPI(title="fresco serve", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok", "reranker": reranker.name}

    async def rerank(request: Request) -> Any:
        body = await read_body(
            request, most=allowed.body, seconds=allowed.seconds, mend="send fewer documents (--max-body-mb)"
        )
        asked = _read(body, allowed)
        try:
            ranked = await batcher.rerank(asked) if asked.documents else []
        except FrescoError as error:
            raise HTTPException(HTTPStatus.INTERNAL_SERVER_ERROR, str(error)) from error
        key = _FIELDS[asked.kind]
        rows = [{"index": each.index, key: each.score} for each in ranked[: asked.top_n]]
        return {"model": reranker.name, "results": rows} if asked.kind == "documents" else rows

    for path in ("/rerank", "/v1/rerank", "/v2/rerank"):
        app.add_api_route(path, rerank, methods=["POST"], response_model=None)
    return app


def _read(body: bytes, limits: Limits) -> _Asked:
    try:
        content = parse_json(body)
    except ValueError as error:
        raise _refused(f"the body is no JSON ({error})") from None
    if not isinstance(content, Mapping) or not isinstance(content.get("query"), str):
        raise _refused("query: a text is wanted")
    kind = next((key for key in _FIELDS if isinstance(content.get(key), list)), None)
    if kind is None:
        raise _refused("documents (or texts): a list is wanted")
    if len(content[kind]) > limits.documents:
        raise _refused(f"{kind}: {len(content[kind])} of them; {limits.documents} are the most (--max-documents)")
    top_n = content.get("top_n")
    if top_n is not None and (not isinstance(top_n, int) or isinstance(top_n, bool) or top_n < 1):
        raise _refused(f"top_n: {short(top_n)}; a whole number from 1 up is wanted")
    try:
        documents = [as_document(each) for each in content[kind]]
        asked_at = as_time(content.get("asked_at"))
        query = as_text(content["query"])
    except FrescoError as error:
        raise _refused(str(error)) from None
    # A title is read before its text, as part of it.
    if max(len(query), *(len(each.title) + len(each.text) for each in documents), 0) > limits.characters:
        raise _refused(f"query or document longer than {limits.characters} characters (--max-characters)")
    return _Asked(query, documents, asked_at, top_n, kind, asyncio.get_running_loop().create_future())


def _refused(why: str) -> HTTPException:
    return HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY, why)
