"""The chat client against a server that speaks the wire format over real sockets, and fails in every way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fresco.clients.chat_answer import ChatAnswer
from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError
from tests.servers import rerank_api as faults
from tests.servers.chat_api import ChatApi, serve, words_of
from tests.waiting import PATIENCE

KEY = "sk-a-secret-of-the-user"


@pytest.fixture(autouse=True)
def _no_key_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def echo(body: dict[str, Any]) -> str:
    return f"you said {words_of(body)!r} at {body['temperature']}, seed {body.get('seed')}"


@pytest.fixture
def api() -> Iterator[ChatApi]:
    with serve(echo) as running:
        yield running


@pytest.fixture
def client(api: ChatApi) -> Iterator[ChatClient]:
    own = ChatClient(api.url, backoff=0.01)
    yield own
    own.close()


def failure(call: Any) -> str:
    with pytest.raises(FrescoError) as caught:
        call()
    message = str(caught.value)
    assert message
    assert message.isprintable()
    return message


def test_a_chat(api: ChatApi, client: ChatClient) -> None:
    answer = client.chat("hello", temperature=0.5, seed=3, stop=["\n"], guided_choice=["a"])
    assert answer.text == "you said 'hello' at 0.5, seed 3"
    assert (answer.finish_reason, answer.cached, answer.error) == ("stop", False, None)
    assert answer.usage == {"prompt_tokens": 5, "completion_tokens": len(answer.text)}
    body = api.bodies()[0]
    assert body["model"] == client.model == "tiny/chat"
    assert (body["stop"], body["guided_choice"], body["max_tokens"]) == (["\n"], ["a"], 1024)
    assert client.shown == f"{api.url}#tiny/chat"


def test_turns_choices_and_absent_fields(api: ChatApi, client: ChatClient) -> None:
    turns = [{"role": "system", "content": "one"}, {"role": "user", "content": "two"}]
    answer = client.chat(turns, n=3, max_tokens=None, seed=None)
    assert len(answer.texts) == 3
    assert "one\\ntwo" in answer.text
    assert not {"max_tokens", "seed"} & set(api.bodies()[0])


def test_completions_of_text_and_of_token_ids(api: ChatApi, client: ChatClient) -> None:
    api.script = lambda body: json.dumps([body["prompt"], body.get("prompt_logprobs")])
    assert client.completions("as of", prompt_logprobs=0).text == '["as of", 0]'
    assert json.loads(client.completions((5, 6), max_tokens=1).text)[0] == [5, 6]


def test_what_was_answered_is_not_asked_again(api: ChatApi, tmp_path: Path) -> None:
    cache = tmp_path / "new" / "answers.sqlite"
    first = ChatClient(api.url, cache=cache)
    asked = [first.chat("a"), first.chat("b"), first.chat("a"), first.chat("a", seed=1)]
    assert [answer.cached for answer in asked] == [False, False, True, False]
    assert first.totals["requests"] == 3
    assert first.totals["cached"] == 1
    assert first.totals["prompt_tokens"] == 3
    first.close()
    # The address is no part of the key, and a server is not even needed.
    elsewhere = ChatClient("http://127.0.0.1:9/v1#tiny/chat", cache=cache)
    assert elsewhere.chat("b").text == asked[1].text
    assert "no server answers" in failure(lambda: elsewhere.chat("c"))
    other_model = ChatClient("http://127.0.0.1:9/v1#other", cache=cache)
    assert "no server answers" in failure(lambda: other_model.chat("b"))


CHILD = """
import sys
from pathlib import Path
from fresco.clients.llm import ChatClient
client = ChatClient(sys.argv[1], cache=Path(sys.argv[2]))
for answer in client.map([{"messages": str(n % 20)} for n in range(40)]):
    print(answer.text)
