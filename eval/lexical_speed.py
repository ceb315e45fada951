"""BM25 over corpora of growing size: queries a second and memory, beside bm25s and rank-bm25.

    pip install -e ".[test]" bm25s==0.3.16 && python eval/lexical_speed.py --work DIR

The corpus is every distinct passage of wiki-18's and 2Wiki's shared samples, multiplied: each copy lacks a tenth of its
postings, drawn anew, so that passages differ. The queries are open questions. bm25s searches the same postings with the
same impacts (its own weights of the formula would be other scores), so both must find the same; it is the peer only
where it is installed. Each size is a process of its own, whose memory is its own. The last row is the curve
``a * passages ** b`` through the sizes from 50,000 on, at wiki-18's 21 million passages: no measurement.
"""

from __future__ import annotations

import importlib.util
import json
import lzma
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import study
from rank_bm25 import BM25Okapi

from ccs.retrieve import lexical
from ccs.retrieve.corpus import Document
from ccs.retrieve.lexical import Bm25Index, build_bm25
from ccs.retrieve.passages import Passages, write_passages
from fresco.io.files import write_atomically
from fresco.stats.words import words

_K = 3  # passages that a search of an agent returns
_KEPT = 0.9
_WHOLE = 21_015_324  # passages of wiki-18
_FITTED_FROM = 50_000
_SLOW = 20  # queries that the slow ones answer
_ARRAYS = ("starts", "documents", "counts", "lengths", "impacts", "most")


