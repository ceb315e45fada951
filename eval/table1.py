"""The paper's table of re-rankers as one command: every model it names, or why that could not be scored here.

    pip install -e ".[models,http]" && python eval/table1.py --work DIR [FOLDER ...] [--benchmark BUILT]

scores each model of :data:`PAPER` on the test part of a benchmark (default: `mini`), beside what dates alone are
worth, and writes ``eval/results/table1.json`` and ``.md``, in which each benchmark has its part. Each FOLDER is a local
model, scored by every family that can open it; ``--model NAME=SPEC`` adds one of your own, ``--only-own`` leaves the
paper's out.

``--queries N`` takes about N queries, ``--queries WHICH=N`` at most that for a family, a model's folder or a row. Fewer
queries are always among the more: whole subjects, drawn in one order. Rows of unlike queries stand in tables of their
own, each with its own controls. Scores are kept in DIR as they are made: interrupted, the same command goes on. Hub
models are taken at the revision named here, at their default branch where none is; the record holds what was scored.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import study
from baseline_tables import EK, NEK

import fresco
from fresco.io.files import write_atomically
from fresco.models.loading import find_model
from fresco.models.settings import Settings
from fresco.rerank.base import fingerprint
from fresco.rerank.cross_encoder import is_saved_cross_encoder
from fresco.rerank.registry import open_reranker
from fresco.results.table import find
from fresco.terminal.figures import interval

#: Name in the paper, spec. RankGPT's hosted models want a key in OPENAI_API_KEY. The revisions are those that mteb 2.26
#: records of these models; of the others no list at hand names one.
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
    "mxbai-rerank-base-v1": "cross-encoder:mixedbread-ai/mxbai-rerank-base-v1@800f24c113213a187e65bde9db00c15a2bb12738",
    "Twolar-large": "seq2seq:Dundalia/TWOLAR-large",
    "jina-reranker-v1-tiny-en": "cross-encoder:jinaai/jina-reranker-v1-tiny-en",
    "jina-reranker-v1-turbo-en": "cross-encoder:jinaai/jina-reranker-v1-turbo-en",
    "jina-reranker-v2-base-multilingual": (
        "cross-encoder:jinaai/jina-reranker-v2-base-multilingual@126747772a932960028d9f4dc93bd5d9c4869be4"
    ),
    "gte-multilingual-reranker-base": "cross-encoder:Alibaba-NLP/gte-multilingual-reranker-base",
    "LdIR-Qwen2-reranker": "cross-encoder:neofung/LdIR-Qwen2-reranker-1.5B",
    "IncontextReranker": "attention:meta-llama/Llama-3.1-8B-Instruct",
    "Qwen3-Reranker-0.6B": "causal-lm:Qwen/Qwen3-Reranker-0.6B@6e9e69830b95c52b5fd889b7690dda3329508de3",
    "Qwen3-Reranker-8B": "causal-lm:Qwen/Qwen3-Reranker-8B@5fa94080caafeaa45a15d11f969d7978e087a3db",
}
_COLUMNS = (*EK[:5], *NEK)


def main() -> None:
    """Score what can be scored, name what cannot, write both."""
    options = _parser().parse_args()
    made = study.begin(options)
    if options.smoke:
        options.queries, options.only_own = [(None, 4)], True
    options.work.mkdir(parents=True, exist_ok=True)
    wanted = {} if options.only_own else dict(PAPER)
    wanted |= {name: spec for folder in options.folders for name, spec in _local(folder, options.work)}
    wanted |= dict(options.model)
    tables: list[dict[str, Any]] = []
    lacking: dict[str, list[str]] = {}
    for limit, names in _by_queries(wanted, options.queries).items():
        table = _Table(limit, options, made)
        table.add("", None)  # the controls first
        for name in names:
            try:
                table.add(name, wanted[name])
            except fresco.FrescoError as error:
                lacking[name] = [_public(wanted[name]), _public(str(error).replace(wanted[name], name))]
                print(f"{name}: not scored: {lacking[name][1]}")
        if table.kept.keys() - table.controls:
            tables.append(table.record())
    earlier = study.recorded(options, "table1", {}).get("benchmarks", {})
    part = {"made": made, "dtype": options.dtype, "tables": tables, "not_scored": lacking}
    content = {**earlier, Path(options.benchmark).name: part}
    lines = [
        "# The paper's table of re-rankers, as far as its models are at hand",
        "",
        "Made by `python eval/table1.py`. Value [95 % interval over subjects]. `newest`, `latest` and `random` read no "
        "text: what a model has above them is what reading is worth. Seconds are those of a busy machine.",
        *(line for name, part in content.items() for line in _written(name, part)),
    ]
    record = {"benchmarks": content}
    study.record(options, "table1", json.loads(json.dumps(record, default=str)), "\n".join(lines) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = study.make_parser(__doc__)
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help="local models, each by all families that fit it")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR", help="keeps scores and finished rows")
    parser.add_argument("--benchmark", default="mini", metavar="B", help="name or folder (default: mini)")
    parser.add_argument("--split", default="test", help="part of the benchmark (default: test)")
    parser.add_argument(
        "--queries", action="append", type=_queries, default=[], metavar="[WHICH=]N", help="about N; repeatable"
    )
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--device")
    parser.add_argument(
        "--model", action="append", type=_named, default=[], metavar="NAME=SPEC", help="one of your own; repeatable"
    )
    parser.add_argument("--only-own", action="store_true", help="leave the paper's models out")
    return parser


def _queries(text: str) -> tuple[str | None, int]:
    which, _, number = text.rpartition("=")
    return which or None, int(number)


def _named(text: str) -> tuple[str, str]:
    name, mark, spec = text.partition("=")
    if not mark:
        raise ValueError(text)
    return name, spec


def _local(folder: str, work: Path) -> Iterator[tuple[str, str]]:
    """Rows of a local model: its name with the family, and the spec."""
    files = find_model("dense", folder, Settings())
    kind, name = files.architecture, Path(folder).name
    if is_saved_cross_encoder(files) or kind.endswith("ForSequenceClassification"):
        families: tuple[str, ...] = ("cross-encoder",)
    elif kind.endswith("ForConditionalGeneration"):
        families = ("seq2seq", "likelihood")
    elif kind.endswith("ForCausalLM"):
        families = ("likelihood", "causal-lm", "attention", "listwise")
    else:
        yield f"{name}, dense", f"dense:{folder}"
        yield f"{name}, late (not trained for it)", f"late:{_token_vectors(folder, work / f'{name}-late')}"
        return
    for family in families:
        yield f"{name}, {family}", f"{family}:{folder}"


def _token_vectors(folder: str, made: Path) -> Path:
    """An embedding model as one of late interaction: its own token vectors, of length 1, without a projection."""
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer
    from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask
    from sentence_transformers.sentence_transformer.modules import Normalize

    if not (made / "modules.json").exists():
        first = SentenceTransformer(folder, device="cpu")[0]
        unit = Normalize(module_input_name="token_embeddings")
        MultiVectorEncoder(modules=[first, unit, MultiVectorMask()], device="cpu").save_pretrained(str(made))
    return made


def _by_queries(wanted: Mapping[str, str], given: list[tuple[str | None, int]]) -> dict[int | None, list[str]]:
    """Names of the rows that are scored on equally many queries; the most queries first."""
    groups: dict[int | None, list[str]] = {}
    for name, spec in wanted.items():
        known = {name, spec.partition(":")[0], Path(spec).name, None}
        groups.setdefault(min((number for which, number in given if which in known), default=None), []).append(name)
    return dict(sorted(groups.items(), key=lambda group: -(group[0] or 10**9)))


class _Table:
    """Rows of one benchmark on the same queries."""

    def __init__(self, limit: int | None, options: argparse.Namespace, made: Mapping[str, Any]) -> None:
        self._limit, self._options = limit, options
        self._commit = (made["git"] or {}).get("commit")
        self.rows: list[dict[str, Any]] = []
        self.kept: dict[str, dict[str, Any]] = {}
        self.controls: set[str] = set()
        self.scored: dict[str, Any] = {}

    def add(self, name: str, spec: str | None) -> None:
        """Score a re-ranker; None for the controls. What this commit has scored to the end is read.

        Raises:
            FrescoError: it cannot be opened, or failed.
        """
        own = "controls"
        if spec is not None:
            own = fingerprint(open_reranker(spec, Settings(device=self._options.device, dtype=self._options.dtype)))
        asked = self._options
        key = json.dumps([asked.benchmark, asked.split, self._limit, asked.smoke, own, self._commit])
        path = asked.work / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
        if not path.exists():
            write_atomically(path, json.dumps(self._score(name, spec), default=str))
        done = json.loads(path.read_text(encoding="utf-8"))
        self.scored = done["benchmark"]
        self.rows += [{**row, "reranker": name or row["reranker"]} for row in done["rows"]]
        self.kept |= {name or given: facts for given, facts in done["rerankers"].items()}
        if spec is None:
            self.controls = set(self.kept)

    def record(self) -> dict[str, Any]:
        return {"benchmark": self.scored, "rerankers": self.kept, "rows": self.rows, "queries": self._limit or "all"}

    def _score(self, name: str, spec: str | None) -> dict[str, Any]:
        options = self._options
        result = fresco.score(
            None if spec is None else {name: spec},
            options.benchmark,
            split=options.split,
            limit=self._limit,
            baselines=spec is None,
            store=options.work / "scores.sqlite",
            dtype=options.dtype,
            device=options.device,
            resamples=20 if options.smoke else 1000,
        )
        queries = result.record["benchmark"]["queries"]
        kept = {each["name"]: _facts(each, queries) for each in result.record["rerankers"]}
        return {"benchmark": result.record["benchmark"], "rerankers": kept, "rows": result.evaluation.rows}


def _facts(described: Mapping[str, Any], queries: int) -> dict[str, Any]:
    """What a reader needs; where this machine keeps its files tells nobody anything."""
    told = (
        *("template_source", "answers", "score", "dtype", "revision", "pairs_scored", "pairs_from_store", "seconds"),
        *("warnings", "tokens", "tokens_saved_by_sharing", "peak_memory", "truncated"),
    )
    facts = {key: described[key] for key in told if key in described}
    # A run that took scores from the store says nothing of what they cost.
    fresh = not facts.get("pairs_from_store") and facts.get("seconds") is not None
    return {**facts, "seconds_a_query": facts["seconds"] / queries if fresh else None}


def _written(name: str, part: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", f"## `{name}`", "", f"{study.made_by(part['made'])}, {part['dtype']}.")
    for table in part["tables"]:
        yield from _rows(table)
    if part["not_scored"]:
        yield from ("", "Not scored:", "", "| re-ranker | spec | why |", "|---|---|---|")
        yield from (f"| {name} | `{spec}` | {why} |" for name, (spec, why) in part["not_scored"].items())


def _rows(table: Mapping[str, Any]) -> Iterator[str]:
    benchmark, rows, kept = table["benchmark"], table["rows"], table["rerankers"]
    columns = [each for each in _COLUMNS if any(find(rows, name, *each[1:]) for name in kept)]
    drawn = "" if table["queries"] == "all" else ", drawn by whole subjects"
    yield from (
        "",
        f"### {benchmark['queries']} queries{drawn}",
        "",
        f"Fingerprint {benchmark['fingerprint'][:12]}.",
        "",
        "| re-ranker | asked | "
        + " | ".join(header for header, *_ in columns)
        + " | s a query | peak GiB | tokens saved |",
        "|---" * (len(columns) + 5) + "|",
    )
    for name, facts in kept.items():
        cells = [interval(find(rows, name, *key)) for _, *key in columns]
        asked = ", ".join(str(facts[key]) for key in ("template_source", "answers") if isinstance(facts.get(key), str))
        seconds, saved = facts["seconds_a_query"], facts.get("tokens_saved_by_sharing")
        memory = facts.get("peak_memory")
        cells += ["" if seconds is None else f"{seconds:.2g}", f"{memory / 2**30:.2f}" if memory else ""]
        cells += [f"{saved:,}" if saved else ""]
        yield f"| `{name}` | {asked} | " + " | ".join(cells) + " |"
    warnings = [f"- `{name}`: {_public(text)}" for name, own in kept.items() for text in own.get("warnings") or ()]
    if warnings:
        yield from ("", "Warnings:", "", *warnings)


def _public(text: str) -> str:
    """Without the folders in which this machine keeps its models."""
    return re.sub(r"(?<![\w/:])/(?:[^\s/:;,)`]+/)+", "", re.sub(r":/(?!/)(?:[^\s/:;,)`]+/)+", ":", text))


if __name__ == "__main__":
    main()
