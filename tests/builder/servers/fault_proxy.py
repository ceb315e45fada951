"""A proxy on 127.0.0.1 in front of a real wiki that spoils the answers it is told to spoil, and counts.

Each request takes the next fault of ``script``; without one it is passed on. Faults speak real HTTP: statuses, headers,
broken bodies, and a TCP reset.
"""

from __future__ import annotations

import gzip
import json
import os
import socket
import struct
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from tests.servers.threaded import Server
from tests.waiting import PATIENCE

_NONE: Mapping[str, str] = {}


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    at: float  # time.monotonic()
    connection: tuple[str, int]
    parameters: dict[str, str]
    headers: dict[str, str]


@dataclass
class FaultProxy:
    """What a test scripts and reads."""

    upstream: str
    url: str = ""
    script: deque[Fault] = field(default_factory=deque)
    seen: list[Seen] = field(default_factory=list)

    def spacing(self) -> list[float]:
        """Seconds between the starts of neighbouring requests."""
        return [later.at - sooner.at for sooner, later in zip(self.seen, self.seen[1:], strict=False)]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultProxy

    def do_GET(self) -> None:
        parameters = {key: values[-1] for key, values in parse_qs(urlsplit(self.path).query).items()}
        self.proxy.seen.append(Seen(time.monotonic(), self.client_address, parameters, dict(self.headers)))
        fault = self.proxy.script.popleft() if self.proxy.script else passed
        with suppress(BrokenPipeError, ConnectionResetError):  # the client may hang up on a bad answer
            fault(self)

    def fetched(self) -> bytes:
        """The wiki's own answer."""
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(self.proxy.upstream))
        with urllib.request.urlopen(origin + self.path, timeout=PATIENCE) as answer:
            return bytes(answer.read())

    def answer(
        self, body: bytes, status: int = 200, length: int | None = None, headers: Mapping[str, str] = _NONE
    ) -> None:
        """Send an answer; ``length`` lies about its size."""
        if "gzip" in self.headers.get("Accept-Encoding", "") and length is None:
            body = gzip.compress(body, 1)
            headers = {**headers, "Content_Encoding": "gzip"}
        self.send_response(status)
        for name, value in {"Content_Type": "application/json; charset=utf-8", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def reset(self) -> None:
        """End the connection with a TCP reset instead of a goodbye."""
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        os.close(self.connection.detach())  # at once: the handler would say goodbye first

    def log_message(self, *_: object) -> None:
        """Say nothing."""


Fault = Callable[[_Handler], None]


def passed(handler: _Handler) -> None:
    """No fault."""
    handler.answer(handler.fetched())


def status(code: int, **headers: str) -> Fault:
    """An error page with a status, e.g. ``status(429, Retry_After="2")``."""
    return lambda handler: handler.answer(b"<html>no</html>", code, headers={"Content_Type": "text/html", **headers})


def lagged(retry_after: str) -> Fault:
    """What api.php says when the replicas lag more than ``maxlag``."""
    return api_error("maxlag", Retry_After=retry_after, X_Database_Lag="7")


def api_error(code: str, **headers: str) -> Fault:
    """An error of the API, which comes with status 200."""
    body = json.dumps({"error": {"code": code, "info": f"{code} was injected", "*": "see the API"}}).encode()
    return lambda handler: handler.answer(body, headers={"MediaWiki_API_Error": code, **headers})


def reset(handler: _Handler) -> None:
    """A connection that is reset before the answer."""
    handler.reset()


def reset_within(handler: _Handler) -> None:
    """A connection that is reset in the middle of the answer."""
    body = handler.fetched()
    with suppress(OSError):
        handler.answer(body[: len(body) // 2], length=len(body))
    handler.reset()


def cut_off(handler: _Handler) -> None:
    """A connection that is closed in the middle of the answer."""
    body = handler.fetched()
    handler.answer(body[: len(body) // 2], length=len(body))
    handler.close_connection = True


def half_json(handler: _Handler) -> None:
    """An answer that is whole for HTTP, and half a JSON."""
    body = handler.fetched()
    handler.answer(body[: len(body) // 2])


def saying(body: bytes) -> Fault:
    """Other JSON than the wiki's."""
    return lambda handler: handler.answer(body)


def page(handler: _Handler) -> None:
    """A page of HTML where the API should be."""
    handler.answer(b"<html>Welcome</html>", headers={"Content_Type": "text/html"})


def altered(old: str, new: str) -> Fault:
    """An answer with other words in it: damage that JSON does not notice."""

    def fault(handler: _Handler) -> None:
        body = handler.fetched()
        assert old.encode() in body
        handler.answer(body.replace(old.encode(), new.encode(), 1))

    return fault


def dripping(interval: float) -> Fault:
    """A byte at a time: never silent long enough for a timeout of one packet."""

    def fault(handler: _Handler) -> None:
        body = handler.fetched()
        with suppress(OSError):
            handler.answer(b"", length=len(body))
            for byte in body:
                handler.wfile.write(bytes([byte]))
                time.sleep(interval)

    return fault


@contextmanager
def fault_proxy(upstream: str) -> Iterator[FaultProxy]:
    """Run a proxy in front of the wiki at ``upstream`` on a free port."""
    proxy = FaultProxy(upstream)
    server = Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"proxy": proxy}))
    proxy.url = f"http://127.0.0.1:{server.server_port}{urlsplit(upstream).path}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
