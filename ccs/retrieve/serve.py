"""Run the server of :mod:`ccs.retrieve.service` until it is told to end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ccs.retrieve.base import Retriever
from fresco.errors import FrescoError
from fresco.io.http_server import run_app

if TYPE_CHECKING:
    from ccs.retrieve.service import ServiceLimits


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
        import uvicorn  # noqa: F401 - before a model is loaded for nothing

        from ccs.retrieve.service import make_app
    except ImportError as error:
        raise FrescoError(f"ccs serve needs {error.name}: pip install 'fresco-ccs[ccs]'") from error
    retriever.search(["warm up"], 1)  # a model loads before the first request, not during it

    def ready(address: str) -> None:
        if on_ready:
            on_ready(f"{address}/retrieve")

    run_app(make_app(retriever, topk=top_k, limits=limits), host, port, ready)
