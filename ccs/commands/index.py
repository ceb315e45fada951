"""``ccs index``: a corpus to an index on disk."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from fresco.terminal.options import DTYPES, add_device, add_dtype, add_ray


def add_index(commands: argparse._SubParsersAction[Any]) -> None:
    """Add the command to the parser."""
    index = commands.add_parser(
        "index",
        help="make an index of passages for agents to search",
        description="Make an index of passages. Interrupted at any point, the same command goes on where it stopped.",
    )
    index.set_defaults(run=run_index)
    index.add_argument(
        "--corpus",
        required=True,
        metavar="C",
        help="JSON Lines or TSV (.jsonl, .tsv, .gz, .xz), Parquet or a Hugging Face dataset; id with contents, or "
        "title and text",
    )
    index.add_argument("--out", required=True, metavar="DIR", help="folder of the index")
    index.add_argument("--method", default="bm25", choices=("bm25", "dense"))
    index.add_argument("--model", metavar="M", help="embedding model of a dense index: a folder or a Hugging Face id")
    index.add_argument(
        "--index-type",
        default="flat",
        choices=("flat", "hnsw", "ivfpq"),
        help="of a dense index: exact (default); a graph, fast and a little larger; compressed, a quarter of the size",
    )
    index.add_argument(
        "--query-prefix",
        metavar="TEXT",
        help='before each query (default: what the model saves, or "query: " for E5, which saves none)',
    )
    index.add_argument("--passage-prefix", metavar="TEXT", help="before each passage, likewise")
    add_dtype(index, DTYPES[:-1])
    add_device(index)
    add_ray(index)


def run_index(options: argparse.Namespace) -> int:
    """Run the command."""
    import ccs
    from fresco.terminal.console import make_console

    names = ("method", "model", "index_type", "query_prefix", "passage_prefix", "dtype", "device", "ray")
    made = ccs.index(options.corpus, options.out, **{name: getattr(options, name) for name in names})
    console = make_console(stderr=False)
    console.print(f"index of {len(made.passages):,} passages: {options.out}", markup=False)
    if skipped := {why: count for why, count in made.manifest.get("skipped", {}).items() if count}:
        told = " and ".join(f"{count:,} {why}" for why, count in skipped.items())
        sys.stderr.write(f"ccs: left out {told} passages of the corpus\n")
    console.print(f"next: ccs serve --index {options.out}", markup=False)
    return 0
