"""A retriever over real sockets, scripted: Search-R1's ``/retrieve`` contract as its own server speaks it.

Faults are those of :mod:`tests.servers.rerank_api`; each request takes the next one.
"""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.servers.rerank_api import Fault, _Handler, _well
from tests.servers.threaded import Server

#: From a query and the number of passages wanted to their contents, best first.
Finds = Callable[[str, int], list[str]]


@dataclass
class RetrieveApi:
    """One running server.

    Attributes:
        finds: What it answers.
        url: Of ``/retrieve``.
        faults: Taken one by each request.
        fault_on: Gives a fault for a request, whichever it is in order.
        requests: Parsed bodies of everything posted.
    """

    finds: Finds
    url: str = ""
    faults: deque[Fault] = field(default_factory=deque)
    fault_on: Callable[[dict[str, Any]], Fault | None] | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        return {
            "result": [
                [
                    {"document": {"id": f"{query}/{rank}", "contents": contents}, "score": 1.0 / rank}
                    for rank, contents in enumerate(self.finds(query, body["topk"]), 1)
                ]
                for query in body["queries"]
            ]
        }


class _RetrieveHandler(_Handler):
    api: RetrieveApi  # type: ignore[assignment]

    def do_GET(self) -> None:
        self.send(404, {"detail": "Not Found"})

    def do_POST(self) -> None:
        api, body = self.api, json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if urlsplit(self.path).path != "/retrieve":
            self.send(404, {"detail": "Not Found"})
            return
        with api._lock:
            api.requests.append(body)
            fault = api.faults.popleft() if api.faults else api.fault_on(body) if api.fault_on else None
        with suppress(OSError):  # the client may have gone
            (fault or _well)(self, api.answer(body))


@contextmanager
def serve(finds: Finds, **fields: Any) -> Iterator[RetrieveApi]:
    """Run a server on a free port of 127.0.0.1 until the block ends."""
    api = RetrieveApi(finds, **fields)
    handler = type("Handler", (_RetrieveHandler,), {"api": api})
    with Server(("127.0.0.1", 0), handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}/retrieve"
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
