"""What both servers do with a request's body, over real sockets."""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Iterator
from http.client import HTTPConnection

import pytest

from fresco.io.http_server import read_body
from tests.waiting import PATIENCE

fastapi = pytest.importorskip("fastapi")
uvicorn = pytest.importorskip("uvicorn")


@pytest.fixture
def port() -> Iterator[int]:
    app = fastapi.FastAPI()

    async def echo(seconds: float, request):  # type: ignore[no-untyped-def]
        return {"length": len(await read_body(request, most=1000, seconds=seconds, mend="send less"))}

    echo.__annotations__["request"] = fastapi.Request
    app.post("/echo/{seconds}")(echo)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


def post(port: int, body: bytes) -> tuple[int, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.request("POST", f"/echo/{PATIENCE}", body)
    answer = connection.getresponse()
    return answer.status, answer.read()


def begun(port: int, body: bytes) -> socket.socket:
    """A request that says it has 500 bytes and sends fewer."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    connection.sendall(b"POST /echo/0.3 HTTP/1.1\r\nHost: h\r\nContent-Length: 500\r\n\r\n" + body)
    return connection


def test_a_body_is_read_whole_or_refused(port: int) -> None:
    assert post(port, b"x" * 1000) == (200, b'{"length":1000}')
    status, said = post(port, b"x" * 1001)
    assert status == 413 and b"passes 1000 bytes; send less" in said


def test_a_dripped_body_is_refused(port: int) -> None:
    with begun(port, b"x") as connection:
        assert b" 408 " in connection.recv(1 << 16)


def test_a_client_that_vanishes_is_no_fault(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            connection = begun(port, b"x" * 10)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        assert post(port, b"xx")[0] == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
