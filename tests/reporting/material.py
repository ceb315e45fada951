"""Small results of `fresco tune` and `fresco answer` for the page."""

from __future__ import annotations

from pathlib import Path

import fresco
from fresco.benchmarks import limit_queries, open_benchmark
from fresco.records import Label
from tests.answering.test_answer import First, reader_of
from tests.servers import chat_api
from tests.tuning.small import small


def tuned(folder: Path) -> Path:
    """Priors over BM25 on a few short pools."""
    return fresco.tune(
        "bm25", small(), out=folder, store=folder.with_suffix(".db"), resamples=20, progress=False
    ).folder


def answered(folder: Path) -> Path:
    """A scripted reader, over passages that are right and over outdated ones."""
    few = limit_queries(open_benchmark("mini"), 24, seed=0)
    rerankers = [First(Label.POSITIVE, few.pools), First(Label.OUTDATED, few.pools)]
    with chat_api.serve(reader_of(few)) as api:
        result = fresco.answer(
            rerankers,
            few,
            reader=f"{api.url}#tiny/chat&retries=0",
            top_k=2,
            baselines=False,
            out=folder,
            store=folder.with_suffix(".db"),
            resamples=20,
            progress=False,
        )
    return result.folder
