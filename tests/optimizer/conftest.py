"""A benchmark small enough for a search in seconds, and the command as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fresco.benchmarks import limit_queries, open_benchmark
from fresco.records import format_timestamp
from tests import commands

ROOT = Path(__file__).parents[2]
SEARCH = (
    *("optimize", "--reranker", "tests.optimizer.obedient:Obedient", "--benchmark", "small", "--rounds", "2"),
    *("--population", "3", "--children", "5", "--seeds", "1", "--resamples", "50", "--no-baselines", "--out", "out"),
)


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Part of mini as a folder: about 120 queries, 8 passages each, the positive among them."""
    benchmark = limit_queries(open_benchmark("mini"), 120)
    folder = tmp_path_factory.mktemp("optimize") / "small"
    folder.mkdir()
    corpus, queries, pools = {}, [], []
    for pool in benchmark.pools:
        query = pool.query
        queries.append(
            {"_id": query.id, "text": query.content, "timestamp": format_timestamp(query.timestamp)}
            | {"task": query.task, "kind": query.kind, "subject": query.subject, "relation": query.relation}
            | {"answer": query.answer}
        )
        ranked = sorted(zip(pool.passages, pool.labels, strict=True), key=lambda each: each[1] != "positive")
        for passage, label in ranked[:8]:
            corpus[passage.id] = {
                "_id": passage.id,
                "title": passage.title,
                "section": passage.section,
                "text": passage.body[:400],
                "timestamp": format_timestamp(passage.timestamp),
            }
            pools.append({"query-id": query.id, "corpus-id": passage.id, "label": label})
    for name, rows in (("corpus", corpus.values()), ("queries", queries), ("pools", pools)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


@pytest.fixture
def workplace(tmp_path, small):
    """An empty folder with the small benchmark in it, to run commands in."""
    (tmp_path / "small").symlink_to(small)
    return tmp_path


def environment(cwd, **extra):
    return {**os.environ, "PYTHONPATH": str(ROOT), "FRESCO_STORE": str(Path(cwd) / "scores.sqlite"), **extra}


def fresco(*arguments, cwd, **extra):
    return commands.run("fresco", *arguments, cwd=cwd, env=environment(cwd, **extra))


def start(*arguments, cwd, **extra):
    return subprocess.Popen(
        [sys.executable, "-m", "fresco", *arguments],
        cwd=cwd,
        env=environment(cwd, **extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def results_of(folder):
    """Every file that must be the same bytes after the same command: all but the record and the databases."""
    left_out = ("run.json", "study.db", "llm.sqlite")  # and the files that SQLite has beside an open database
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and not path.name.startswith(left_out)
    }
