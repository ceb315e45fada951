"""The paper's table of re-rankers as one command: every model it names, or why that could not be scored here.

    pip install -e ".[models,http]" && python eval/table1.py --store table1.sqlite

scores each model of :data:`PAPER` on ``--benchmark`` beside what dates alone are worth, and writes
``eval/results/table1.json`` and ``.md``. Scores are stored as they are made: interrupted, the same command goes on.
``--model NAME=SPEC`` adds a model of your own, ``--only-own`` leaves the paper's out, ``--limit N`` takes about N
queries. A model that cannot be loaded has its reason in the table. Hub models are taken at their default branch; the
record holds the commit that was scored.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import study
from baseline_tables import EK, NEK

import fresco
from fresco.results.table import find
from fresco.terminal.figures import interval

#: Name in the paper, spec. RankGPT's hosted models want a key in OPENAI_API_KEY.
PAPER = {
    "MonoT5": "seq2seq:castorini/monot5-base-msmarco",
    "RankT5": "seq2seq:Soyoung97/RankT5-base",
    "UPR": "likelihood:google/t5-base-lm-adapt",
    "RankGPT gpt-3.5": "listwise:https://api.openai.com/v1#gpt-3.5-turbo&key=OPENAI_API_KEY&start=bm25",
    "RankGPT gpt-4o": "listwise:https://api.openai.com/v1#gpt-4o&key=OPENAI_API_KEY&start=bm25",
    "RankVicuna": "listwise:castorini/rank_vicuna_7b_v1#prompt=rankvicuna&start=bm25",
    "RankZephyr": "listwise:castorini/rank_zephyr_7b_v1_full#prompt=rankzephyr&start=bm25",
    "bce-reranker-base-v1": "cross-encoder:maidalun1020/bce-reranker-base_v1",
    "InRanker": "seq2seq:unicamp-dl/InRanker-base",
    "mxbai-rerank-base-v1": "cross-encoder:mixedbread-ai/mxbai-rerank-base-v1",
    "Twolar-large": "seq2seq:Dundalia/TWOLAR-large",
    "jina-reranker-v1-tiny-en": "cross-encoder:jinaai/jina-reranker-v1-tiny-en",
    "jina-reranker-v1-turbo-en": "cross-encoder:jinaai/jina-reranker-v1-turbo-en",
    "jina-reranker-v2-base-multilingual": "cross-encoder:jinaai/jina-reranker-v2-base-multilingual",
    "gte-multilingual-reranker-base": "cross-encoder:Alibaba-NLP/gte-multilingual-reranker-base",
    "LdIR-Qwen2-reranker": "cross-encoder:neofung/LdIR-Qwen2-reranker-1.5B",
    "IncontextReranker": "attention:meta-llama/Llama-3.1-8B-Instruct",
    "Qwen3-Reranker-0.6B": "causal-lm:Qwen/Qwen3-Reranker-0.6B",
    "Qwen3-Reranker-8B": "causal-lm:Qwen/Qwen3-Reranker-8B",
}
_COLUMNS = (*EK[:5], *NEK)


def main() -> None:
    """Score what can be scored, name what cannot, write both."""
    parser = study.make_parser(__doc__)
    parser.add_argument("--benchmark", default="mini")
    parser.add_argument("--limit", type=int, metavar="N", help="about N queries (default: all)")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device")
    parser.add_argument("--store", type=Path, default=Path("table1-scores.sqlite"), help="keeps the scores")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=SPEC", help="one of your own; repeatable")
    parser.add_argument("--only-own", action="store_true", help="leave the paper's models out")
    options = parser.parse_args()
    made = study.begin(options)
    if options.smoke:
        options.limit, options.only_own = options.limit or 4, True
    own = dict(each.split("=", 1) for each in options.model)
    wanted = {**({} if options.only_own else PAPER), **own}
    rows: list[dict[str, Any]] = []
    kept: dict[str, Any] = {}
    lacking: dict[str, str] = {}
    for name, spec in {"": None, **wanted}.items():  # the baselines first
        try:
            result = _score(spec, name, options)
        except fresco.FrescoError as error:
            lacking[name] = str(error).replace(spec or "", name)
            print(f"{name}: not scored: {lacking[name]}")
            continue
        rows += result.evaluation.rows
        kept |= {each["name"]: _facts(each) for each in result.record["rerankers"]}
        benchmark = result.record["benchmark"]
    lines = [
        "# The paper's table of re-rankers, as far as its models are at hand",
        "",
        f"Made by `python eval/table1.py`: {study.made_by(made)}; `{benchmark['name']}` "
        f"(fingerprint {benchmark['fingerprint'][:12]}), {benchmark['queries']} queries"
        + (" drawn by whole subjects" if options.limit else "")
        + ". Value [95 % interval over subjects]. `newest`, `latest` and `random` read no text: what a model has above "
        "them is what reading is worth.",
        "",
        "| re-ranker | asked | " + " | ".join(header for header, *_ in _COLUMNS) + " |",
        "|---" * (len(_COLUMNS) + 2) + "|",
    ]
    for name in dict.fromkeys(row["reranker"] for row in rows):
        cells = [interval(find(rows, name, *key)) for _, *key in _COLUMNS]
        lines.append(f"| `{name}` | {kept[name].get('template_source', '')} | " + " | ".join(cells) + " |")
    if lacking:
        lines += ["", "Not scored here:", "", "| re-ranker | spec | why |", "|---|---|---|"]
        lines += [f"| {name} | `{_public(wanted[name])}` | {why} |" for name, why in lacking.items()]
    record = {"made": made, "benchmark": benchmark, "rerankers": kept, "rows": rows, "not_scored": lacking}
    study.record(options, "table1", json.loads(json.dumps(record, default=str)), "\n".join(lines) + "\n")


def _score(spec: str | None, name: str, options: Any) -> Any:
    return fresco.score(
        None if spec is None else {name: spec},
        options.benchmark,
        limit=options.limit,
        baselines=spec is None,
        store=options.store,
        dtype=options.dtype,
        device=options.device,
        resamples=20 if options.smoke else 1000,
    )


def _facts(described: dict[str, Any]) -> dict[str, Any]:
    """What a reader needs; where this machine keeps its files tells nobody anything."""
    told = ("template_source", "answers", "score", "dtype", "revision", "pairs_scored", "seconds", "warnings", "tokens")
    return {key: described[key] for key in told if key in described}


def _public(spec: str) -> str:
    family, _, model = spec.partition(":")
    return spec if "://" in spec or not Path(model).is_absolute() else f"{family}:{Path(model).name}"


if __name__ == "__main__":
    main()
