"""``ccs serve`` as a process of its own, asked by a client written to the contract and by ours."""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from ccs.agent.trajectory import Hit
from ccs.cli import main
from ccs.retrieve import open_retriever
from ccs.retrieve.client import RetrieverClient
from ccs.retrieve.service import Batcher, make_app
from fresco.errors import FrescoError
from tests.ccs.retrieve.corpora import documents, write_corpus
from tests.servers import rerank_api, retrieve_api
from tests.waiting import PATIENCE

COUNT = 200
CLIENT = httpx.Client(timeout=PATIENCE)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    corpus = write_corpus(folder / "c.jsonl", documents(COUNT))
    assert main(["index", "--corpus", str(corpus), "--out", str(folder / "i")]) == 0
    return folder / "i"


def start(index: Path, *options: str) -> tuple[subprocess.Popen[str], str]:
    command = [sys.executable, "-m", "ccs", "serve", "--index", str(index), "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    address = re.search(r"http://[\d.]+:\d+", line)
    assert address, line
    return process, address[0]


@pytest.fixture(scope="module")
def url(index: Path) -> Iterator[str]:
    process, address = start(index)
    yield address
    process.terminate()
    assert process.wait(timeout=PATIENCE) == 0


def test_the_contract(url: str, index: Path) -> None:
    queries = ["number7 castle", "the Bergen market", "nowhere"]
    wanted = open_retriever(str(index)).search(queries, 4)
    answer = CLIENT.post(f"{url}/retrieve", json={"queries": queries, "topk": 4, "return_scores": True})
    assert answer.json() == {
        "result": [
            [{"document": {"id": hit.id, "contents": hit.contents}, "score": hit.score} for hit in hits]
            for hits in wanted
        ]
    }
    plain = CLIENT.post(f"{url}/retrieve", json={"queries": queries})
    assert plain.json() == {
        "result": [[{"id": hit.id, "contents": hit.contents} for hit in hits[:3]] for hits in wanted]
    }
    client = RetrieverClient(url)
    assert client.search(queries, 4) == wanted
    assert client.search([], 4) == []


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 422, "JSON"),
        (b'{"queries": "castle"}', 422, "queries"),
        (b'{"queries": [5]}', 422, "queries.0"),
        (b'{"queries": ["a"], "topk": -1}', 422, "topk"),
        (b'{"queries": ["a"], "topk": 1000}', 422, "topk: 1000 is more than 100"),
        (b'{"queries": [' + b'"a",' * 4096 + b'"a"]}', 422, "4097 of them; 4096 are the most (--max-queries)"),
        (b'{"queries": ["' + b"a" * 20_000 + b'"]}', 422, "longer than 10000"),
        (b'{"queries": ["' + b"a" * (9 << 20) + b'"]}', 413, "send it in parts"),
    ],
)
def test_what_asks_too_much_is_told_so(url: str, body: bytes, status: int, said: str) -> None:
    answer = CLIENT.post(f"{url}/retrieve", content=body)
    assert answer.status_code == status
    assert said in answer.json()["detail"]
    assert CLIENT.get(f"{url}/health").status_code == 200


def test_search_r1_trainer_sends_its_whole_batch(url: str, index: Path) -> None:
    queries = [f"number{n % COUNT} castle" for n in range(2560)]
    wanted = [[hit.id for hit in hits] for hits in open_retriever(str(index)).search(queries, 3)]
    for topk in ({"topk": 0}, {"topk": None}, {}, {"topk": 3}):
        answer = CLIENT.post(
            f"{url}/retrieve", json={"queries": queries, "return_scores": True, **topk}, timeout=PATIENCE
        )
        assert answer.status_code == 200
        assert [[hit["document"]["id"] for hit in hits] for hits in answer.json()["result"]] == wanted


