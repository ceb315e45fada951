"""A real SPARQL 1.1 engine (pyoxigraph) behind HTTP, with statements in Wikidata's shape."""

from __future__ import annotations

import json
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import pyoxigraph

from tests.servers.threaded import Server

_PREFIXES = """
@prefix wd: <http://www.wikidata.org/entity/> .
@prefix wds: <http://www.wikidata.org/entity/statement/> .
@prefix wdv: <http://www.wikidata.org/value/> .
@prefix wdt: <http://www.wikidata.org/prop/direct/> .
@prefix p: <http://www.wikidata.org/prop/> .
@prefix ps: <http://www.wikidata.org/prop/statement/> .
@prefix pq: <http://www.wikidata.org/prop/qualifier/> .
@prefix pqv: <http://www.wikidata.org/prop/qualifier/value/> .
@prefix wikibase: <http://wikiba.se/ontology#> .
@prefix schema: <http://schema.org/> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
@prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
"""


@dataclass
class Statements:
    """Triples in the making."""

    lines: list[str] = field(default_factory=list)
    count: int = 0

    def subject(self, item: str, title: str) -> None:
        """An item with an English article."""
        self.lines.append(
            f"<https://en.wikipedia.org/wiki/{urllib.parse.quote(title)}> schema:about wd:{item} ; "
            f'schema:isPartOf <https://en.wikipedia.org/> ; schema:name "{title}"@en .'
        )

    def label(self, item: str, label: str, *aliases: str) -> None:
        """An English label with aliases, and a German one that must not be taken."""
        self.lines.append(f'wd:{item} rdfs:label "{label}"@en , "{label} (de)"@de .')
        self.lines += [f'wd:{item} skos:altLabel "{alias}"@en .' for alias in aliases]

    def redirect(self, item: str, target: str) -> None:
        """A merged item."""
        self.lines.append(f"wd:{item} owl:sameAs wd:{target} .")

    def statement(self, item: str, prop: str, value: str, *, rank: str = "NormalRank", **times: str) -> str:
        """A statement; times are ``P580="2020-01-01/11"`` (with a precision) or a raw term."""
        self.count += 1
        name = f"wds:{item}-{self.count:04d}"
        self.lines.append(f"wd:{item} p:{prop} {name} . {name} ps:{prop} {value} ; wikibase:rank wikibase:{rank} .")
        for qualifier, text in times.items():
            day, _, precision = text.partition("/")
            if not precision:
                self.lines.append(f"{name} pq:{qualifier} {text} .")
                continue
            moment = f'"{day}T00:00:00Z"^^xsd:dateTime'
            node = f"wdv:{self.count}{qualifier}"
            self.lines.append(f"{name} pq:{qualifier} {moment} ; pqv:{qualifier} {node} .")
            self.lines.append(f"{node} wikibase:timeValue {moment} ; wikibase:timePrecision {precision} .")
        return name

    def turtle(self) -> bytes:
        """The whole as Turtle."""
        return (_PREFIXES + "\n".join(self.lines)).encode()


@dataclass
class Service:
    """A running service.

    Attributes:
        url: Its address.
        queries: What was asked.
        agents: The User-Agent of each question.
        faults: Answers to give before the real ones: (status, headers, body).
        most_rows: An answer of more rows is not given: the query is stopped as at the service's limit of time.
        stopped: What is said then: (status, body); of status 200, behind the beginning of the answer.
        before: Called before a question is answered.
    """

    url: str
    queries: list[str] = field(default_factory=list)
    agents: list[str] = field(default_factory=list)
    faults: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    most_rows: int | None = None
    stopped: tuple[int, bytes] = (500, b"java.util.concurrent.TimeoutException")
    before: Callable[[str], None] = lambda _: None


def _rows(answer: bytes) -> int:
    return len(json.loads(answer)["results"]["bindings"])


@contextmanager
def serve(turtle: bytes) -> Iterator[Service]:
    """Run a service on 127.0.0.1."""
    store = pyoxigraph.Store()
    store.load(turtle, format=pyoxigraph.RdfFormat.TURTLE)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            service.agents.append(self.headers["User-Agent"])
            if service.faults:
                self._answer(*service.faults.pop(0))
                return
            query = urllib.parse.parse_qs(body)["query"][0]
            service.queries.append(query)
            service.before(query)
            try:
                results: Any = store.query(query)
            except SyntaxError as error:
                self._answer(400, {}, str(error).encode())
                return
            answer = results.serialize(format=pyoxigraph.QueryResultsFormat.JSON)
            if service.most_rows is not None and _rows(answer) > service.most_rows:
                status, body = service.stopped
                self._answer(status, {}, answer[: len(answer) // 2] + body if status == 200 else body)
                return
            self._answer(200, {"Content-Type": "application/sparql-results+json"}, answer)

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = Server(("127.0.0.1", 0), Handler)
    service = Service(f"http://127.0.0.1:{server.server_port}/query")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
