"""``ccs serve``: an index behind Search-R1's retriever contract."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


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
    import ccs
    from ccs.retrieve.index import open_index

    index = open_index(Path(options.index), device=options.device, model=options.model)

    def on_ready(url: str) -> None:
        sys.stderr.write(f"ccs: {len(index.passages):,} passages at {url}; Ctrl-C ends it\n")

    ccs.serve(index, host=options.host, port=options.port, top_k=options.top_k, on_ready=on_ready)
    return 0