def test_limits_are_options(index: Path) -> None:
    process, address = start(
        index, "--max-queries", "2", "--max-top-k", "5", "--max-query-characters", "9", "--top-k", "4"
    )
    try:
        for body, said in (
            ({"queries": ["a"] * 3}, "3 of them; 2 are the most"),
            ({"queries": ["a"], "topk": 6}, "6 is more than 5"),
            ({"queries": ["a" * 10]}, "longer than 9 characters"),
        ):
            answer = CLIENT.post(f"{address}/retrieve", json=body)
            assert (answer.status_code, said in answer.json()["detail"]) == (422, True)
        assert len(CLIENT.post(f"{address}/retrieve", json={"queries": ["castle"]}).json()["result"][0]) == 4
    finally:
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert main(["serve", "--index", str(index), "--port", "0", "--top-k", "101"]) == 2


def _load(url: str, times: int) -> None:
    """64 clients, each asking so many times for passages that only it asks for."""

    def work(own: int) -> None:
        draw = random.Random(own)
        with httpx.Client(timeout=PATIENCE) as client:
            for _ in range(times):
                numbers = [draw.randrange(COUNT) for _ in range(draw.randint(1, 4))]
                payload = {
                    "queries": [f"number{n}" for n in numbers],
                    "topk": draw.randint(1, 3),
                    "return_scores": True,
                }
                result = client.post(f"{url}/retrieve", json=payload).json()["result"]
                assert [[hit["document"]["id"] for hit in hits] for hits in result] == [[f"p{n}"] for n in numbers]

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(work, range(64)))


def test_many_clients_get_their_own_answers(url: str) -> None:
    _load(url, 8)


@pytest.mark.slow
def test_many_clients_for_long(url: str) -> None:
    _load(url, 100)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly(index: Path, sign: signal.Signals) -> None:
    process, address = start(index)
    host, port = urlsplit(address).netloc.split(":")
    body = json.dumps({"queries": ["castle"] * 500}).encode()
    with (
        socket.create_connection((host, int(port)), timeout=PATIENCE) as connection,
        connection.makefile("rb") as answer,
    ):
        head = f"POST /retrieve HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
        connection.sendall(head.encode())
        assert answer.readline().startswith(b"HTTP/1.1 100 ")  # so the request is under way
        process.send_signal(sign)
        connection.sendall(body)
        assert answer.readline() == b"\r\n"
        assert answer.readline().startswith(b"HTTP/1.1 200 ")
        assert b'"result"' in answer.read()
    assert process.wait(timeout=PATIENCE) == 0
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_it_may_be_ended_as_soon_as_it_names_its_address(index: Path) -> None:
    process, _ = start(index)
    process.terminate()
    assert process.wait(timeout=PATIENCE) == 0


class Slow:
    """Names each query's passages by the query; the first search lasts until it is let go."""

    def __init__(self) -> None:
        self.calls: list[tuple[list[str], int]] = []
        self.go = threading.Event()

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        self.calls.append((list(queries), k))
        assert self.go.wait(PATIENCE)
        if "bad" in queries:
            raise FrescoError("the index is gone")
        return [[Hit(f"{query}/{rank}", "x") for rank in range(k)] for query in queries]


def test_what_waits_is_searched_together_but_only_for_the_same_k() -> None:
    asked = [(["a"], 1), (["b"], 2), (["c", "d"], 2), (["e"], 3), (["f"], 2), (["g"] * 9, 2), (["h"], 2)]

    async def ask() -> list[list[list[Hit]]]:
        slow = Slow()
        batcher = Batcher(slow, most=8)
        running = asyncio.create_task(batcher.run())
        waiting = [asyncio.create_task(batcher.search(queries, k)) for queries, k in asked[:1]]
        while not slow.calls:
            await asyncio.sleep(0.001)
        # The first is being searched: the others wait.
        waiting += [asyncio.create_task(batcher.search(queries, k)) for queries, k in asked[1:]]
        gone = asyncio.create_task(batcher.search(["gone"], 2))
        await asyncio.sleep(0)  # each task has run as far as it can
        gone.cancel()
        slow.go.set()
        answers = await asyncio.gather(*waiting)
        running.cancel()
        assert slow.calls == [
            (["a"], 1),
            (["b", "c", "d", "f", "h"], 2),
            (["e"], 3),
            (["g"] * 9, 2),
        ]
        return answers

    answers = asyncio.run(ask())
    assert [[[hit.id for hit in hits] for hits in answer] for answer in answers] == [
        [[f"{query}/{rank}" for rank in range(k)] for query in queries] for queries, k in asked
    ]


