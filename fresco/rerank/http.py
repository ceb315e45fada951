"""``http:URL``: a served ``/rerank`` of vLLM, SGLang, TEI or Infinity, or of Cohere, Jina, Voyage, DashScope.

URL is the whole endpoint; options ride in its fragment, which is never sent:
``http:http://127.0.0.1:8000/v1/rerank#model=NAME&batch=32``. They are:

``format=auto|vllm|sglang|tei|infinity|cohere|jina|voyage|dashscope``
    The wire format. ``auto`` (the default) goes, in this order, by a hosted API's own host name, by what a GET of
    ``/info`` (TEI) and of ``/v1/models`` and ``/models`` (vLLM, SGLang, Infinity) beside the endpoint answers, and by
    the path (``/v2/rerank`` is Cohere's, ``/v1/rerank`` Jina's, ``.../text-rerank`` DashScope's).
    :meth:`HttpReranker.describe` says which of these decided.
``model=NAME``
    Sent with each request. Without it: the one model that the server lists; TEI serves just one and needs no name.
``key=VARIABLE``
    The environment variable with the bearer token (default ``FRESCO_API_KEY``, where it is set).
``batch=N``
    Most documents in one request. Default: what TEI's ``/info`` allows (its own default is 32), 2048 for Infinity, else
    1000.
``concurrency=N``, ``timeout=S``, ``retries=N``
    Requests at a time (4), seconds for one attempt (120), further attempts after a passing failure (5).
``truncate=yes|no``
    vLLM, TEI and Voyage: whether a text that is too long is cut (and loses its timestamp line first) or refused.
    Default: no.
``pointwise=yes|no``
    ``no`` for a listwise model (jina-reranker-v3), whose scores depend on the rest of the pool. Default: yes.

The wire formats themselves are in :mod:`fresco.rerank.wire`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from fresco.clients.endpoint import Endpoint
from fresco.clients.json_api import JsonClient
from fresco.errors import FrescoError
from fresco.io.state import is_finite
from fresco.models.settings import Settings
from fresco.records import Candidates, Kind, Passage, Query, Task
from fresco.rerank.registry import RERANKERS
from fresco.rerank.wire import FORMATS, Options, bad, identify


def _canary_pool() -> Candidates:
    when = datetime(2025, 8, 31, 23, 59, 59, tzinfo=UTC)
    bodies = (
        "Jane Roe has been the head coach since March 2024.",
        "John Doe was the head coach until February 2024.",
        "The stadium was opened in 1931 and holds 20,000 people.",
    )
    passages = tuple(Passage(f"canary-{n}", "Example F.C.", "", body, when) for n, body in enumerate(bodies))
    query = Query("canary", "Who is the head coach of Example F.C.?", when, Task.EK, Kind.IMPLICIT, "Example F.C.")
    return query, passages


#: Questions that have nothing to do with each other, and what answers them: any re-ranker puts each where it belongs.
_UNRELATED = (
    ("Who is the head coach of Example F.C.?", "The head coach of Example F.C. is Jane Roe."),
    ("At what temperature does water boil at sea level?", "At sea level water boils at a temperature of 100 degrees."),
    ("Which river flows through Paris?", "The river that flows through Paris is the Seine."),
)
_NO_QUERY = (
    "its scores have little to do with the query: of {count} questions on unrelated matters, {wrong} did not put their "
    "own answer first; a served LLM re-ranker may be missing its score template (vLLM: --chat-template and "
    "--hf-overrides of the model's card), or the model is no re-ranker"
)
#: Two instructions so unlike that a model which reads them cannot give the same scores to the last bit.
_CONTRAST = ("Judge whether the passage answers the query.", "Prefer whatever speaks of buildings and their size.")


class HttpReranker:
    """A re-ranker behind an HTTP endpoint; the module's text lists formats and options.

    Making one asks the server who it is, so that a wrong address fails before anything is scored.

    Args:
        url: The endpoint with its options, without the leading ``http:`` of the spec. Userinfo in it is sent as basic
            authentication instead of the key and shown nowhere; nor are the values of a query string.
        settings: Length and precision are the server's: nothing of this applies.
        backoff: Seconds before the first further attempt.
        patience: Seconds for one request with all its attempts and pauses.

    Raises:
        FrescoError: bad option, httpx is missing, no server answers, or its format or model cannot be told.
    """

    def __init__(self, url: str, settings: Settings, *, backoff: float = 0.5, patience: float = 600.0) -> None:
        del settings
        url = f"http:{url}" if url.startswith("//") else url  # `--reranker http://...` instead of `http:http://...`
        address, _, fragment = url.partition("#")
        self._options = Options.parse(fragment)
        try:
            self._endpoint = Endpoint.parse(address)
        except FrescoError as error:
            raise bad(str(error)) from None
        if urlsplit(address).path in ("", "/"):
            raise bad(f"{self._endpoint.shown} has no path; give the whole endpoint, as in http://HOST:8000/v1/rerank")
        self._client = JsonClient(
            self._endpoint,
            key_variable=self._options.key or "FRESCO_API_KEY",
            key_required=self._options.key is not None,
            timeout=self._options.timeout,
            retries=self._options.retries,
            backoff=backoff,
            patience=patience,
        )
        try:
            self._server = identify(self._client, self._endpoint, self._options)
        except FrescoError:
            self._client.close()
            raise
        self._format = FORMATS[self._server.format]
        self._instruction_seen = False
        self._misplaced: int | None = None  # of the unrelated questions, those whose answer is not first
        self.name = f"http:{self._endpoint.shown}" + (f"#{fragment}" if fragment else "")
        self.takes_instruction = self._format.takes_instruction
        self.pointwise = self._options.pointwise
        self.pools_per_call = 4 * self._options.concurrency

    @property
    def fingerprint(self) -> str:
        """Address, format, model and what is asked of them; a model that changes behind them shows in the canary."""
        identity = {
            "url": self._endpoint.shown,
            "format": self._server.format,
            "model": self._server.model,
            "revision": self._server.facts.get("model_sha"),
            "takes_instruction": self.takes_instruction,
            "request": {**self._format.constant, **self._server.extra},
        }
        return "http:" + json.dumps(identity, sort_keys=True)

    def describe(self) -> Mapping[str, Any]:
        """What the run's record says of the server, as far as it can be known from outside."""
        if self._format.truncation is None:
            too_long = "unknown: the server may cut them, their timestamp line first"
        else:
            too_long = "cut, their timestamp line first" if self._options.truncate else "refused with an error"
        return {
            "url": self._endpoint.shown,
            "format": self._server.format,
            "format_decided_by": self._server.decided_by,
            "model": self._server.model,
            "request_fields": {**self._format.constant, **self._server.extra},
            "pointwise": self.pointwise,
            "batch": self._server.batch,
            "concurrency": self._options.concurrency,
            "too_long_texts": too_long,
            "server": dict(self._server.facts),
            **({"warnings": [warning]} if (warning := self._warning()) else {}),
        }

    def _warning(self) -> str | None:
        return None if not self._misplaced else _NO_QUERY.format(count=len(_UNRELATED), wrong=self._misplaced)

    def score(self, query: Query, passages: Sequence[Passage], instruction: str | None = None) -> list[float]:
        """Score one pool; see :class:`fresco.rerank.base.Reranker`.

        Raises:
            FrescoError: the server refused, failed for good, or did not answer one finite number for each passage.
        """
        return self.score_pools([(query, passages)], instruction)[0]

    def score_pools(self, pools: Sequence[Candidates], instruction: str | None = None) -> list[list[float]]:
        """Score several pools with ``concurrency`` requests at a time.

        Returns:
            For each pool, in order, its scores in the order of its passages.

        Raises:
            FrescoError: as :meth:`score`; also where the server proves deaf to instructions.
        """
        instruction = instruction if self.takes_instruction else None
        if instruction is not None:
            self._check_instruction()
        return self._score_pools(pools, instruction)

    def _score_pools(self, pools: Sequence[Candidates], instruction: str | None) -> list[list[float]]:
        size = self._server.batch
        for query, passages in pools:
            if not self.pointwise and len(passages) > size:
                raise FrescoError(
                    f"{self.name}: pointwise=no needs a pool in one request, but query {query.id!r} has "
                    f"{len(passages)} passages and a request {size}; raise batch= if the server allows"
                )
        jobs = [
            (number, query, passages[start : start + size])
            for number, (query, passages) in enumerate(pools)
            for start in range(0, len(passages), size)
        ]
        results: list[list[float]] = [[] for _ in pools]
        executor = ThreadPoolExecutor(max_workers=self._options.concurrency)
        try:
            answers = executor.map(lambda job: self._ask(job[1], job[2], instruction), jobs)
            for (number, _, _), scores in zip(jobs, answers, strict=True):
                results[number] += scores
        except KeyboardInterrupt:
            self.close()  # wakes the requests that pause between attempts, so that Ctrl-C ends at once
            raise
        finally:
            executor.shutdown(cancel_futures=True)
        return results

    def canary(self) -> list[float]:
        """Scores of three fixed pairs, without an instruction.

        Stored with the first scores of a fingerprint and compared later, they show that another model, precision or
        template now answers at the same address. A server that batches in bfloat16 moves a logit by about 0.01 from
        call to call: compare with a tolerance.

        Whether scores have to do with the query at all is looked at, too, and told in the record's warnings.
        """
        if self._misplaced is None:
            self._misplaced = self._count_misplaced()
        return self._score_pools([_canary_pool()], None)[0]

    def _count_misplaced(self) -> int:
        """Of the unrelated questions, those whose own answer is not above the others."""
        query, (first, *_) = _canary_pool()
        passages = [
            dataclasses.replace(first, id=f"unrelated-{n}", title="", body=answer)
            for n, (_, answer) in enumerate(_UNRELATED)
        ]
        pools = [(dataclasses.replace(query, content=question), passages) for question, _ in _UNRELATED]
        rows = self._score_pools(pools, None)
        return sum(row[own] <= max(row[:own] + row[own + 1 :]) for own, row in enumerate(rows))

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def _check_instruction(self) -> None:
        """A server whose template has no place for the instruction takes the field and drops it; say so, once."""
        if self._instruction_seen:
            return
        one, other = (self._score_pools([_canary_pool()], text) for text in _CONTRAST)
        if one == other:
            raise FrescoError(
                f"{self._endpoint.shown} drops the instruction: two unlike ones gave the same scores; start vLLM with "
                "a --chat-template that prints {{ instruction }} (SGLang: {{ instruct }}), or leave --instruction away"
            )
        self._instruction_seen = True

    def _ask(self, query: Query, passages: Sequence[Passage], instruction: str | None) -> list[float]:
        texts: dict[str, Any] = {"query": query.text, self._format.texts: [passage.text for passage in passages]}
        payload: dict[str, Any] = {**self._format.constant, **self._server.extra}
        if self._format.counts:
            payload["top_n"] = len(passages)
        if instruction is not None:
            payload[self._format.instruction] = instruction
        payload = {"input": texts, "parameters": payload} if self._format.nested else {**texts, **payload}
        if self._format.names_model and self._server.model is not None:
            payload["model"] = self._server.model
        answer = self._client.post(self._endpoint, payload, f"query {query.id!r}")
        return self._scores(answer, query, passages)

    def _scores(self, answer: Any, query: Query, passages: Sequence[Passage]) -> list[float]:
        def wrong(problem: str) -> FrescoError:
            return FrescoError(f"{self._endpoint.shown} {problem} (query {query.id!r})")

        if self._format.nested:
            answer = answer.get("output") if isinstance(answer, dict) else None
        rows = answer.get(self._format.results) if isinstance(answer, dict) and self._format.results else answer
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise wrong(f"answered JSON that is not of format {self._server.format}; name another with #format=")
        if len(rows) != len(passages):
            raise wrong(f"answered {len(rows)} scores for {len(passages)} passages")
        scores: list[float | None] = [None] * len(passages)
        for row in rows:
            index, score = row.get("index"), row.get(self._format.score)
            if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(passages):
                raise wrong(f"answered {_shown(index)} as an index into {len(passages)} passages")
            if scores[index] is not None:
                raise wrong(f"answered index {index} twice")
            if not is_finite(score):
                raise wrong(
                    f"answered {_shown(score)} as the score of passage {passages[index].id!r}, no finite number"
                )
            scores[index] = float(score)
        return [score for score in scores if score is not None]


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:39] + "…"


@RERANKERS.register(
    "http:URL",
    "a served /rerank: vLLM, SGLang, TEI, Infinity, Cohere, Jina, ...",
    needs="pip install 'fresco-ccs[http]'",
    example="http://HOST:8000/v1/rerank",
    instruction="vLLM, SGLang, DashScope",
)
def _open(url: str, settings: Settings) -> HttpReranker:
    return HttpReranker(url, settings)
