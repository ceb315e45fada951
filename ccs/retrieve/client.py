"""A client of Search-R1's retriever contract, whoever serves it.

``POST /retrieve {"queries": [...], "topk": 3, "return_scores": true}`` answers
``{"result": [[{"document": {"id", "contents"}, "score"}]]}``, or the documents alone where a server gives no scores.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ccs.agent.trajectory import Hit
from fresco.clients.endpoint import Endpoint
from fresco.clients.json_api import JsonClient
from fresco.errors import FrescoError

_KEY = "CCS_RETRIEVER_KEY"
#: Passages wanted of one request: servers limit what they take, and the answer must stay below JsonClient's 8 MiB.
_PASSAGES = 512
_CONTENTS = ("contents", "content")


class RetrieverClient:
    """Asks one server; may be shared by threads.

    Args:
        url: ``http://HOST:PORT``, or with the path where it is not ``/retrieve``.
        timeout: Seconds for one attempt.
        retries: Further attempts after a passing failure (429, 5xx, a broken connection).
        patience: Seconds for one search with all its attempts and pauses.

    Raises:
        FrescoError: the URL cannot be read, or httpx is missing.
    """

    def __init__(self, url: str, *, timeout: float = 60.0, retries: int = 3, patience: float = 300.0) -> None:
        endpoint = Endpoint.parse(url)
        self._endpoint = endpoint if urlsplit(endpoint.url).path.strip("/") else endpoint.beside("/retrieve")
        self._client = JsonClient(
            self._endpoint, key_variable=_KEY, timeout=timeout, retries=retries, patience=patience
        )

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        """See :class:`ccs.retrieve.base.Retriever`."""
        size = max(1, _PASSAGES // k)
        parts = [self._ask(queries[start : start + size], k) for start in range(0, len(queries), size)]
        return [hits for part in parts for hits in part]

    def close(self) -> None:
        """End the connections."""
        self._client.close()

    def _ask(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        payload = {"queries": list(queries), "topk": k, "return_scores": True}
        answer = self._client.post(self._endpoint, payload, "retrieve")
        result = answer.get("result") if isinstance(answer, Mapping) else None
        if not isinstance(result, list) or not all(isinstance(found, list) for found in result):
            raise FrescoError(f"{self._endpoint.shown} answered no list of lists under `result`; is it a retriever?")
        if len(result) != len(queries):
            raise FrescoError(f"{self._endpoint.shown} answered {len(result)} lists for {len(queries)} queries")
        return [[self._hit(item) for item in found[:k]] for found in result]

    def _hit(self, item: Any) -> Hit:
        document = item.get("document", item) if isinstance(item, Mapping) else None
        if isinstance(document, Mapping):
            # Search-R1's servers of web search say `content`.
            contents = next((document[field] for field in _CONTENTS if document.get(field) is not None), None)
            if contents is None and isinstance(document.get("text"), str):
                title = document.get("title")
                contents = f'"{title}"\n{document["text"]}' if title else document["text"]
            if isinstance(contents, str):
                name = document.get("id")
                # Search-R1's servers of web search give no ids; the same text must still be the same passage.
                own = (
                    hashlib.sha256(contents.encode("utf-8", "replace")).hexdigest()[:16] if name is None else str(name)
                )
                return Hit(own, contents, _score(item))
        raise FrescoError(
            f"{self._endpoint.shown} answered a passage without contents (or content, or text): {repr(item)[:80]}"
        )


def _score(item: Mapping[str, Any]) -> float | None:
    score = item.get("score")
    if isinstance(score, int) and not isinstance(score, bool) and abs(score) < 1 << 53:
        return float(score)
    # Servers may leave it out; NaN is no JSON that a trajectory could hold.
    return score if isinstance(score, float) and math.isfinite(score) else None
