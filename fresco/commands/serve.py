"""``fresco serve``: a re-ranker and its cure behind an HTTP ``/rerank``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from fresco.terminal.arguments import address, positive, whole_in
from fresco.terminal.options import add_models, add_seed


def add_serve(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    serve = commands.add_parser(
        "serve",
        help="serve a re-ranker and its cure (/rerank)",
        description="POST /rerank in the shapes of Cohere, Jina and TEI, with dates; GET /health. Ctrl-C ends it.",
    )
    serve.set_defaults(run=run_serve)
    serve.add_argument(
        "--reranker", type=address, required=True, metavar="SPEC", help="the base; `fresco parts` lists them"
    )
    serve.add_argument("--cure", metavar="FILE", help="recency.json of `fresco tune` (default: the base alone)")
    serve.add_argument("--hide-dates", action="store_true", help="the model reads no dates; the cure does")
    serve.add_argument("--host", default="127.0.0.1", metavar="H", help="0.0.0.0 for other machines")
    serve.add_argument(
        "--port", type=whole_in(0, 65535), default=8002, metavar="P", help="0: a free one, which is said"
    )
    limits = serve.add_argument_group("limits of one request")
    limits.add_argument("--max-documents", type=positive, default=1000, metavar="N", help="(default: 1000)")
    limits.add_argument("--max-characters", type=positive, default=100_000, metavar="N", help="of query and document")
    limits.add_argument("--max-body-mb", type=positive, default=16, metavar="N", help="megabytes (default: 16)")
    add_models(serve)
    add_seed(serve, "whatever the base draws")


def run_serve(options: argparse.Namespace) -> int:
    """Run the command."""
    from fresco.errors import FrescoError
    from fresco.io.http_server import run_app
    from fresco.serving import FreshReranker
    from fresco.terminal.options import model_settings

    try:
        import uvicorn  # noqa: F401 - before a model is loaded for nothing

        from fresco.serving.service import Limits, make_app
    except ImportError as error:
        raise FrescoError(f"fresco serve needs {error.name}: pip install 'fresco-ccs[ccs]'") from error
    shown = not options.hide_dates
    reranker = FreshReranker(options.reranker, options.cure, show_dates=shown, settings=model_settings(options))
    reranker.rerank("warm up", ["a model loads before the first request"])
    limits = Limits(body=options.max_body_mb << 20, documents=options.max_documents, characters=options.max_characters)

    def ready(address: str) -> None:
        sys.stderr.write(f"fresco: {reranker.name} at {address}/rerank; Ctrl-C ends it\n")

    run_app(make_app(reranker, limits), options.host, options.port, ready)
    return 0
