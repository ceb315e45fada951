"""Servers that would hold a client for ever or fill its memory, against every client of ours that asks by itself."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from fresco.builder.wikipedia.transport import polite_session
from fresco.clients import json_api
from fresco.clients.endpoint import Endpoint
from fresco.clients.json_api import JsonClient
from fresco.errors import FrescoError
from tests.waiting import PATIENCE

#: What a server sends, piece by piece; it never stops by itself where the pieces do not end.
Pieces = Callable[[], Iterator[bytes]]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def dripped_headers() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nX: "
    yield from itertools.repeat(b"a")


def endless_continue() -> Iterator[bytes]:
    return itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n")


def endless_headers() -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\n"
    yield from (b"X-%d: a\r\n" % number for number in itertools.count())


def dripped_body() -> Iterator[bytes]:
    yield OK + b"Content-Length: 1000000\r\n\r\n["
    yield from itertools.repeat(b" ")


def silence() -> Iterator[bytes]:
    yield b""
    yield from itertools.repeat(b"")


THRICE = gzip.compress(gzip.compress(gzip.compress(b" " * (16 << 20))))


def packed_thrice() -> Iterator[bytes]:
    yield OK + b"Content-Encoding: gzip, gzip, gzip\r\nContent-Length: %d\r\n\r\n" % len(THRICE) + THRICE


HANGS = [dripped_headers, endless_continue, endless_headers, dripped_body, silence]


@contextmanager
def serving(pieces: Pieces) -> Iterator[str]:
    """A server that takes any request and sends the pieces, a few a tick, until its client goes or the block ends."""
    stop = threading.Event()

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(1 << 16)
            for piece in pieces():
                connection.sendall(piece)
                if stop.wait(0.01):
                    return
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1)

    def accept() -> None:
        with suppress(OSError):
            while not stop.is_set():
                threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        finally:
            stop.set()
            listener.shutdown(socket.SHUT_RDWR)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def ask(url: str, timeout: float = 0.3, way: str = "thread") -> str:
    endpoint = Endpoint.parse(url)
    client = JsonClient(endpoint, key_variable="NONE_OF_OURS", timeout=timeout, retries=0)

    async def post() -> None:
        async with client.connected():
            await client.post_async(endpoint, {"a": 1}, "a test")

    try:
        with pytest.raises(FrescoError) as refused:
            asyncio.run(post()) if way == "event loop" else client.post(endpoint, {"a": 1}, "a test")
    finally:
        client.close()
    return str(refused.value)


in_both_ways = pytest.mark.parametrize("way", ["thread", "event loop"])


@in_both_ways
@pytest.mark.parametrize("pieces", HANGS)
def test_an_exchange_ends_whatever_the_server_does(pieces: Pieces, way: str) -> None:
    with serving(pieces) as url:
        said = ask(url, way=way)
    assert "no answer within 0.3 s" in said or "the connection broke" in said
    assert "\n" not in said


@in_both_ways
def test_an_answer_packed_unasked_is_refused_before_it_is_unpacked(way: str) -> None:
    with serving(packed_thrice) as url:
        said = ask(url, timeout=PATIENCE, way=way)
    assert "answers packed (gzip, gzip, gzip), which was not asked for" in said


@in_both_ways
def test_headers_without_end_are_cut_by_their_bytes(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr(json_api, "_FLOOR_OF_ANSWER", 1 << 18)

    def flood() -> Iterator[bytes]:
        return itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 4000)

    with serving(flood) as url:
        said = ask(url, timeout=PATIENCE, way=way)
    assert "the server sends more than an answer can be" in said


def test_a_connection_that_is_kept_has_a_new_deadline_each_time() -> None:
    body = b'{"a": 1}'
    both = OK + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection = listener.accept()[0]
            with connection:
                for _ in range(3):
                    while b"{}" not in connection.recv(1 << 16):  # the body comes last
                        pass
                    connection.sendall(both)
                connection.recv(1 << 16)  # and no answer to the fourth
                done.wait(PATIENCE)

        done = threading.Event()
        threading.Thread(target=answer, daemon=True).start()
        endpoint = Endpoint.parse(f"http://127.0.0.1:{listener.getsockname()[1]}/x")
        client = JsonClient(endpoint, key_variable="NONE_OF_OURS", timeout=PATIENCE, retries=0)
        try:
            assert [client.post(endpoint, {}) for _ in range(3)] == [{"a": 1}] * 3
            client._timeout = 0.2
            with pytest.raises(FrescoError, match="no answer within"):
                client.post(endpoint, {})
        finally:
            done.set()
            client.close()


@pytest.mark.parametrize("pieces", [*HANGS, packed_thrice])
def test_the_builders_session_ends_too(pieces: Pieces) -> None:
    import requests

    seconds = PATIENCE if pieces is packed_thrice else 0.3
    with (
        serving(pieces) as url,
        polite_session("a test", seconds) as session,
        pytest.raises(requests.RequestException) as broken,
    ):
        session.get(url, timeout=seconds)
    if pieces is packed_thrice:
        assert "was not asked for" in str(broken.value)


def test_the_builders_session_still_reads_gzip() -> None:
    body = gzip.compress(b'{"a": 1}')
    with (
        serving(lambda: iter([OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body])) as url,
        polite_session("a test", PATIENCE) as session,
    ):
        assert session.get(url, timeout=PATIENCE).json() == {"a": 1}
