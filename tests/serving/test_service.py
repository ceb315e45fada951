"""``fresco serve`` as a process of its own, asked by 32 clients at once."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from fresco.errors import FrescoError
from fresco.rerank.recency import Recency
from fresco.serving import FreshReranker
from fresco.serving.fresh import as_document
from fresco.serving.service import _Asked, _Batcher
from tests.waiting import PATIENCE

RERANKER = """
class Overlap:
    name, takes_instruction, pointwise = "overlap", False, True

    def score(self, query, passages, instruction=None):
        asked = set(query.content.split())
        return [float(len(asked & set(passage.body.split()))) for passage in passages]
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("served")
    (folder / "own.py").write_text(RERANKER)
    Recency("half-life", 365.0).save(folder / "recency.json")
    command = [sys.executable, "-m", "fresco", "serve", "--port", "0", "--reranker", f"{folder / 'own.py'}:Overlap"]
    command += ["--cure", str(folder / "recency.json"), "--max-documents", "50"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    address = re.search(r"http://[\d.]+:\d+", line)
    assert address, line
    yield address[0]
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0


def ask(url: str, **body: object) -> httpx.Response:
    return httpx.post(f"{url}/rerank", json=body, timeout=PATIENCE)


DATED = [
    {"text": "head of the bank", "date": "2015-01-01"},
    {"text": "head of the bank", "metadata": {"date": "2024-06-01"}},
]


def test_health(url):
    said = httpx.get(f"{url}/health", timeout=PATIENCE).json()
    assert said["status"] == "ok"
    assert "half-life" in said["reranker"]


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_the_shape_of_cohere_and_jina(url, path):
    body = {"query": "head of the bank", "documents": [*DATED, "a tree"], "top_n": 2, "asked_at": "2025-01-01"}
    results = httpx.post(f"{url}{path}", json=body, timeout=PATIENCE).json()["results"]
    assert [row["index"] for row in results] == [1, 0]  # the newer of two that say the same
    assert results[0]["relevance_score"] > results[1]["relevance_score"]


def test_the_shape_of_tei(url):
    rows = ask(url, query="head of the bank", texts=["a tree", "head of the bank"]).json()
    assert [row["index"] for row in rows] == [1, 0]
    assert rows[0]["score"] > rows[1]["score"]


def test_thirty_two_clients_lose_and_mix_nothing(url):
    def one(number: int) -> bool:
        documents = [f"answer {place} is w{place}x" for place in range(20)]
        body = {"query": f"w{number % 20}x", "documents": documents, "top_n": 1}
        return client.post(f"{url}/rerank", json=body).json()["results"][0]["index"] == number % 20

    with (
        httpx.Client(timeout=PATIENCE, limits=httpx.Limits(max_connections=32)) as client,
        ThreadPoolExecutor(32) as pool,
    ):
        answers = list(pool.map(one, range(320)))
    assert len(answers) == 320
    assert all(answers)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"documents": []}, "query: a text is wanted"),
        ({"query": "q"}, "documents (or texts): a list is wanted"),
        ({"query": "q", "documents": ["a"] * 51}, "51 of them; 50 are the most (--max-documents)"),
        ({"query": "q", "documents": [5]}, "is no document"),
        ({"query": "q", "documents": [{"text": "a", "date": "soon"}]}, "is no date"),
        ({"query": "q", "documents": [{"text": "a", "title": "t" * 100_000}]}, "longer than 100000 characters"),
        ({"query": "q", "documents": ["a"], "top_n": 0}, "top_n: 0; a whole number from 1 up"),
    ],
)
def test_bad_requests_are_one_line(url, body, said):
    answer = ask(url, **body)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


@pytest.mark.parametrize("body", ['{"query": "\\ud800", "documents": ["a"]}', '{"query": "q", "texts": ["\\udfff"]}'])
def test_half_a_character_is_refused(url, body):
    answer = httpx.post(f"{url}/rerank", content=body, timeout=PATIENCE)
    assert answer.status_code == 422
    assert "is no Unicode text" in answer.json()["detail"]


class Counting:
    """Words shared with the query; counts its calls, and fails where it is asked to."""

    name, takes_instruction, pointwise = "counting", False, True

    def __init__(self) -> None:
        self.calls: list[int] = []

    def score(self, query, passages, instruction=None):
        if query.content == "fail":
            raise ValueError("as it was asked to")
        return [float(query.content in passage.body) for passage in passages]

    def score_batches(self, pairs, instruction, known):
        self.calls.append(len(pairs))
        yield range(len(pairs)), [self.score(query, [passage])[0] for query, passage in pairs]


def answers_of(queries: list[str], most: int) -> tuple[list[object], list[int]]:
    """What requests that wait together are answered, and how many documents each call of the base had."""
    base = Counting()

    async def serve() -> list[object]:
        batcher = _Batcher(FreshReranker(base), most)
        asked = [
            _Asked(query, [as_document(text) for text in ("a", "b", "c")], None, None, "documents", future)
            for query in queries
            for future in [asyncio.get_running_loop().create_future()]
        ]
        waiting = [asyncio.create_task(batcher.rerank(each)) for each in asked]
        running = asyncio.create_task(batcher.run())
        found: list[object] = list(await asyncio.gather(*waiting, return_exceptions=True))
        running.cancel()
        return found

    return asyncio.run(serve()), base.calls


def test_requests_that_wait_are_scored_together_up_to_the_limit():
    found, calls = answers_of(list("abcabcab"), most=10)
    assert calls == [9, 9, 6]
    assert [ranked[0].document.text for ranked in found] == list("abcabcab")
    assert answers_of(["a"], most=1)[1] == [3]  # one request is never split


def test_a_request_that_fails_spoils_no_other():
    found, _ = answers_of(["a", "fail", "b"], most=100)
    assert [ranked[0].document.text for ranked in (found[0], found[2])] == ["a", "b"]
    assert isinstance(found[1], FrescoError)
    assert "as it was asked to" in str(found[1])


def test_nothing_to_rank(url):
    assert ask(url, query="q", documents=[]).json()["results"] == []
