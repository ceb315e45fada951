"""Run the server of :mod:`ccs.retrieve.service` until it is told to end."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ccs.retrieve.base import Retriever
from fresco.errors import FrescoError

if TYPE_CHECKING:
    from ccs.retrieve.service import ServiceLimits

#: More are answered with 503, which our client tries again: what waits is held in memory.
_MOST_CONNECTIONS = 1024


def serve_retriever(
    retriever: Retriever,
    *,
    host: str = "127.0.0.1",
    port: int = 8001,
    top_k: int = 3,
    limits: ServiceLimits | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM; what is under way is answered first.

    Args:
        retriever: Searches.
        host: 0.0.0.0 for other machines.
        port: 0 takes a free one.
        top_k: Passages where a request names no number.
        limits: What a request may ask.
        on_ready: Told the URL once the port is taken, before the first request is answered.

    Raises:
        FrescoError: the extra is missing, or the address cannot be listened at.
    """
    try:
        import uvicorn

        from ccs.retrieve.service import make_app
    except ImportError as error:
        raise FrescoError(f"ccs serve needs {error.name}: pip install 'fresco-ccs[ccs]'") from error
    retriever.search(["warm up"], 1)  # a model loads before the first request, not during it
    listener = _listener(host, port)
    host, port = listener.getsockname()[:2]
    if on_ready:
        on_ready(f"http://{host}:{port}/retrieve")
    config = uvicorn.Config(
        make_app(retriever, topk=top_k, limits=limits),
        log_level="warning",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=10,
    )
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
