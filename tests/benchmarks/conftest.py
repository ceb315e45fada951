"""Small benchmark folders, written row by row so that a test can spoil any of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

Tables = dict[str, list[dict[str, Any]]]
MakeFolder = Callable[..., Path]

QA = Path(__file__).parents[3] / "shared" / "data" / "qa"


def jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture
def tables() -> Tables:
    """Two facts with an explicit and an implicit query each, and a static query; 8 passages."""
    corpus = [
        {
            "_id": f"p{number}",
            "title": f"Club {number // 3}",
            "section": "" if number % 3 else "Staff",
            "text": f"Person {number} leads the club, «été».",
            "timestamp": f"202{number % 4}-01-0{number + 1}T00:00:00Z",
        }
        for number in range(8)
    ]
    queries = [
        {
            "_id": f"q{number}",
            "text": f"Who leads club {number // 2}?",
            "timestamp": "2025-08-31T23:59:59Z",
            "task": "EK",
            "kind": ("explicit", "implicit")[number % 2],
            "subject": f"Club {number // 2}",
            "relation": "head coach",
            "answer": f"Person {number}",
        }
        for number in range(4)
    ]
    queries.append({**queries[0], "_id": "q4", "task": "NEK", "kind": "static", "subject": "Town", "relation": ""})
    labels = ["positive", "outdated", "insufficient", "near-topic"]
    pools = [
        {"query-id": query["_id"], "corpus-id": f"p{(start + place) % 8}", "label": label}
        for start, query in enumerate(queries)
        for place, label in enumerate(labels)
    ]
    return {"corpus": corpus, "queries": queries, "pools": pools}


@pytest.fixture
def make_folder(tmp_path: Path) -> MakeFolder:
    """Write tables to a folder of ``tmp_path`` as JSON Lines or Parquet."""

    def make(tables: Tables, suffix: str = ".jsonl", name: str = "bench") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for table, rows in tables.items():
            path = folder / f"{table}{suffix}"
            if suffix == ".jsonl":
                path.write_text(jsonl(rows), encoding="utf-8")
            else:
                pq.write_table(pa.Table.from_pylist(rows), path)
        return folder

    return make


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """A BEIR folder: four passages, three queries of which two are judged relevant to something."""
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    corpus = [
        {"_id": "d1", "title": "Rush", "text": "A Canadian rock band."},
        {"_id": "d2", "title": "Counterparts", "text": "An album by the Canadian band Rush."},
        {
            "_id": "d3",
            "title": "Cheese",
            "text": "Food made of milk.",
            "metadata": {"timestamp": "2019-05-01T00:00:00Z"},
        },
        {"_id": "d4", "title": "Only a title", "text": "", "metadata": {}},
    ]
    queries = [
        {"_id": "a", "text": "Which Canadian band made Counterparts?"},
        {"_id": "b", "text": "What is cheese made of?", "timestamp": "2020-02-02T02:02:02Z"},
        {"_id": "c", "text": "Who is never judged?"},
    ]
    (folder / "corpus.jsonl").write_text(jsonl(corpus))
    (folder / "queries.jsonl").write_text(jsonl(queries))
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\na\td2\t1\nb\td3\t2\nc\td1\t0\n")
    return folder
