"""``http:`` against servers that fail in every way seen: each is survived, or is one clear line."""

from __future__ import annotations

import json
import math
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.records import Kind, Query, Task
from fresco.rerank import http
from fresco.rerank.http import HttpReranker
from tests.servers import rerank_api as servers
from tests.servers.asking import PASSAGES, QUERY, WHEN, connect, failure
from tests.servers.rerank_api import Api, Fault, serve
from tests.waiting import PATIENCE


@pytest.fixture(autouse=True)
def no_key_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRESCO_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module", params=["tei", "cohere"])
def running(request: pytest.FixtureRequest) -> Iterator[tuple[Api, HttpReranker]]:
    """A server and a re-ranker on it with the defaults: making either takes longer than most tests here."""
    with serve(request.param) as api:
        yield api, connect(api)


@pytest.fixture
def api(running: tuple[Api, HttpReranker]) -> Iterator[Api]:
    yield running[0]
    running[0].faults.clear()
    running[0].requests.clear()


RECOVERED: dict[str, list[Fault]] = {
    "429 with seconds": [servers.status(429, {"message": "slow down"}, {"Retry-After": "0"})],
    "429 with nonsense": [servers.status(429, headers={"Retry-After": "soon"})],
    "503 then 502": [servers.status(503), servers.status(502, b"<html>Bad gateway</html>")],
    "reset in mid-body": [servers.reset],
}


@pytest.mark.parametrize("name", list(RECOVERED))
def test_a_passing_fault_is_survived(api: Api, name: str) -> None:
    reranker = connect(api)
    expected = reranker.score(QUERY, PASSAGES)
    api.faults.extend(RECOVERED[name])
    assert reranker.score(QUERY, PASSAGES) == expected
    assert len(api.posted()) == 2 + len(RECOVERED[name])


@pytest.mark.parametrize("late", [servers.slow(PATIENCE), servers.trickle(PATIENCE)])
def test_an_answer_that_is_late_is_asked_for_again(api: Api, late: Fault) -> None:
    reranker = connect(api)
    expected = reranker.score(QUERY, PASSAGES)
    before = len(api.posted())

    def late_once(handler: Any, answer: Any) -> None:
        reranker._client._timeout = PATIENCE  # of the attempts that follow: a busy machine is late by itself
        late(handler, answer)

    api.faults.append(late_once)
    reranker._client._timeout = 0.4
    assert reranker.score(QUERY, PASSAGES) == expected
    assert len(api.posted()) >= before + 2


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_honoured(as_date: bool) -> None:
    with serve("tei") as api:
        reranker = connect(api)
        started = time.monotonic()
        # An HTTP date has whole seconds: two of them are at least one.
        wait = format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True) if as_date else "1"
        api.faults.append(servers.status(429, headers={"Retry-After": wait}))
        reranker.score(QUERY, PASSAGES)
        assert time.monotonic() - started > 0.9


def test_a_pause_beyond_patience_is_not_begun(api: Api) -> None:
    reranker = connect(api, patience=PATIENCE)
    api.faults.append(servers.status(429, {"message": "quota"}, {"Retry-After": "3600"}))
    before = len(api.posted())
    message = failure(lambda: reranker.score(QUERY, PASSAGES))  # a pause would outlast any run of the tests
    assert "answered 429 Too Many Requests: 'quota'; it wants 3600 s of pause" in message
    assert len(api.posted()) == before + 1


def test_the_number_of_attempts_is_bounded(api: Api) -> None:
    reranker = connect(api, "retries=2")
    api.faults.extend([servers.status(503, {"message": "loading"})] * 9)
    message = failure(lambda: reranker.score(QUERY, PASSAGES))
    assert "answered 503 Service Unavailable: 'loading'; tried 3 times (query 'q1')" in message
    assert len(api.posted()) == 3


