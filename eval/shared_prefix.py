"""What computing the prompts' common beginning once is worth to ``causal-lm:``: the same pairs in turns.

    pip install -e ".[models]" && python eval/shared_prefix.py MODEL

adds a row to ``eval/results/shared_prefix.json`` and rewrites the ``.md`` beside it. The plain way is the control: the
same batches of the same model in the same process, every token computed. The speed-up is the median over the turns of
the ratio of the two times.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Any

import study
import torch

from fresco.benchmarks import open_benchmark
from fresco.models.batching import score_all
from fresco.models.settings import Settings
from fresco.rerank.causal_lm import CausalLmReranker


def measure(options: Any, made: dict[str, Any]) -> dict[str, Any]:
    """One row of the table."""
    settings = Settings(device=options.device, dtype=options.dtype)
    reranker = CausalLmReranker(options.model, settings)
    pools = open_benchmark(options.benchmark).pools
    pairs = [(pool.query, passage) for pool in pools for passage in pool.passages][: options.pairs]
    model = reranker._under(None)
    model.encode(pairs[:4])
    score_all(model, pairs[:4], settings.batch_tokens)  # warm
    ratios: list[float] = []
    seconds: dict[bool, list[float]] = {True: [], False: []}
    found: dict[bool, list[float]] = {}
    model.prefix.saved = 0
    for turn in range(options.turns):
        for shares in (True, False) if turn % 2 else (False, True):
            model.prefix.on = shares
            started = time.perf_counter()
            found[shares] = score_all(model, pairs, settings.batch_tokens)
            seconds[shares].append(time.perf_counter() - started)
        ratios.append(seconds[False][-1] / seconds[True][-1])
    tokens = sum(map(len, model.encode(pairs)))
    return {
        "model": Path(options.model).name,
        "benchmark": options.benchmark,
        "dtype": options.dtype,
        "threads": torch.get_num_threads(),
        "pairs": len(pairs),
        "tokens": tokens,
        "saved": model.prefix.saved / options.turns,
        "turns": options.turns,
        "shared": len(pairs) / statistics.median(seconds[True]),
        "plain": len(pairs) / statistics.median(seconds[False]),
        "ratio": statistics.median(ratios),
        "range": [min(ratios), max(ratios)],
        "difference": max(abs(a - b) for a, b in zip(found[True], found[False], strict=True)),
        "made": study.made_by(made),
    }


def main() -> None:
    """Measure once and rewrite the table."""
    parser = study.make_parser(__doc__)
    parser.add_argument("model", help="a folder or a Hugging Face model id")
    parser.add_argument("--benchmark", default="mini")
    parser.add_argument("--pairs", type=int, default=102)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device", default=None)
    options = parser.parse_args()
    made = study.begin(options)
    if options.smoke:
        options.pairs, options.turns = 8, 1
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    rows = [*study.recorded(options, "shared_prefix", []), measure(options, made)]
    lines = [
        "# The prompts' common beginning, computed once",
        "",
        "Made by `python eval/shared_prefix.py MODEL`. Both sides score the same batches in one process, in turns.",
        "",
        "| model | pairs | tokens saved | pairs/s shared | pairs/s plain | ratio, median (range) | difference | made |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row["range"]
        lines.append(
            f"| {row['model']}, {row['dtype']}, {row['threads']} threads | {row['pairs']} of `{row['benchmark']}`, "
            f"{row['turns']} turns | {row['saved'] / row['tokens']:.0%} of {row['tokens']} | {row['shared']:.2f} | "
            f"{row['plain']:.2f} | {row['ratio']:.2f} ({low:.2f} to {high:.2f}) | {row['difference']:.1e} | "
            f"{row['made']} |"
        )
    study.record(options, "shared_prefix", rows, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
