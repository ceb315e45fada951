"""A chat server over real sockets whose answers are scripted: the wire format of OpenAI and vLLM, errors included.

Faults are those of :mod:`tests.servers.rerank_api`; each request to ``/chat/completions`` or ``/completions`` takes the
next one.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.servers.rerank_api import Fault, RefusedError, _Handler, _well
from tests.servers.threaded import Server
from tests.waiting import PATIENCE

#: From the request's body to the text of an answer; a list gives the choices, a mapping the whole answer.
Script = Callable[[dict[str, Any]], Any]


def words_of(body: dict[str, Any]) -> str:
    """All that the messages of a request say."""
    return "\n".join(message["content"] for message in body["messages"])


@dataclass
class ChatApi:
    """One running server.

    Attributes:
        script: What it answers.
        url: Of ``/v1``.
        key: Bearer token it wants; empty for none.
        models: What it serves.
        context: Characters that the messages of a request may have (stands for tokens).
        window: What it lists as ``max_model_len``; None lists none, as servers other than vLLM.
        count: Tokens of a prompt, for ``/tokenize``; None has no such path.
        faults: Taken one by each request.
        requests: (path, headers, parsed body) of everything posted.
        most_at_once: Requests that were answered at the same time.
        together: No request is answered before so many have been at work at once.
    """

    script: Script
    url: str = ""
    key: str = ""
    models: tuple[str, ...] = ("tiny/chat",)
    context: int = 10**9
    delay: float = 0.0
    window: int | None = None
    count: Callable[[str], int] | None = None
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    most_at_once: int = 0
    together: int = 0
    connections: list[socket.socket] = field(default_factory=list)
    _at_once: int = 0
    _lock: threading.Condition = field(default_factory=threading.Condition)

    def bodies(self) -> list[dict[str, Any]]:
        return [body for _, _, body in self.requests]

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        chat = path.endswith("/chat/completions")
        if body.get("model") not in self.models:
            words = f"The model `{body.get('model')}` does not exist."
            raise RefusedError(404, _error(words, "NotFoundError", 404))
        if not isinstance(body.get("messages" if chat else "prompt"), list if chat else str | list):
            raise RefusedError(400, _error("Field required: messages or prompt", "BadRequestError", 400))
        length = len(words_of(body)) if chat else len(body["prompt"])
        if length > self.context:
            words = (
                f"This model's maximum context length is {self.context} tokens. However, your request has {length} "
                "input tokens. Please reduce the length of the input messages."
            )
            raise RefusedError(400, _error(words, "BadRequestError", 400))
        said = self.script(body)
        if isinstance(said, dict):
            return said
        texts = said if isinstance(said, list) else [said] * body.get("n", 1)
        choices = [
            {"index": n, "finish_reason": "stop", "logprobs": None}
            | ({"message": {"role": "assistant", "content": text}} if chat else {"text": text})
            for n, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": length, "completion_tokens": sum(map(len, filter(None, texts)))}
        kind = "chat.completion" if chat else "text_completion"
        return {"id": "x-1", "object": kind, "model": body["model"], "choices": choices, "usage": usage}


def _error(message: str, kind: str, code: int) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


class _ChatHandler(_Handler):
    api: ChatApi  # type: ignore[assignment]

    def do_GET(self) -> None:
        if urlsplit(self.path).path != "/v1/models":
            self.send(404, {"detail": "Not Found"})
            return
        rows: list[dict[str, Any]] = [{"id": model, "object": "model", "owned_by": "vllm"} for model in self.api.models]
        if self.api.window is not None:
            rows = [row | {"max_model_len": self.api.window} for row in rows]
        self.send(200, {"object": "list", "data": rows})

    def do_POST(self) -> None:
        api, body = self.api, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = urlsplit(self.path).path
        if path == "/tokenize" and api.count is not None:
            count = api.count(body["prompt"])
            self.send(200, {"count": count, "max_model_len": api.window, "tokens": list(range(count))})
            return
        if path not in ("/v1/chat/completions", "/v1/completions"):
            self.send(404, {"detail": "Not Found"})
            return
        if api.key and self.headers.get("Authorization") != f"Bearer {api.key}":
            self.send(401, _error("Incorrect API key provided", "invalid_request_error", 401))
            return
        with api._lock:
            api.requests.append((path, dict(self.headers), body))
            fault = api.faults.popleft() if api.faults else None
            api._at_once += 1
            api.most_at_once = max(api.most_at_once, api._at_once)
            api._lock.notify_all()
            api._lock.wait_for(lambda: api.most_at_once >= api.together, PATIENCE)
        try:
            time.sleep(api.delay)
            try:
                answer = api.answer(path, body)
            except RefusedError as refused:
                self.send(refused.status, refused.body)
                return
            with suppress(OSError):  # the client may have gone
                (fault or _well)(self, answer)
        finally:
            with api._lock:
                api._at_once -= 1


@contextmanager
def serve(script: Script, **fields: Any) -> Iterator[ChatApi]:
    """Run a server on a free port of 127.0.0.1 until the block ends."""
    api = ChatApi(script, **fields)
    handler = type("Handler", (_ChatHandler,), {"api": api})
    with Server(("127.0.0.1", 0), handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
            for connection in api.connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def silent_once(api: ChatApi, reached: Callable[[], bool]) -> Iterator[None]:
    """From when something is so, no request is answered until the block ends: its client cannot get ahead of a test."""
    script, go_on = api.script, threading.Event()

    def held(body: dict[str, Any]) -> Any:
        if reached():
            go_on.wait(PATIENCE)
        return script(body)

    api.script = held
    try:
        yield
    finally:
        api.script = script
        go_on.set()
