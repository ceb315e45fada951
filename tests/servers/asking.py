"""A query with its passages, a re-ranker for a test server, and what to expect of its errors."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from fresco.errors import FrescoError
from fresco.models.settings import Settings
from fresco.records import Kind, Passage, Query, Task
from fresco.rerank.http import HttpReranker
from tests.servers.rerank_api import Api

WHEN = datetime(2025, 8, 31, 23, 59, 59, tzinfo=UTC)
QUERY = Query("q1", "Who leads the club?", WHEN, Task.EK, Kind.IMPLICIT, "The club")
PASSAGES = tuple(Passage(f"p{n}", "The club", "", f"It was led by number {n}.", WHEN) for n in range(7))


def connect(api: Api, options: str = "", **kwargs: Any) -> HttpReranker:
    """A re-ranker for the fake, with pauses short enough for tests."""
    needs_model = api.dialect in ("cohere", "jina", "voyage", "dashscope")
    if api.dialect == "voyage" and "format=" not in options:  # told by its host alone
        options = f"format=voyage&{options}"
    parts = [*(["model=tiny/reranker"] if needs_model and "model=" not in options else []), *options.split("&")]
    fragment = "&".join(part for part in parts if part)
    return HttpReranker(f"{api.url}#{fragment}" if fragment else api.url, Settings(), **{"backoff": 0.01, **kwargs})


def failure(call: Callable[[], object]) -> str:
    """The one line that a call fails with."""
    with pytest.raises(FrescoError) as caught:
        call()
    message = str(caught.value)
    assert message
    assert message.isprintable(), message
    assert len(message) < 700
    return message
