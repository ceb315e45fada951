"""One small file of every kind that a command reads, written by the commands themselves where they write such files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pyarrow as pa
import pyarrow.parquet as pq

import ccs.cli
import fresco.cli
from ccs.agent.trajectory import Hit, Trajectory, Turn
from fresco.builder import templates
from fresco.optimizer.proposers import clauses
from fresco.rerank.recency import Recency
from tests.builder.own_pages import club_rows

REFERENCE = "2025-01-01T23:59:59Z"
_WORDS = ("Ada Lovelace wrote notes", "The bridge opened in 1932", "Rain falls on the plain", "A new mayor was chosen")


def run(program: str, *arguments: str) -> int:
    """A command in this process; what argparse refuses is a code, too."""
    try:
        return (fresco.cli.main if program == "fresco" else ccs.cli.main)(list(arguments))
    except SystemExit as end:
        return int(end.code or 0)


def make(folder: Path) -> None:
    """Write all of it into a folder.

    Raises:
        AssertionError: a command fails on what is well written.
    """
    _beir(folder / "beir")
    _own(folder / "own")
    _search(folder)
    (folder / "reward.yaml").write_text("reward: cycle\nmask: {masker: embedded, blank: false}\ngates: {answer: 1.0}\n")
    (folder / "train.yaml").write_text("data: {train: [questions.jsonl]}\nmodel: {path: nowhere}\n")
    (folder / "instructions.txt").write_text("Prefer what is current.\nRank the newest first.\n")
    (folder / "instructions.json").write_text(json.dumps(["Prefer what is current.", "Rank the newest first."]))
    shutil.copy(Path(clauses.__file__).with_name("clauses.toml"), folder)
    (folder / "prompt.txt").write_text("Answer {question} by searching.\n")
    (folder / "template.txt").write_text("{instruction} {query} {document}")
    (folder / "titles.txt").write_text("Acme\nBetacorp\n")
    Recency("half-life", 365.0).save(folder / "cure.json")
    _facts(folder)
    _lines(folder / "dump.jsonl", club_rows())
    (folder / "dump.xml").write_text(_xml(club_rows()))
    small = ("--resamples", "5", "--no-baselines", "--store", f"{folder}/scores.sqlite")
    for name, ranker in (("run", "bm25"), ("other", "newest")):
        out = f"{folder}/{name}"
        assert run("fresco", "score", "--benchmark", f"{folder}/own", "--reranker", ranker, *small, "--out", out) == 0
    assert run("ccs", "index", "--corpus", f"{folder}/passages.jsonl", "--out", f"{folder}/index") == 0
    dump = ("--mirror", f"{folder}/dump.jsonl", "--workers", "1", "--reference", REFERENCE)
    assert run("fresco", "build", "--out", f"{folder}/built", *dump) == 0
    files = ("--trajectories", f"{folder}/rollouts.jsonl")
    assert run("ccs", "reward", *files, "--out", f"{folder}/rewards.jsonl") == 0


def _lines(path: Path, rows: Sequence[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _beir(folder: Path) -> None:
    _lines(folder / "corpus.jsonl", [{"_id": f"d{n}", "title": "T", "text": text} for n, text in enumerate(_WORDS)])
    _lines(folder / "queries.jsonl", [{"_id": f"q{n}", "text": text[:12]} for n, text in enumerate(_WORDS)])
    (folder / "qrels").mkdir()
    rows = "".join(f"q{n}\td{n}\t1\n" for n in range(4))
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    run_rows = "".join(f"q{n} Q0 d{m} {m + 1} {4 - m}.5 tag\n" for n in range(4) for m in range(4))
    (folder / "candidates.trec").write_text(run_rows)


def _own(folder: Path) -> None:
    stamp = "2024-0{}-01T00:00:00Z"
    texts = [f"{text}, as of {year}." for text in _WORDS for year in (2022, 2024)]
    rows = [{"_id": f"p{n}", "title": f"T{n // 2}", "section": "", "text": text, "timestamp": stamp.format(1 + n % 2)}
            for n, text in enumerate(texts)]  # fmt: skip
    _lines(folder / "corpus.jsonl", rows)
    queries = []
    for n, text in enumerate(_WORDS):
        task, kind = ("EK", "explicit") if n % 2 else ("NEK", "static")
        queries.append({"_id": f"q{n}", "text": text, "timestamp": stamp.format(9), "task": task, "kind": kind}
                       | {"subject": f"s{n}", "relation": "r", "answer": "a"})  # fmt: skip
    _lines(folder / "queries.jsonl", queries)
    pools = []
    for n in range(4):
        for m in range(8):
            label = "positive" if m == 2 * n + 1 else "outdated" if m == 2 * n and n % 2 else "near-topic"
            pools.append({"query-id": f"q{n}", "corpus-id": f"p{m}", "label": label})
    _lines(folder / "pools.jsonl", pools)
    for name, table in (("corpus", rows), ("queries", queries), ("pools", pools)):
        (folder.parent / "parquet").mkdir(exist_ok=True)
        pq.write_table(pa.Table.from_pylist(table), folder.parent / "parquet" / f"{name}.parquet")


def _facts(folder: Path) -> None:
    facts = [
        {"subject": "Acme", "relation": "own_chief", "value": name, "start": f"{year}-01-15", "end": end}
        for name, year, end in (("Ada Lovell", 2023, "2024-01-15"), ("Greta Lind", 2024, None))
    ]
    _lines(folder / "facts.jsonl", facts)
    rows = "".join(f"{','.join(str(value or '') for value in fact.values())}\n" for fact in facts)
    (folder / "facts.csv").write_text(f"{','.join(facts[0])}\n{rows}")
    pq.write_table(pa.Table.from_pylist(facts), folder / "facts.parquet")
    (folder / "relations").mkdir()
    shutil.copy(Path(templates.__file__).with_name("chief_executive.toml"), folder / "relations" / "own_chief.toml")
    held = [{"value": value, "start": "2022-01-01T00:00:00Z", "end": None} for value in ("Ada Lovell", "Greta Lind")]
    _lines(folder / "values.jsonl", [{"_id": f"q{n}", "facts": held} for n in range(4)])


def _search(folder: Path) -> None:
    questions = [{"id": f"q{n}", "question": f"Who did thing {n}?", "answers": [f"A {n}"]} for n in range(3)]
    _lines(folder / "questions.jsonl", questions)
    pq.write_table(pa.Table.from_pylist(questions), folder / "questions.parquet")
    passages = [{"id": f"d{n}", "contents": f'"T{n}"\n{text}'} for n, text in enumerate(_WORDS)]
    _lines(folder / "passages.jsonl", passages)
    pq.write_table(pa.Table.from_pylist(passages), folder / "passages.parquet")
    rows = "".join(f"{n}\t{text}\tT{n}\n" for n, text in enumerate(_WORDS, 1))
    (folder / "passages.tsv").write_text(f"id\ttext\ttitle\n{rows}")
    hits = (Hit("d0", '"T0"\nAda did thing 0', 0.5),)
    rollouts = []
    for question in questions:
        for sample in range(2):
            turns = (
                Turn("<search>thing</search>", query="thing", hits=hits),
                Turn("<answer>A 0</answer>", answer="A 0"),
            )
            rollouts.append(Trajectory(str(question["id"]), str(question["question"]), sample, turns, "answer"))
    (folder / "rollouts.jsonl").write_text("".join(f"{each.to_json()}\n" for each in rollouts))


def _xml(rows: Sequence[Mapping[str, Any]]) -> str:
    pages = []
    for title in dict.fromkeys(row["title"] for row in rows):
        own = [row for row in rows if row["title"] == title]
        revisions = "".join(
            f"<revision><id>{row['revision_id']}</id><timestamp>{row['revision_timestamp']}</timestamp>"
            f"<model>wikitext</model><format>text/x-wiki</format><text>{escape(row['content'])}</text></revision>"
            for row in own
        )
        pages.append(f"<page><title>{escape(title)}</title><ns>0</ns><id>{own[0]['page_id']}</id>{revisions}</page>\n")
    space = "http://www.mediawiki.org/xml/export-0.11/"
    return f'<mediawiki xmlns="{space}" version="0.11" xml:lang="en">{"".join(pages)}</mediawiki>\n'
