"""``ccs serve``: an index behind Search-R1's retriever contract."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

#: More are answered with 503, which our client tries again: what waits is held in memory.
_MOST_CONNECTIONS = 1024


def add_serve(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    serve = commands.add_parser(
        "serve",
        help="serve an index to agents (Search-R1's /retrieve)",
        description="Serve an index: POST /retrieve as Search-R1 does, GET /health. Ctrl-C ends it.",
    )
    serve.set_defaults(run=run_serve)
    serve.add_argument("--index", required=True, metavar="DIR", help="folder of `ccs index`")
    serve.add_argument(
        "--host", default="127.0.0.1", metavar="H", help="0.0.0.0 for other machines (default: this one)"
    )
    serve.add_argument("--port", type=int, default=8001, metavar="P", help="0 takes a free one and says which")
    serve.add_argument("--top-k", type=int, default=3, metavar="K", help="passages where a request names no number")
    serve.add_argument("--model", metavar="M", help="where the model of a dense index is now, if it was moved")
    serve.add_argument("--device", metavar="D", help="for the model of a dense index")


def run_serve(options: argparse.Namespace) -> int:
    """Run the command."""
    from fresco.errors import FrescoError

    try:
        import uvicorn

        from ccs.retrieve.service import make_app
    except ImportError as error:
        raise FrescoError(f"ccs serve needs {error.name}: pip install 'fresco-ccs[ccs]'") from error
    from ccs.retrieve.index import open_index

    index = open_index(Path(options.index), device=options.device, model=options.model)
    index.search(["warm up"], 1)  # a model loads before the first request, not during it
    listener = _listener(options.host, options.port)
    host, port = listener.getsockname()[:2]
    sys.stderr.write(f"ccs: {len(index.passages):,} passages at http://{host}:{port}/retrieve; Ctrl-C ends it\n")
    config = uvicorn.Config(
        make_app(index, topk=options.top_k),
        log_level="warning",
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=10,
    )
    for sign in (signal.SIGINT, signal.SIGTERM):
        # uvicorn answers what is under way and then raises the signal again: that would end us as if it had failed.
        signal.signal(sign, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listener])
    return 0


def _listener(host: str, port: int) -> Any:
    import socket

    from fresco.errors import FrescoError

    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        raise FrescoError(f"--host {host} --port {port}: cannot be listened at: {error}") from error
    return listener
