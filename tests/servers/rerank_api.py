"""Re-ranking APIs that cannot run here, over real sockets: those of :mod:`fresco.rerank.wire`.

Each checks requests and words its errors as the real one does, as far as that is documented or in its source; the model
behind it is a checksum. Faults are queued: each request to score takes the next one.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import urlsplit

from tests.servers.threaded import Server
from tests.waiting import PATIENCE

Fault = Callable[["_Handler", Any], None]


def logit(query: str, text: str, instruction: str = "") -> float:
    """What the servers' model gives a pair: a number from -8 to 8 that depends on every byte."""
    return zlib.crc32(f"{instruction}\0{query}\0{text}".encode("utf-8", "surrogatepass")) % 16001 / 1000 - 8


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


class RefusedError(Exception):
    """A request that the API does not accept."""

    def __init__(self, status: int, body: Any) -> None:
        self.status, self.body = status, body


@dataclass
class Api:
    """One running server.

    Attributes:
        dialect: ``cohere``, ``jina``, ``voyage``, ``dashscope``, ``tei``, ``infinity``, ``sglang`` or ``vllm``.
        url: Of the endpoint.
        key: Bearer token it wants; empty for none.
        faults: Taken one by each request to score.
        requests: (method, path, headers, parsed body) of everything asked.
        max_batch: Documents that a request may have.
        max_characters: Longest text (TEI; stands for its limit in tokens).
        models: What it lists.
        deaf: vLLM started without a template: the instruction is accepted and dropped.
        listing_status: Answer to GETs of the models where not 200.
        most_at_once: Requests that were answered at the same time.
        together: No request is answered before so many have been at work at once.
    """

    dialect: str
    url: str = ""
    key: str = ""
    faults: deque[Fault] = field(default_factory=deque)
    requests: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)
    max_batch: int = 1000
    max_characters: int = 10**9
    models: tuple[str, ...] = ("tiny/reranker",)
    deaf: bool = False
    salt: str = ""
    listing_status: int = 200
    most_at_once: int = 0
    together: int = 0
    connections: list[socket.socket] = field(default_factory=list)
    _at_once: int = 0
    _lock: threading.Condition = field(default_factory=threading.Condition)

    def posted(self) -> list[Any]:
        return [body for method, _, _, body in self.requests if method == "POST"]

    # -- what the dialects check and answer -------------------------------------------------------------------------

    def get(self, path: str) -> tuple[int, Any]:
        if self.dialect == "tei" and path == "/info":
            return 200, {
                "model_id": self.models[0],
                "model_sha": "5ebcf9b",
                "model_dtype": "float32",
                "model_type": {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
                "max_concurrent_requests": 512,
                "max_input_length": 512,
                "max_batch_tokens": 16384,
                "max_client_batch_size": self.max_batch,
                "auto_truncate": True,
                "version": "1.8.0",
            }
        if path == ("/models" if self.dialect == "infinity" else "/v1/models") and self.dialect in (
            *("infinity", "vllm", "sglang"),
        ):
            if self.listing_status != 200:
                return self.listing_status, {"error": "Unauthorized"}
            row: dict[str, Any] = {"object": "model", "owned_by": self.dialect, "created": 1}
            row |= {"capabilities": ["rerank"]} if self.dialect == "infinity" else {"max_model_len": 1024}
            return 200, {"object": "list", "data": [{"id": model, **row} for model in self.models]}
        if self.dialect == "vllm" and path == "/version":
            return 200, {"version": "0.31.0"}
        if self.dialect == "vllm" and path == "/classify":
            return 405, {"detail": "Method Not Allowed"}
        return 404, {"detail": "Not Found"}

    def rank(self, asked: Any) -> Any:
        """The answer to a request, or the error that the dialect has for it."""
        return getattr(self, f"_{self.dialect}")(asked)

    def _sorted(
        self, query: str, texts: list[str], name: str, raw: bool, instruction: str = ""
    ) -> list[dict[str, Any]]:
        rows = []
        for index, text in enumerate(texts):
            value = logit(self.salt + query, text, instruction)
            rows.append({"index": index, name: value if raw else sigmoid(value)})
        return sorted(rows, key=lambda row: -row[name])

    def _tei(self, asked: Any) -> Any:
        for name in ("query", "texts"):
            if name not in asked:
                words = f"Failed to deserialize the JSON body into the target type: missing field `{name}`"
                raise RefusedError(422, words.encode())
        if not asked["texts"]:
            raise RefusedError(413, {"error": "`texts` cannot be empty", "error_type": "validation"})
        if len(asked["texts"]) > self.max_batch:
            words = f"batch size {len(asked['texts'])} > maximum allowed batch size {self.max_batch}"
            raise RefusedError(413, {"error": words, "error_type": "validation"})
        longest = max(map(len, asked["texts"]))
        if longest > self.max_characters and not asked.get("truncate"):
            words = f"Input validation error: `inputs` must have less than 512 tokens. Given: {longest}"
            raise RefusedError(413, {"error": words, "error_type": "validation"})
        texts = [text[: self.max_characters] for text in asked["texts"]]
        return self._sorted(asked["query"], texts, "score", bool(asked.get("raw_scores")))

    def _infinity(self, asked: Any) -> Any:
        _fastapi(asked, {"query": str, "documents": list})
        if not 1 <= len(asked["documents"]) <= 2048:
            raise RefusedError(
                422, {"detail": [{"loc": ["body", "documents"], "msg": "List should have at most 2048 items"}]}
            )
        if asked.get("model", self.models[0]) not in self.models:
            words = f"Invalid model: Engine for model name {asked['model']} not found."
            raise RefusedError(400, {"error": {"message": words, "type": None, "param": None, "code": 400}})
        rows = self._sorted(asked["query"], asked["documents"], "relevance_score", bool(asked.get("raw_scores")))
        return {"object": "rerank", "results": rows, "model": self.models[0], "usage": {"prompt_tokens": 9}}

    def _cohere(self, asked: Any) -> Any:
        if not asked.get("model"):
            raise RefusedError(400, {"message": "a model parameter is required for this endpoint."})
        if asked["model"] not in self.models:
            raise RefusedError(
                404, {"message": f"model '{asked['model']}' not found, make sure the correct model ID was used"}
            )
        if not asked.get("query", "").strip():
            raise RefusedError(400, {"message": "invalid request: query must not be empty or be only whitespace"})
        if not asked.get("documents"):
            raise RefusedError(400, {"message": "invalid request: list of documents must not be empty"})
        if len(asked["documents"]) > self.max_batch:
            raise RefusedError(400, {"message": f"invalid request: list of documents must not pass {self.max_batch}"})
        unknown = set(asked) - {"model", "query", "documents", "top_n", "max_tokens_per_doc", "priority"}
        if unknown:
            raise RefusedError(
                422, {"message": f"unknown field: parameter {sorted(unknown)[0]!r} is not a valid field"}
            )
        rows = self._sorted(asked["query"], asked["documents"], "relevance_score", raw=False)
        rows = rows[: asked.get("top_n", len(rows))]
        return {"id": "07734bd2", "results": rows, "meta": {"api_version": {"version": "2"}}}

    def _jina(self, asked: Any) -> Any:
        _fastapi(asked, {"model": str, "query": str, "documents": list})
        if asked["model"] not in self.models:
            raise RefusedError(422, {"detail": f"[{asked['model']}] is not a valid model name"})
        rows = self._sorted(asked["query"], asked["documents"], "relevance_score", raw=False)
        if asked.get("return_documents", True):
            rows = [{**row, "document": {"text": asked["documents"][row["index"]]}} for row in rows]
        return {"model": asked["model"], "results": rows[: asked.get("top_n", len(rows))], "usage": {"total_tokens": 9}}

    def _vllm(self, asked: Any) -> Any:
        _fastapi(asked, {"query": str, "documents": list})
        if asked.get("model", self.models[0]) not in self.models:
            words = f"The model `{asked['model']}` does not exist."
            raise RefusedError(
                404, {"error": {"message": words, "type": "NotFoundError", "param": "model", "code": 404}}
            )
        raw = asked.get("use_activation") is False
        instruction = "" if self.deaf else asked.get("instruction") or ""
        rows = self._sorted(asked["query"], asked["documents"], "relevance_score", raw, instruction)
        rows = [{**row, "document": {"text": asked["documents"][row["index"]]}} for row in rows]
        return {"id": "score-1", "model": self.models[0], "results": rows, "usage": {"total_tokens": 9}}

    def _sglang(self, asked: Any) -> Any:
        _fastapi(asked, {"query": str, "documents": list})
        instruction = "" if self.deaf else asked.get("instruct") or ""
        rows = self._sorted(asked["query"], asked["documents"], "score", raw=True, instruction=instruction)
        return [{**row, "document": None, "meta_info": None} for row in rows]

    def _voyage(self, asked: Any) -> Any:
        for name in ("query", "documents", "model"):
            if not asked.get(name):
                raise RefusedError(400, {"detail": f"The request body is missing a required argument: {name}."})
        unknown = set(asked) - {"query", "documents", "model", "top_k", "return_documents", "truncation"}
        if unknown:
            raise RefusedError(400, {"detail": f"Argument '{sorted(unknown)[0]}' is not supported by our API"})
        rows = self._sorted(asked["query"], asked["documents"], "relevance_score", raw=False)
        return {"object": "list", "data": rows, "model": asked["model"], "usage": {"total_tokens": 9}}

    def _dashscope(self, asked: Any) -> Any:
        given, options = asked.get("input"), asked.get("parameters") or {}
        if not isinstance(given, dict) or "query" not in given:
            raise RefusedError(400, {"code": "InvalidParameter", "message": "Field required: input.query"})
        if asked.get("model") not in self.models:
            raise RefusedError(400, {"code": "ModelNotFound", "message": "Model can not be found."})
        instruction = "" if self.deaf else options.get("instruct") or ""
        rows = self._sorted(given["query"], given["documents"], "relevance_score", False, instruction)
        rows = rows[: options.get("top_n", len(rows))]
        return {"output": {"results": rows}, "usage": {"total_tokens": 9}, "request_id": "b042e72d"}

    @property
    def unauthorized(self) -> Any:
        """How it words a missing or wrong key."""
        return {
            "cohere": {"message": "invalid api token"},
            "jina": {"detail": "Unauthorized"},
            "tei": {"error": "Unauthorized"},
        }.get(self.dialect, {"error": "Unauthorized"})


def _fastapi(asked: Any, fields: dict[str, type]) -> None:
    for name, kind in fields.items():
        if name not in asked:
            raise RefusedError(422, {"detail": [{"type": "missing", "loc": ["body", name], "msg": "Field required"}]})
        if not isinstance(asked[name], kind):
            raise RefusedError(
                422, {"detail": [{"loc": ["body", name], "msg": f"Input should be a valid {kind.__name__}"}]}
            )


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keep-alive, as the real servers do
    disable_nagle_algorithm = True  # head and body go out as two writes; Nagle would hold the second for 40 ms
    api: Api

    def setup(self) -> None:
        super().setup()
        self.api.connections.append(self.connection)

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        self.api.requests.append(("GET", path, dict(self.headers), None))
        status, body = self.api.get(path)
        self.send(status, body)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        api = self.api
        api.requests.append(("POST", self.path, dict(self.headers), body))
        if urlsplit(self.path).path != urlsplit(api.url).path:
            self.send(404, {"detail": "Not Found"})
            return
        if api.key and self.headers.get("Authorization") != f"Bearer {api.key}":
            self.send(401, api.unauthorized)
            return
        with api._lock:
            fault = api.faults.popleft() if api.faults else None
            api._at_once += 1
            api.most_at_once = max(api.most_at_once, api._at_once)
            api._lock.notify_all()
            api._lock.wait_for(lambda: api.most_at_once >= api.together, PATIENCE)
        try:
            try:
                answer = api.rank(body)
            except RefusedError as refused:
                self.send(refused.status, refused.body)
                return
            (fault or _well)(self, answer)
        finally:
            with api._lock:
                api._at_once -= 1

    def send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        """Quiet."""


def _well(handler: _Handler, answer: Any) -> None:
    handler.send(200, answer)


def status(code: int, body: Any = b"", headers: dict[str, str] | None = None) -> Fault:
    """Answer with this status instead."""
    return lambda handler, _: handler.send(code, body, headers)


def edited(change: Callable[[list[dict[str, Any]]], Any]) -> Fault:
    """Answer with other rows."""

    def fault(handler: _Handler, answer: Any) -> None:
        if isinstance(answer, list):
            handler.send(200, change(answer))
        elif "output" in answer:
            handler.send(200, {**answer, "output": {"results": change(answer["output"]["results"])}})
        else:
            name = "data" if "data" in answer else "results"
            handler.send(200, {**answer, name: change(answer[name])})

    return fault


def half_of_the_json(handler: _Handler, answer: Any) -> None:
    """A complete HTTP answer whose JSON is not."""
    data = json.dumps(answer).encode()
    handler.send(200, data[: len(data) // 2])


def reset(handler: _Handler, answer: Any) -> None:
    """Half of the body, then a TCP reset."""
    data = json.dumps(answer).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data[: len(data) // 2])
    handler.wfile.flush()
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.shutdown(socket.SHUT_RD)
    handler.close_connection = True


def slow(seconds: float) -> Fault:
    """The right answer, late."""

    def fault(handler: _Handler, answer: Any) -> None:
        time.sleep(seconds)
        try:
            handler.send(200, answer)
        except OSError:
            handler.close_connection = True

    return fault


def trickle(seconds: float) -> Fault:
    """The right answer, a byte at a time, so that no single read is late."""

    def fault(handler: _Handler, answer: Any) -> None:
        data = json.dumps(answer).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.close_connection = True
        try:
            for byte in data:
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                time.sleep(seconds / len(data))
        except OSError:
            return

    return fault


def endless(handler: _Handler, answer: Any) -> None:
    """A body that does not stop."""
    del answer
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.close_connection = True
    block = b" " * 65536
    try:
        for _ in range(1024):
            handler.wfile.write(b"%x\r\n" % len(block) + block + b"\r\n")
    except OSError:
        return


_PATHS = {
    "cohere": "/v2/rerank",
    "jina": "/v1/rerank",
    "tei": "/rerank",
    "infinity": "/rerank",
    "vllm": "/v1/rerank",
    "sglang": "/v1/rerank",
    "voyage": "/v1/rerank",
    "dashscope": "/api/v1/services/rerank/text-rerank/text-rerank",
}


@contextmanager
def serve(dialect: str, *, path: str | None = None, port: int = 0, **fields: Any) -> Iterator[Api]:
    """Run an API on a free port of 127.0.0.1 until the block ends."""
    api = Api(dialect, **fields)
    handler = type("Handler", (_Handler,), {"api": api})
    with Server(("127.0.0.1", port), handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}{path or _PATHS[dialect]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
            for connection in api.connections:  # kept-alive ones would go on being served
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
