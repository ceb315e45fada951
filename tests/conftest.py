"""What every test shares: no user's score store is touched; real data where it lies beside the project."""

from __future__ import annotations

import json
import lzma
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch loads: one test process a core, so one thread each

_HOTPOT = Path(__file__).parents[2] / "shared" / "data" / "qa" / "hotpotqa.jsonl.xz"


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESCO_STORE", str(tmp_path / "default-store.sqlite"))


@pytest.fixture(scope="session")
def hotpot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HotpotQA as a BEIR folder: the passages of all questions are the corpus."""
    if not _HOTPOT.exists():
        pytest.skip("needs ../shared/data/qa/hotpotqa.jsonl.xz beside the project")
    folder = tmp_path_factory.mktemp("hotpotqa")
    (folder / "qrels").mkdir()
    with lzma.open(_HOTPOT, "rt", encoding="utf-8") as file:
        questions = [json.loads(line) for line in file]
    corpus: dict[tuple[str, str], str] = {}
    qrels = ["query-id\tcorpus-id\tscore\n"]
    for question in questions:
        for passage in question["passages"]:
            own = corpus.setdefault((passage["title"], passage["text"]), f"p{len(corpus)}")
            if passage["gold"]:
                qrels.append(f"{question['id']}\t{own}\t1\n")
    rows = [{"_id": own, "title": title, "text": text} for (title, text), own in corpus.items()]
    (folder / "corpus.jsonl").write_text(_jsonl(rows))
    (folder / "queries.jsonl").write_text(_jsonl([{"_id": q["id"], "text": q["question"]} for q in questions]))
    (folder / "qrels" / "test.tsv").write_text("".join(qrels))
    return folder


def _jsonl(rows: Iterable[dict[str, str]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)
