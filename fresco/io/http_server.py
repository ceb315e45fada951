"""What every server of both packages does alike: run until told to end, and read the body of a request in bounds."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fresco.errors import FrescoError

if TYPE_CHECKING:
    from starlette.requests import Request

#: More are answered with 503, which our clients try again: what waits is held in memory.
_MOST_CONNECTIONS = 1024
_CLIENT_GONE = 499  # nginx's code; nobody reads it


def run_app(app: Any, host: str, port: int, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve an ASGI application until SIGINT or SIGTERM; what is under way is answered first.

    Args:
        app: The application.
        host: 0.0.0.0 for other machines.
        port: 0 takes a free one.
        on_ready: Told ``http://HOST:PORT`` once requests are answered and signals heard: whoever reads that may send
            either at once.

    Raises:
        ImportError: uvicorn is missing.
        FrescoError: the address cannot be listened at.
    """
    import uvicorn

    listener = _listener(host, port)
    host, port = listener.getsockname()[:2]

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if on_ready and self.started:
                on_ready(f"http://{host}:{port}")

    config = uvicorn.Config(app, log_level="warning", limit_concurrency=_MOST_CONNECTIONS, timeout_graceful_shutdown=10)
    if threading.current_thread() is not threading.main_thread():
        Server(config).run(sockets=[listener])  # signals are the main thread's alone
        return
    before = {sign: signal.getsignal(sign) for sign in (signal.SIGINT, signal.SIGTERM)}
    for sign in before:
        # uvicorn answers what is under way and then raises the signal again: that would end us as if it had failed.
        signal.signal(sign, lambda *_: None)
    try:
        Server(config).run(sockets=[listener])
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


async def read_body(request: Request, *, most: int, seconds: float, mend: str) -> bytes:
    """The body of a request.

    Args:
        request: Starlette's.
        most: Bytes.
        seconds: For it to arrive; a client that drips it holds a connection no longer.
        mend: What the client is told to do about a body that is too long.

    Raises:
        starlette.exceptions.HTTPException: it is too long (413), too slow (408), or its client has gone (499).
    """
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect

    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the request passes {most} bytes; {mend}")
    except TimeoutError:
        late = f"the request did not arrive whole within {seconds:g} s"
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, late) from None
    except ClientDisconnect:
        raise HTTPException(_CLIENT_GONE, "the client went away") from None
    return bytes(body)


def _listener(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise FrescoError(f"--host {host} --port {port}: cannot be listened at: {error}") from error
    return listener
