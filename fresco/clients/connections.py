"""Connections of one event loop to one server, for a thousand requests in flight in one thread.

httpx's own asynchronous client is not fit for that: its pool looks through all connections at every request, and each
read sets up timers (1.2 ms of CPU a request, .3 ms here). So the connections are httpcore's, which httpx made ready
(certificates, the environment's proxies), kept on a stack and read through asyncio's streams. One deadline and one
limit of bytes hold over each exchange, as in :mod:`fresco.clients.deadline`.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any

import httpcore
import httpx

from fresco.clients.json_api import LONGEST_CONNECT, TooMuchError, is_packed

_READ_AT_MOST = 1 << 16  # bytes
_NOT_OURS = frozenset((b"content-length", b"host", b"connection", b"transfer-encoding"))

# Bytes that the exchange of the running task may still receive: one entry, counted down.
_LEFT: ContextVar[list[int]] = ContextVar("left")


class AsyncConnections:
    """As many connections as there are requests in flight; what is idle is used again, the latest first.

    Args:
        url: Of the server; decides on proxy and certificates.
        headers: Sent with each request.
        userinfo: (user, password) for basic authentication.
    """

    def __init__(self, url: str, headers: Mapping[str, str], userinfo: tuple[str, str] | None) -> None:
        self._client = httpx.AsyncClient()
        self._pool = _pool_of(self._client, url)
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        if userinfo:
            token = base64.b64encode(":".join(userinfo).encode())
            self._headers.append((b"Authorization", b"Basic " + token))
        self._headers = [(name, value) for name, value in self._headers if name.lower() not in _NOT_OURS]
        self._idle: list[httpcore.AsyncConnectionInterface] = []

    async def post(self, url: str, body: bytes, timeout: float, limit: int) -> tuple[int, dict[str, str], bytes]:
        """One exchange.

        Args:
            url: Of this server.
            body: Sent as it is.
            timeout: Seconds for all of it.
            limit: Bytes that the answer's body may have.

        Returns:
            Status, headers (names in lower case), body; the body is left unread where it is packed.

        Raises:
            httpx.RequestError: the connection or the deadline failed.
            TooMuchError: the answer passes the limit.
        """
        _LEFT.set([2 * limit])  # twice: headers and the frames of chunks come on top
        address = httpcore.URL(url)
        connection = self._take(address.origin)
        kept = False
        try:
            async with asyncio.timeout(timeout):
                answer = await connection.handle_async_request(self._request(address, body, timeout))
                headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
                content = bytearray()
                if not is_packed(headers):
                    async for chunk in answer.aiter_stream():
                        content += chunk
                        if len(content) > limit:
                            raise TooMuchError
                    await answer.aclose()
                    kept = connection.is_idle()
                return answer.status, headers, bytes(content)
        except (TimeoutError, httpcore.TimeoutException) as error:
            kind = httpx.ConnectTimeout if isinstance(error, httpcore.ConnectTimeout) else httpx.ReadTimeout
            raise kind(str(error)) from None
        except (httpcore.ConnectError, httpcore.ProxyError) as error:
            raise httpx.ConnectError(str(error)) from None
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise httpx.ReadError(str(error)) from None
        finally:
            if kept:
                self._idle.append(connection)
            else:
                await connection.aclose()

    async def close(self) -> None:
        """End the connections."""
        for connection in self._idle:
            await connection.aclose()
        self._idle.clear()
        await self._client.aclose()

    def _take(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_available() and not connection.has_expired():
                return connection
        made: httpcore.AsyncConnectionInterface = self._pool.create_connection(origin)
        return made

    def _request(self, address: httpcore.URL, body: bytes, timeout: float) -> httpcore.Request:
        default = {b"http": 80, b"https": 443}[address.scheme]
        host = address.host if address.port in (None, default) else address.host + b":" + str(address.port).encode()
        own = [(b"Host", host), (b"Content-Length", str(len(body)).encode())]
        extensions = {"timeout": {"connect": min(timeout, LONGEST_CONNECT)}}
        return httpcore.Request("POST", address, headers=own + self._headers, content=body, extensions=extensions)


def _pool_of(client: httpx.AsyncClient, url: str) -> Any:
    """What httpx would send this address's requests through, reading by asyncio's own streams."""
    transport = client._transport_for_url(httpx.URL(url))
    pool = transport._pool  # type: ignore[attr-defined]
    pool._network_backend = _Backend()
    return pool


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            data = await self._reader.read(min(max_bytes, _READ_AT_MOST))
        except OSError as error:
            raise httpcore.ReadError(str(error)) from error
        left = _LEFT.get()
        left[0] -= len(data)
        if left[0] < 0:
            raise httpcore.ReadError("the server sends more than an answer can be")
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._writer.write(buffer)
            await self._writer.drain()
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        self._writer.close()

    async def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:  # what ssl raises is one
            raise httpcore.ConnectError(str(error)) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # asked of an idle connection: whether the server has ended it
            return self._reader.at_eof()
        return self._writer.get_extra_info(info)


class _Backend(httpcore.AsyncNetworkBackend):
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                return _Stream(*await asyncio.open_connection(host, port))
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
