"""One HTTP connection whose answers arrive whole, within a time limit, or not at all.

The timeout of ``requests`` starts anew with every byte, so a server that drips its headers or its body, or sends
``100 Continue`` for ever, keeps a program for hours. Here the whole answer is read under one limit.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

_CHUNK = 1 << 16
#: Bytes of one decoded answer; MediaWiki's own limit is 8 MiB ($wgAPIMaxResultSize). Guards against gzip bombs.
_LARGEST_ANSWER = 128 << 20


_ENCODINGS = ("", "identity", "gzip", "x-gzip", "deflate")  # each once: packed again, 64 kB may unpack to gigabytes
_UNTIL_HEADERS = threading.local()  # ``seconds`` that the headers of this thread's request may take


class _Bounded(HTTPConnection):
    """A connection that is cut when the headers of an answer do not arrive in time."""

    def getresponse(self) -> Any:
        late = threading.Event()
        watch = threading.Timer(getattr(_UNTIL_HEADERS, "seconds", 120.0), self._cut, [late])
        watch.daemon = True
        watch.start()
        try:
            return super().getresponse()
        finally:
            watch.cancel()
            if late.is_set():  # a cut within the headers looks like their end
                raise TimeoutError("timed out")

    def _cut(self, late: threading.Event) -> None:
        late.set()
        with suppress(OSError, AttributeError):  # it has ended by itself meanwhile
            self.sock.shutdown(socket.SHUT_RDWR)


class _BoundedTls(_Bounded, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Bounded


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _BoundedTls


class _WholeAnswers(HTTPAdapter):
    """Reads every body at once, under a time limit."""

    def __init__(self, limit: float) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1, pool_block=True)
        self._limit = limit
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send a request and read its answer.

        Raises:
            requests.exceptions.ReadTimeout: the answer was not complete in time.
            requests.exceptions.ConnectionError: the connection broke within the answer.
        """
        give_up = time.monotonic() + self._limit
        _UNTIL_HEADERS.seconds = self._limit
        response = super().send(request, *args, **options)
        try:
            # requests keeps a body that was read here.
            response._content = _whole(response, give_up, self._limit)
        except requests.exceptions.RequestException:
            response.close()
            raise
        except Exception as error:  # urllib3's and http.client's own, which requests would have translated
            response.close()
            raise requests.exceptions.ConnectionError(f"connection broke within the answer: {error}") from error
        response.raw.release_conn()
        return response


def _whole(response: requests.Response, give_up: float, limit: float) -> bytes:
    encoding = str(response.headers.get("Content-Encoding", "")).strip().lower()
    if encoding not in _ENCODINGS:
        raise requests.exceptions.ContentDecodingError(f"an answer packed with {encoding[:40]!r} was not asked for")
    parts: list[bytes] = []
    size = 0
    # read1 returns what one packet brought; every other way to read waits for a full chunk.
    while part := response.raw.read1(_CHUNK, decode_content=True):
        parts.append(part)
        size += len(part)
        if time.monotonic() > give_up:
            raise requests.exceptions.ReadTimeout(f"answer not complete within {limit:g} s")
        if size > _LARGEST_ANSWER:
            raise requests.exceptions.ConnectionError(f"answer larger than {_LARGEST_ANSWER} bytes")
    return b"".join(parts)


def polite_session(user_agent: str, limit: float) -> requests.Session:
    """A session with one connection that is kept open.

    Args:
        user_agent: Who asks, with a contact.
        limit: Seconds within which a whole answer must have arrived.
    """
    session = requests.Session()
    session.headers["User-Agent"] = user_agent
    session.headers["Accept-Encoding"] = "gzip, deflate"
    for scheme in ("https://", "http://"):
        session.mount(scheme, _WholeAnswers(limit))
    return session
