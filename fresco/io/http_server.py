"""Run a web application until it is told to end: what every server of both packages does alike."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

from fresco.errors import FrescoError

#: More are answered with 503, which our clients try again: what waits is held in memory.
_MOST_CONNECTIONS = 1024


def run_app(app: Any, host: str, port: int, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve an ASGI application until SIGINT or SIGTERM; what is under way is answered first.

    Args:
        app: The application.
        host: 0.0.0.0 for other machines.
        port: 0 takes a free one.
        on_ready: Told ``http://HOST:PORT`` once the port is taken, before the first request is answered.

    Raises:
        ImportError: uvicorn is missing.
        FrescoError: the address cannot be listened at.
    """
    import uvicorn

    listener = _listener(host, port)
    host, port = listener.getsockname()[:2]
    if on_ready:
        on_ready(f"http://{host}:{port}")
    config = uvicorn.Config(app, log_level="warning", limit_concurrency=_MOST_CONNECTIONS, timeout_graceful_shutdown=10)
    if threading.current_thread() is not threading.main_thread():
        uvicorn.Server(config).run(sockets=[listener])  # signals are the main thread's alone
        return
    before = {sign: signal.getsignal(sign) for sign in (signal.SIGINT, signal.SIGTERM)}
    for sign in before:
        # uvicorn answers what is under way and then raises the signal again: that would end us as if it had failed.
        signal.signal(sign, lambda *_: None)
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def _listener(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise FrescoError(f"--host {host} --port {port}: cannot be listened at: {error}") from error
    return listener