FATAL: dict[str, tuple[Fault, str]] = {
    "400 with lines": (
        servers.status(400, {"message": "bad\r\n\x1b[31mthing"}),
        "answered 400 Bad Request: 'bad [31mthing'",
    ),
    "404": (servers.status(404, {"detail": "Not Found"}), "mend the URL or the model's name"),
    "418 plain": (servers.status(418, b"short and\nstout"), "answered 418 I'm a Teapot: 'short and'"),
    "499 empty": (servers.status(499), "answered 499: an empty body"),
    "422 fastapi": (servers.status(422, {"detail": [{"loc": ["body"], "msg": "Field required"}]}), "'Field required'"),
    "long message": (servers.status(400, {"message": "x" * 5000}), "xxx…'"),
    "HTML": (servers.status(200, b"<!DOCTYPE html><html><body>Welcome"), "no valid JSON: an HTML page"),
    "truncated JSON": (servers.half_of_the_json, "answered no valid JSON"),
    "invalid UTF-8": (servers.status(200, b'"\xff\xfe'), "answered no valid JSON"),
    "deep JSON": (servers.status(200, b"[" * 200_000), "answered no valid JSON"),
    "other JSON": (servers.status(200, {"scores": [1, 2]}), "answered JSON that is not of format"),
    "a number": (servers.status(200, 7), "answered JSON that is not of format"),
    "endless": (servers.endless, "its answer passes 8 MiB; this is no such API"),
    "fewer": (servers.edited(lambda rows: rows[1:]), "answered 6 scores for 7 passages"),
    "more": (servers.edited(lambda rows: [*rows, rows[0]]), "answered 8 scores for 7 passages"),
    "none": (servers.edited(lambda rows: []), "answered 0 scores for 7 passages"),
    "texts": (servers.edited(lambda rows: ["a"] * 7), "answered JSON that is not of format"),
    "duplicate": (servers.edited(lambda rows: [rows[0], *rows[:-1]]), "twice"),
    "out of range": (
        servers.edited(lambda rows: [{**row, "index": row["index"] + 1} for row in rows]),
        "as an index into 7",
    ),
    "negative": (servers.edited(lambda rows: [{**row, "index": -1} for row in rows]), "answered -1 as an index"),
    "no index": (servers.edited(lambda rows: [{"score": 1, "relevance_score": 1}] * 7), "answered null as an index"),
    "index true": (servers.edited(lambda rows: [{**row, "index": True} for row in rows]), "answered true as an index"),
}
for _name, _value in {
    "NaN": math.nan,
    "Infinity": -math.inf,
    "null": None,
    "text": "0.5",
    "true": True,
    "a list": [0.5],
    "a huge integer": 10**400,
}.items():
    FATAL[f"score {_name}"] = (
        servers.edited(lambda rows, v=_value: [{**row, "score": v, "relevance_score": v} for row in rows]),
        "no finite number",
    )


@pytest.mark.parametrize("name", list(FATAL))
def test_an_answer_that_cannot_be_ranked_is_one_line(api: Api, running: tuple[Api, HttpReranker], name: str) -> None:
    fault, said = FATAL[name]
    reranker = running[1]
    api.faults.append(fault)
    message = failure(lambda: reranker.score(QUERY, PASSAGES))
    assert said in message
    assert message.startswith(api.url)
    assert message.endswith("(query 'q1')")
    assert len(api.posted()) == 1  # such an answer is not asked for again
    assert len(reranker.score(QUERY, PASSAGES)) == 7


@pytest.mark.parametrize(
    ("fault", "timeout", "said"),
    [
        (servers.slow(PATIENCE), 0.4, "no answer within 0.4 s; raise the timeout or send less; tried 2 times"),
        (servers.reset, PATIENCE, "the connection broke"),
    ],
)
def test_a_fault_that_stays_is_one_line(api: Api, fault: Fault, timeout: float, said: str) -> None:
    reranker = connect(api, "retries=1")
    reranker._client._timeout = timeout  # from here on: a busy machine may need longer to connect
    api.faults.extend([fault] * 2)
    message = failure(lambda: reranker.score(QUERY, PASSAGES))
    assert said in message
    assert message.endswith("(query 'q1')")


def test_a_server_that_is_down_is_said_at_once() -> None:
    with socket.socket() as taken:  # bound and not listening: nobody else can answer there
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/v1/rerank"
        # A second attempt would outlast any run of the tests.
        message = failure(lambda: HttpReranker(address, Settings(), backoff=600.0))
        assert message.startswith(f"no server answers at {address} (")
        assert message.endswith("; start it or mend the URL")


def test_a_host_without_an_address_is_said() -> None:
    message = failure(lambda: HttpReranker("http://no-such-host.invalid/v1/rerank", Settings()))
    assert message.startswith("no server answers at http://no-such-host.invalid/v1/rerank (")