def test_a_search_that_fails_is_an_error_in_json() -> None:
    from fastapi.testclient import TestClient

    slow = Slow()
    slow.go.set()
    with TestClient(make_app(slow)) as client:
        answer = client.post("/retrieve", json={"queries": ["bad"]})
        assert (answer.status_code, answer.json()) == (500, {"detail": "the index is gone"})
        assert client.post("/retrieve", json={"queries": ["good"], "topk": 1}).json() == {
            "result": [[{"id": "good/0", "contents": "x"}]]
        }
        assert client.post("/retrieve", content=b'{"queries": ["\\ud800"]}').status_code == 422


def test_many_queries_are_asked_in_parts() -> None:
    with retrieve_api.serve(lambda query, k: [f"{query} {rank}" for rank in range(k)]) as api:
        queries = [f"q{number}" for number in range(400)]
        found = RetrieverClient(api.url).search(queries, 3)
    assert [hits[2].contents for hits in found] == [f"{query} 2" for query in queries]
    assert max(len(body["queries"]) * body["topk"] for body in api.requests) <= 512


def test_a_port_that_is_taken(url: str, index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = url.rpartition(":")[2]
    assert main(["serve", "--index", str(index), "--port", port]) == 2
    assert "cannot be listened at" in capsys.readouterr().err
    assert main(["serve", "--index", str(index / "none")]) == 2
    assert "holds no whole index" in capsys.readouterr().err


def test_faults_of_a_server() -> None:
    with retrieve_api.serve(lambda query, k: [f"{query} {rank}" for rank in range(k)]) as api:
        client = RetrieverClient(api.url, retries=2)
        assert [hit.contents for hit in client.search(["a"], 2)[0]] == ["a 0", "a 1"]
        api.faults.append(rerank_api.status(500))
        assert len(client.search(["a"], 2)[0]) == 2
        api.faults.extend([rerank_api.status(500)] * 3)
        with pytest.raises(FrescoError, match="500"):
            client.search(["a"], 2)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"result": [[]]}, "1 lists for 2 queries"),
        ({"results": []}, "no list of lists"),
        ([], "no list of lists"),
        ({"result": [[{"document": {"id": "a"}}], []]}, "without contents"),
        ({"result": [["text"], []]}, "without contents"),
    ],
)
def test_an_answer_of_another_shape_is_refused(answer: object, said: str) -> None:
    with retrieve_api.serve(lambda query, k: []) as api:
        api.answer = lambda body: answer  # type: ignore[assignment, method-assign, return-value]
        with pytest.raises(FrescoError, match=said):
            RetrieverClient(api.url).search(["a", "b"], 2)


def test_other_servers_shapes_are_read() -> None:
    result = [
        [
            {"document": {"id": 7, "title": "T", "text": "x"}, "score": 1},
            {"id": "8", "contents": "y"},
            {"document": {"id": "9", "content": "w"}},
            *({"document": {"contents": text}, "score": float("nan")} for text in ("z", "z", "zz")),
        ]
    ]
    with retrieve_api.serve(lambda query, k: []) as api:
        api.answer = lambda body: {"result": result}  # type: ignore[assignment, method-assign]
        (hits,) = RetrieverClient(api.url).search(["a"], 6)
    assert [(hit.id, hit.contents, hit.score) for hit in hits[:3]] == [
        ("7", '"T"\nx', 1.0),
        ("8", "y", None),
        ("9", "w", None),
    ]
    assert hits[3] == hits[4]
    assert len({hit.id for hit in hits}) == 5
    assert hits[3].score is None
