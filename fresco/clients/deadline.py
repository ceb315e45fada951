"""An httpx client whose exchanges end: one deadline and one limit of bytes over all that a server sends.

httpx bounds each read. A server that drips its headers, or sends `100 Continue` for ever, keeps every single read short
and the client waiting. So the sockets underneath are wrapped: each read gets what is left of the whole exchange's time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

_READ_AT_MOST = 1 << 16  # bytes, so that a limit is not passed by much


class Exchange:
    """What the exchange that a thread is in may still cost; a connection serves one thread at a time."""

    def __init__(self) -> None:
        self._own = threading.local()

    @contextmanager
    def bounded(self, seconds: float, received: int) -> Iterator[None]:
        """Bound whatever this thread does on the client's connections within the block.

        Args:
            seconds: For all of it, from the first byte sent to the last received.
            received: Bytes from the server, headers and what else it sends included.
        """
        self._own.deadline, self._own.left = time.monotonic() + seconds, received
        try:
            yield
        finally:
            self._own.deadline = self._own.left = None

    def time_left(self, timeout: float | None, late: type[Exception]) -> float | None:
        """The timeout of one operation.

        Raises:
            late: none is left.
        """
        deadline = getattr(self._own, "deadline", None)
        if deadline is None:
            return timeout
        left: float = deadline - time.monotonic()
        if left <= 0:
            raise late("the exchange took too long")
        return left if timeout is None else min(timeout, left)

    def count(self, received: bytes) -> bytes:
        """Bytes from the server.

        Raises:
            httpcore.ReadError: they are too many.
        """
        if getattr(self._own, "left", None) is not None:
            self._own.left -= len(received)
            if self._own.left < 0:
                raise httpcore.ReadError("the server sends more than an answer can be")
        return received


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, exchange: Exchange) -> None:
        self._inner, self._exchange = inner, exchange

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._exchange.time_left(timeout, httpcore.ReadTimeout)
        return self._exchange.count(self._inner.read(min(max_bytes, _READ_AT_MOST), left))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._exchange.time_left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._exchange.time_left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._exchange)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend, exchange: Exchange) -> None:
        self._inner, self._exchange = inner, exchange

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = self._exchange.time_left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.connect_tcp(host, port, left, local_address, socket_options), self._exchange)

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        left = self._exchange.time_left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.connect_unix_socket(path, left, socket_options), self._exchange)

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


def bind(client: httpx.Client) -> Exchange:
    """Make the deadline of a client's exchanges hold on each of its connections, those through proxies included.

    A transport of one's own would have been httpx's way, and would lose the proxies that the environment names: so the
    backends of the pools that httpx made are wrapped in place.
    """
    exchange = Exchange()
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx.HTTPTransport):
            transport._pool._network_backend = _Backend(transport._pool._network_backend, exchange)
    return exchange