def test_a_server_that_goes_down_is_waited_for_and_then_given_up() -> None:
    with serve("tei") as api:
        reranker = connect(api, "retries=2")
        assert len(reranker.score(QUERY, PASSAGES)) == 7
    message = failure(lambda: reranker.score(QUERY, PASSAGES))
    assert f"no server answers at {api.url}" in message
    assert "any more; is it still running?; tried 3 times (query 'q1')" in message


def told_of_pauses(reranker: HttpReranker) -> threading.Event:
    """Set when the re-ranker begins to wait for its next attempt."""
    paused = threading.Event()

    class Seen(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            paused.set()
            return super().wait(timeout)

    reranker._client._stopped = Seen()
    return paused


def test_a_server_that_restarts_is_waited_for() -> None:
    with serve("tei") as api:
        reranker = connect(api, "retries=99", backoff=0.05)
        expected = reranker.score(QUERY, PASSAGES)
    paused = told_of_pauses(reranker)
    results: list[list[float]] = []
    waiting = threading.Thread(target=lambda: results.append(reranker.score(QUERY, PASSAGES)))
    waiting.start()
    assert paused.wait(PATIENCE)
    with serve("tei", port=int(api.url.rsplit(":", 1)[1].split("/")[0])):
        waiting.join(PATIENCE)
    assert results == [expected]


def test_closing_ends_a_pause() -> None:
    with serve("tei") as api:
        reranker = connect(api)
        paused = told_of_pauses(reranker)
        api.faults.append(servers.status(429, headers={"Retry-After": "300"}))
        messages: list[str] = []
        waiting = threading.Thread(target=lambda: messages.append(failure(lambda: reranker.score(QUERY, PASSAGES))))
        waiting.start()
        assert paused.wait(PATIENCE)
        reranker.close()
        waiting.join(PATIENCE)  # the pause is 300 s
        assert "given up (query 'q1')" in messages[0]


def test_one_bad_pool_of_many_is_the_error_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = threading.Event()

    class Executor(ThreadPoolExecutor):
        def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            heard.set()
            super().shutdown(wait=wait)

    def held(handler: Any, answer: Any) -> None:
        heard.wait(PATIENCE)
        handler.send(200, answer)

    monkeypatch.setattr(http, "ThreadPoolExecutor", Executor)
    pools = [(Query(f"q{n}", f"Who? {n}", WHEN, Task.EK, Kind.IMPLICIT, "x"), PASSAGES) for n in range(30)]
    with serve("tei") as api:
        reranker = connect(api, "concurrency=1")
        api.faults.extend([servers.edited(lambda rows: rows)] * 2 + [servers.edited(lambda rows: rows[1:])])
        api.faults.extend([held] * 27)
        assert "(query 'q2')" in failure(lambda: reranker.score_pools(pools))
        assert 3 <= len(api.posted()) <= 4  # what was not begun when the bad one was heard of is not sent


def test_httpx_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    message = failure(lambda: HttpReranker("http://127.0.0.1:9/v1/rerank", Settings()))
    assert "pip install 'fresco-ccs[http]'" in message


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["results", "index", "score"]), inner),
    max_leaves=6,
)
_ROW = st.fixed_dictionaries({"index": st.integers(-1, 2) | _JSON, "score": st.floats() | _JSON})
_GOOD_ROWS = st.permutations([0, 1]).flatmap(
    lambda order: st.tuples(
        *(st.fixed_dictionaries({"index": st.just(index), "score": st.floats(allow_nan=False)}) for index in order)
    )
)


def test_whatever_json_comes_is_ranked_or_refused() -> None:
    outcomes: set[str] = set()
    with serve("tei") as api:
        reranker = connect(api)

        @settings(max_examples=150, derandomize=True)
        @given(answer=_GOOD_ROWS.map(list) | _JSON | st.lists(_ROW | _JSON, max_size=3))
        def check(answer: Any) -> None:
            api.faults.append(servers.status(200, json.dumps(answer).encode()))
            try:
                scores = reranker.score(QUERY, PASSAGES[:2])
            except FrescoError as error:
                assert str(error).isprintable()
                outcomes.add("refused")
                return
            outcomes.add("ranked")
            assert scores == [row["score"] for row in sorted(answer, key=lambda row: row["index"])]
            assert all(math.isfinite(score) for score in scores)

        check()
    assert outcomes == {"ranked", "refused"}