"""


def test_processes_that_share_a_cache_agree_on_the_first_answer(api: ChatApi, tmp_path: Path) -> None:
    count = iter(range(10**6))
    api.script = lambda body: f"{words_of(body)}: {next(count)}"  # never the same twice
    command = [sys.executable, "-c", CHILD, api.url, str(tmp_path / "answers.sqlite")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    heard = [process.communicate(timeout=PATIENCE)[0].splitlines() for process in running]
    assert all(process.returncode == 0 for process in running)
    assert heard[0] == heard[1] == heard[2]
    assert heard[0][:20] == heard[0][20:]
    assert len(heard[0]) == 40


def test_many_at_once_in_order(api: ChatApi) -> None:
    api.together = 2
    client = ChatClient(f"{api.url}#tiny/chat&concurrency=6")
    seen: list[int] = []
    answers = client.map(({"messages": str(n)} for n in range(60)), lambda index, _: seen.append(index))
    assert [answer.text.split("'")[1] for answer in answers] == [str(n) for n in range(60)]
    assert sorted(seen) == list(range(60))
    assert 2 <= api.most_at_once <= 6


def test_more_at_once_than_a_pool_of_connections_holds(api: ChatApi) -> None:
    api.together = 150
    client = ChatClient(f"{api.url}#tiny/chat", concurrency=150, timeout=PATIENCE)
    assert len(client.map({"messages": str(n)} for n in range(150))) == 150
    assert api.most_at_once == 150
    client.close()


def test_threads_of_the_caller_share_the_limit(api: ChatApi) -> None:
    api.together = 2
    client = ChatClient(api.url, concurrency=2)
    threads = [threading.Thread(target=client.chat, args=(str(n),)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert api.most_at_once == 2
    assert client.totals["requests"] == 8


def test_work_of_several_turns(client: ChatClient) -> None:
    def agent(name: str) -> list[str]:
        first = client.chat(name).text
        return [first, client.chat(first).text]

    results = client.each(agent, ["x", "y"])
    assert [first for first, _ in results] == ["you said 'x' at 0.0, seed None", "you said 'y' at 0.0, seed None"]
    assert client.each(agent, []) == []


def test_the_failures_of_some_can_be_tolerated(api: ChatApi, client: ChatClient) -> None:
    api.context = 10
    requests = [{"messages": "long " * (9 if n in (1, 3) else 1) + str(n)} for n in range(5)]
    answers = client.map(requests, tolerate=2)
    assert [answer.error is None for answer in answers] == [True, False, True, False, True]
    assert "maximum context length is 10 tokens" in str(answers[1].error)
    assert "maximum context length" in failure(lambda: client.map(requests, tolerate=1))


RECOVERED = {
    "429": [faults.status(429, {"error": {"message": "slow down"}}, {"Retry-After": "0"})],
    "500 then 503": [faults.status(500, b"Internal Server Error"), faults.status(503)],
    "reset": [faults.reset],
}


@pytest.mark.parametrize("name", list(RECOVERED))
def test_a_passing_fault_is_survived(api: ChatApi, name: str) -> None:
    client = ChatClient(api.url, backoff=0.01)
    api.faults.extend(RECOVERED[name])
    assert client.chat("hello").text.startswith("you said 'hello'")
    assert len(api.requests) == 1 + len(RECOVERED[name])


def test_an_answer_that_is_late_is_asked_for_again(api: ChatApi) -> None:
    client = ChatClient(api.url, backoff=0.01)

    def late_once(handler: Any, answer: Any) -> None:
        client._client._timeout = PATIENCE  # of the attempts that follow: a busy machine is late by itself
        faults.slow(PATIENCE)(handler, answer)

    api.faults.append(late_once)
    client._client._timeout = 0.4
    assert client.chat("hello").text.startswith("you said 'hello'")
    assert len(api.requests) >= 2


def _message(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **fields}}]}


FATAL: dict[str, tuple[Any, str]] = {
    "half of the JSON": (faults.half_of_the_json, "answered no valid JSON"),
    "no choices": (faults.status(200, {"choices": []}), "answered no choices"),
    "another API": (faults.status(200, {"results": []}), "answered no choices"),
    "a list": (faults.status(200, [1]), "answered no choices"),
    "no message": (faults.status(200, {"choices": [{}]}), "a choice without text (finish reason '')"),
    "a null": (faults.status(200, _message(content=None)), "a choice without text (finish reason 'stop')"),
    "a number": (faults.status(200, _message(content=7)), "a choice without text"),
    "cut in its thoughts": (
        faults.status(200, {"choices": [{"finish_reason": "length", "message": {"content": None}}]}),
        "it was cut before it answered, raise max_tokens",
    ),
    "a page": (faults.status(200, b"<!DOCTYPE html><html>"), "an HTML page"),
    "400": (faults.status(400, {"error": {"message": f"bad\n key {KEY}"}}), "answered 400 Bad Request: 'bad key ***'"),
}


@pytest.mark.parametrize("name", list(FATAL))
def test_an_unusable_answer_is_one_line_and_is_not_kept(
    api: ChatApi, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    fault, said = FATAL[name]
    client = ChatClient(api.url, cache=tmp_path / "answers.sqlite")
    api.faults.append(fault)
    message = failure(lambda: client.chat("hello"))
    assert said in message
    assert KEY not in message
    assert client.chat("hello").text.startswith("you said")


def test_an_answer_of_tool_calls_has_no_text(api: ChatApi, client: ChatClient) -> None:
    api.script = lambda _: _message(content=None, tool_calls=[{"id": "1"}])
    answer = client.chat("hello")
    assert answer.text == ""
    assert answer.raw["choices"][0]["message"]["tool_calls"] == [{"id": "1"}]


def test_the_key_is_sent_and_never_shown(api: ChatApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api.key = KEY
    assert "set the key in OPENAI_API_KEY" in failure(lambda: ChatClient(api.url).chat("hello"))
    assert "that key= names is not set" in failure(lambda: ChatClient(f"{api.url}#tiny/chat&key=MY_KEY"))
    monkeypatch.setenv("MY_KEY", KEY)
    client = ChatClient(f"{api.url}#tiny/chat&key=MY_KEY")
    assert client.chat("hello").text
    assert KEY not in client.shown + repr(client.chat("hello"))


def test_the_model_is_the_only_one_or_must_be_named(api: ChatApi) -> None:
    api.models = ("a", "b")
    assert "serves 2 models (a, b, ...); name one: URL#MODEL" in failure(lambda: ChatClient(api.url))
    assert ChatClient(f"{api.url}/chat/completions#b").chat("hello").text
    assert "The model `c` does not exist" in failure(lambda: ChatClient(api.url, "c").chat("hello"))
    api.models = ()
    assert "lists no model" in failure(lambda: ChatClient(api.url))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nothing", "the URL cannot be read"),
        ("http://[::1/v1#m", "the URL cannot be read"),
        ("http://127.0.0.1:9", "no server answers at http://127.0.0.1:9/v1"),
        ("http://127.0.0.1:9#m&speed=3", "option 'speed' after the model: unknown or malformed; known are key="),
        ("http://127.0.0.1:9#m&enable_thinking=perhaps", "option 'enable_thinking' after the model"),
        ("http://127.0.0.1:9#m&extra_body={", "option 'extra_body' after the model"),
        ("http://127.0.0.1:9#m&extra_body=[1]", "option 'extra_body' after the model"),
        ('http://127.0.0.1:9#m&extra_body={"model":"other"}', "option 'extra_body' after the model"),
        ("http://127.0.0.1:9#m&concurrency=many", "option 'concurrency' after the model"),
        ("http://127.0.0.1:9#m&max_tokens=0", "option 'max_tokens' after the model: unknown or malformed"),
        ("http://127.0.0.1:9#m&temperature=warm", "option 'temperature' after the model: unknown or malformed"),
        ("http://127.0.0.1:9#m&concurrency=0", "give 1 to 1000 requests"),
        ("http://127.0.0.1:9#m&concurrency=1001", "give 1 to 1000 requests"),
    ],
)
def test_bad_specs_are_one_line(spec: str, said: str) -> None:
    assert said in failure(lambda: ChatClient(spec))


def test_what_the_spec_adds_goes_with_every_request(api: ChatApi, tmp_path: Path) -> None:
    api.script = lambda body: "fine"
    extra = '{"top_k":20,"chat_template_kwargs":{"a":"x%26y"}}'
    plain = ChatClient(f"{api.url}#tiny/chat", cache=tmp_path / "answers.sqlite")
    client = ChatClient(
        f"{api.url}#tiny/chat&enable_thinking=false&extra_body={extra}", cache=tmp_path / "answers.sqlite"
    )
    assert not plain.chat("hello").cached and not client.chat("hello").cached
    client.completions("hello", max_tokens=1)
    without, chat, completion = api.bodies()
    assert (chat["top_k"], chat["chat_template_kwargs"]) == (20, {"a": "x&y", "enable_thinking": False})
    assert completion["top_k"] == 20 and "chat_template_kwargs" not in completion and "top_k" not in without
    assert plain.identity == "tiny/chat" != client.identity and '"enable_thinking": false' in client.identity


def test_limits_and_temperature_of_the_spec_replace_those_of_the_caller(api: ChatApi) -> None:
    api.script = lambda body: "fine"
    options = "max_tokens=9000&temperature=0.3&reasoning_effort=low"
    client = ChatClient(f"{api.url}#tiny/chat&{options}")
    client.chat("hello", temperature=0.8, max_tokens=10)
    client.completions("hello", max_tokens=1)
    ChatClient(f"{api.url}#tiny/chat&max_completion_tokens=7&temperature=default").chat("hello", temperature=0.8)
    chat, completion, other = api.bodies()
    assert (chat["max_tokens"], chat["temperature"], chat["reasoning_effort"]) == (9000, 0.3, "low")
    assert completion["max_tokens"] == 1 and "reasoning_effort" not in completion
    assert other["max_completion_tokens"] == 7 and not {"max_tokens", "temperature"} & other.keys()
    assert '"max_tokens": 9000' in client.identity


def test_a_model_that_wants_another_name_for_the_limit_gets_it(api: ChatApi, tmp_path: Path) -> None:
    said = {"error": {"message": "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."}}
    api.script = lambda body: "fine"
    api.faults.append(faults.status(400, said))
    client = ChatClient(api.url, cache=tmp_path / "answers.sqlite", backoff=0.01)
    assert [client.chat(text, max_tokens=5).text for text in ("one", "two")] == ["fine"] * 2
    limits = [(body.get("max_tokens"), body.get("max_completion_tokens")) for body in api.bodies()]
    assert limits == [(5, None), (None, 5), (None, 5)]
    assert ChatClient(api.url, cache=tmp_path / "answers.sqlite").chat("one", max_tokens=5).cached


SCHEMA = {"type": "array", "items": {"type": "string"}}


def test_a_schema_is_sent_and_left_away_where_the_server_refuses_it(api: ChatApi) -> None:
    api.script = lambda body: "fine"
    client = ChatClient(api.url, backoff=0.01)
    client.chat("one", schema=SCHEMA)
    assert api.bodies()[0]["response_format"]["json_schema"]["schema"] == SCHEMA
    api.faults.append(faults.status(400, {"error": {"message": "response_format is not supported"}}))
    assert [client.chat(text, schema=SCHEMA).text for text in ("two", "three")] == ["fine"] * 2
    assert ["response_format" in body for body in api.bodies()] == [True, True, False, False]
    ChatClient(f"{api.url}#tiny/chat&structured=false").chat("one", schema=SCHEMA)
    assert "response_format" not in api.bodies()[-1]


def test_a_refusal_of_something_else_leaves_the_schema(api: ChatApi) -> None:
    api.script, api.context = (lambda body: "fine"), 10
    client = ChatClient(api.url, backoff=0.01)
    assert "maximum context length" in failure(lambda: client.chat("far too long a prompt", schema=SCHEMA))
    client.chat("short", schema=SCHEMA)
    assert "response_format" in api.bodies()[-1]


@pytest.mark.parametrize(
    ("text", "reason", "final"),
    [
        ("a</think> b </think>c", "stop", "c"),
        ("<think>a</think>b", "length", "b"),
        ("<think>a", "length", None),
        ("a", "length", None),
        ("<think>a", "stop", None),
        ("a", "", "a"),
    ],
)
def test_the_final_text_is_what_follows_the_thought(text: str, reason: str, final: str | None) -> None:
    assert ChatAnswer(text, finish_reason=reason).final == final


def test_a_file_that_is_no_cache_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    path.write_text("something else entirely, long enough to be read as a header of a database file" * 20)
    assert "name another file or delete it" in failure(lambda: ChatClient("http://127.0.0.1:9#m", cache=path))


INTERRUPTED = """
import sys
from fresco.clients.llm import ChatClient
client = ChatClient(sys.argv[1])
client.map([{"messages": str(n)} for n in range(500)], lambda index, answer: print(index, flush=True))
"""


def test_ctrl_c_ends_at_once_though_the_model_still_writes(api: ChatApi) -> None:
    api.script = lambda body: time.sleep(0 if words_of(body) == "0" else 300) or "late"
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, api.url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"0\n"
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=PATIENCE)  # well before the model would answer
    assert process.returncode != 0
    assert said.rstrip().endswith(b"KeyboardInterrupt")


def test_an_answer_stays_as_it_was_first(tmp_path: Path) -> None:
    from fresco.clients.answer_cache import AnswerCache

    one, other = AnswerCache(tmp_path / "a.sqlite"), AnswerCache(tmp_path / "a.sqlite")
    assert one.get(b"k") is None
    assert one.put(b"k", {"x": "\ud800"}) == {"x": "\ud800"}
    assert other.put(b"k", {"x": 2}) == other.get(b"k") == {"x": "\ud800"}