def _rows(name: str, data: Path) -> Iterator[Mapping[str, Any]]:
    with lzma.open(data / "qa" / f"{name}.jsonl.xz", "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def prepare(work: Path, data: Path, limit: int | None, count: int) -> None:
    """The corpus once, indexed, and the queries."""
    texts = dict.fromkeys(
        f"{row['title']}\n{row['text']}" for name in ("wiki18_passages", "2wiki_corpus") for row in _rows(name, data)
    )
    made = [Document(str(number), text) for number, text in enumerate(list(texts)[:limit])]
    write_passages(work, made, lambda _: None)
    build_bm25(work / "1", Passages(work), lambda _: None)
    questions = [row["question"] for row in _rows("open_questions", data)][:count]
    write_atomically(work / "questions.json", json.dumps(questions, ensure_ascii=False))


def multiply(work: Path, times: int) -> Path:
    """The index of so many thinned copies."""
    folder = work / str(times)
    if (folder / "words.json").exists():
        return folder
    folder.mkdir(exist_ok=True)
    starts, documents, counts, lengths = (np.load(work / "1" / f"{name}.npy") for name in _ARRAYS[:4])
    draw = np.random.default_rng(0)
    kept = [draw.random(len(documents)) < _KEPT for _ in range(times)]
    for own in kept:
        own[starts[:-1]] = True  # a word that is in no passage would have no list
    place = np.repeat(np.arange(len(starts) - 1, dtype=np.int32), np.diff(starts))
    many = {"place": np.concatenate([place[own] for own in kept])}
    many["documents"] = np.concatenate(
        [documents[own] + n * len(lengths) for n, own in enumerate(kept)], dtype=np.int32
    )
    many["counts"] = np.concatenate([counts[own] for own in kept])
    # Copies stand one after the other and ascend within each word, so a stable sort by word is all that is wanted.
    order = np.argsort(many["place"], kind="stable")
    many = {name: values[order] for name, values in many.items()}
    begins = np.searchsorted(many["place"], np.arange(len(starts)))
    impacts = np.empty(len(order), np.float32)
    lexical._fill_impacts(impacts, begins, many["documents"], many["counts"], np.tile(lengths, times))
    arrays: tuple[Any, ...] = (begins, many["documents"], many["counts"], np.tile(lengths, times), impacts)
    for name, values in zip(_ARRAYS, (*arrays, np.maximum.reduceat(impacts, begins[:-1])), strict=True):
        np.save(folder / f"{name}.npy", values)
    write_atomically(folder / "words.json", (work / "1" / "words.json").read_text(encoding="utf-8"))
    return folder


def measure(work: Path, times: int, who: str) -> dict[str, Any]:
    """One searcher at one size; its own memory and what it maps from files."""
    folder = multiply(work, times)
    questions: list[str] = json.loads((work / "questions.json").read_text(encoding="utf-8"))
    before = _memory()
    if who == "bm25s":
        search = _peer(folder)
    else:
        index = Bm25Index(folder)
        search = (
            (lambda texts: [index.search_plainly(text, _K) for text in texts])
            if who == "every posting"
            else (lambda texts: index.search(texts, _K))
        )
    asked = questions if who != "every posting" else questions[:_SLOW]
    search(asked[:_SLOW])  # pages the files in
    seconds, found = _best_of_three(lambda: search(asked))
    return {
        "queries_per_second": len(asked) / seconds,
        "memory": {name: value - before[name] for name, value in _memory().items()},
        "scores": [[round(score, 3) for _, score in row] for row in found[:_SLOW]],
        "passages": len(np.load(folder / "lengths.npy", mmap_mode="r")),
    }


def _peer(folder: Path) -> Callable[[Sequence[str]], list[list[tuple[int, float]]]]:
    """bm25s over our postings and impacts."""
    import bm25s

    arrays = {name: np.load(folder / f"{name}.npy") for name in ("impacts", "documents", "starts", "lengths")}
    vocabulary = json.loads((folder / "words.json").read_text(encoding="utf-8"))
    peer = bm25s.BM25()
    peer.scores = {"data": arrays["impacts"], "indices": arrays["documents"], "indptr": arrays["starts"]}
    peer.scores["num_docs"] = len(arrays["lengths"])
    peer.vocab_dict = {word: number for number, word in enumerate(vocabulary)}
    peer.nonoccurrence_array = None  # of this form of BM25: a word that a passage lacks adds nothing
    peer.unique_token_ids_set = set(peer.vocab_dict.values())

    def search(texts: Sequence[str]) -> list[list[tuple[int, float]]]:
        tokens = [[word for word in words(text) if word in peer.vocab_dict] for text in texts]
        numbers, scores = peer.retrieve(tokens, k=_K, show_progress=False)
        pairs = zip(numbers.tolist(), scores.tolist(), strict=True)
        return [list(zip(own, values, strict=True)) for own, values in pairs]

    return search


def _best_of_three(run: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds, since other work may share the machine."""
    seconds = []
    for _ in range(3):
        started = time.process_time()
        found = run()
        seconds.append(time.process_time() - started)
    return min(seconds), found


def _memory() -> dict[str, float]:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"own": int(status["RssAnon"].split()[0]) / 1024, "mapped": int(status["RssFile"].split()[0]) / 1024}


def extrapolated(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Queries a second at :data:`_WHOLE` passages, by the curve through the large sizes of each searcher."""
    found = {}
    for who in dict.fromkeys(row["who"] for row in rows):
        own = [row for row in rows if row["who"] == who and row["passages"] >= _FITTED_FROM]
        if len(own) > 1:
            sizes, seconds = zip(*((row["passages"], 1 / row["queries_per_second"]) for row in own), strict=True)
            power, constant = np.polyfit(np.log(sizes), np.log(seconds), 1)
            found[who] = float(np.exp(-constant) * _WHOLE**-power)
    return found


def main() -> None:
    """Measure what is not yet and write."""
    parser = study.make_parser(__doc__, reads_data=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for the indexes (3 GB at the largest size)")
    parser.add_argument("--times", default="1,8,32,128", help="copies of the corpus (default: %(default)s)")
    parser.add_argument("--one", nargs=2, metavar=("TIMES", "WHO"), help="measure this alone, as JSON")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.work, int(options.one[0]), options.one[1])))
        return
    made = study.begin(options)
    options.work.mkdir(parents=True, exist_ok=True)
    if not (options.work / "questions.json").exists():
        prepare(options.work, options.data, 200 if options.smoke else None, 20 if options.smoke else 300)
    peers = ["bm25s"] if importlib.util.find_spec("bm25s") else []
    rows = []
    for times in (1, 3) if options.smoke else map(int, options.times.split(",")):
        first: list[list[float]] = []
        for who in ("ccs", *peers, "every posting"):
            command = [sys.executable, __file__, "--work", str(options.work), "--data", str(options.data)]
            out = subprocess.run([*command, "--one", str(times), who], check=True, stdout=subprocess.PIPE, text=True)
            row = json.loads(out.stdout)
            scores = row.pop("scores")
            first = first or scores
            row["largest difference"] = float(np.max(np.abs(np.concatenate(first) - np.concatenate(scores))))
            rows.append({"who": who, **row})
            print(rows[-1], flush=True)
    reference = BM25Okapi([words(passage.contents) for passage in Passages(options.work)])
    texts = json.loads((options.work / "questions.json").read_text(encoding="utf-8"))[:_SLOW]
    seconds, _ = _best_of_three(lambda: [reference.get_scores(words(text)) for text in texts])
    rows.append(
        {"who": "rank-bm25", "passages": len(Passages(options.work)), "queries_per_second": len(texts) / seconds}
    )
    whole = extrapolated(rows)
    table = [
        f"| {row['passages']:,} | {row['who']} | {row['queries_per_second']:,.0f} | "
        f"{'{own:,.0f} / {mapped:,.0f}'.format(**row['memory']) if 'memory' in row else ''} | "
        f"{row.get('largest difference', 0):.0e} |"
        for row in rows
    ]
    table += [f"| {_WHOLE:,}, by the curve | {who} | {speed:,.1f} | | |" for who, speed in whole.items()]
    text = f"""# BM25 by the size of the corpus

Written by `eval/lexical_speed.py`, which says what is measured: first {_K} passages for open questions, one
thread, processor seconds, best of three. `every posting` is our reference without pruning. Memory in MiB, own / mapped
from files. {study.made_by(made)}.

| passages | searcher | queries/s | memory | largest difference of a score from ccs |
|---|---|---|---|---|
{chr(10).join(table)}
"""
    study.record(options, "lexical_speed", {"rows": rows, "extrapolated": whole, "environment": made}, text)


if __name__ == "__main__":
    main()
