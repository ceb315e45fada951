"""``ccs serve``: an index behind Search-R1's retriever contract."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from fresco.terminal.arguments import positive, whole_in
from fresco.terminal.options import add_device


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
    serve.add_argument(
        "--port", type=whole_in(0, 65535), default=8001, metavar="P", help="0: a free one, which is said"
    )
    serve.add_argument(
        "--top-k", type=positive, default=3, metavar="K", help="passages where a request names no number"
    )
    serve.add_argument("--model", metavar="M", help="where the model of a dense index is now, if it was moved")
    limits = serve.add_argument_group("limits of one request")
    limits.add_argument(
        "--max-queries",
        type=positive,
        default=4096,
        metavar="N",
        help="Search-R1's trainer sends 2,560 (default: 4096)",
    )
    limits.add_argument("--max-top-k", type=positive, default=100, metavar="N", help="passages (default: 100)")
    limits.add_argument(
        "--max-query-characters", type=positive, default=10_000, metavar="N", help="of each query (default: 10000)"
    )
    limits.add_argument("--max-body-mb", type=positive, default=8, metavar="N", help="megabytes (default: 8)")
    add_device(serve, of="the model of a dense index")


def run_serve(options: argparse.Namespace) -> int:
    """Run the command."""
    import ccs
    from ccs.retrieve.index import open_index
    from fresco.errors import FrescoError

    try:
        from ccs.retrieve.service import ServiceLimits
    except ImportError as error:
        raise FrescoError(f"ccs serve needs {error.name}: pip install 'fresco-ccs[ccs]'") from error
    limits = ServiceLimits(
        body=options.max_body_mb << 20,
        queries=options.max_queries,
        query=options.max_query_characters,
        topk=options.max_top_k,
    )
    index = open_index(Path(options.index), device=options.device, model=options.model)

    def on_ready(url: str) -> None:
        sys.stderr.write(f"ccs: {len(index.passages):,} passages at {url}; Ctrl-C ends it\n")

    ccs.serve(index, host=options.host, port=options.port, top_k=options.top_k, limits=limits, on_ready=on_ready)
    return 0
