"""One HTTP connection whose answers arrive whole, within a time limit, or not at all.

The timeout of ``requests`` starts anew with every byte, so a server that drips keeps a program for hours. Here the
whole body is read under one limit.
"""

from __future__ import annotations

import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter

_CHUNK = 1 << 16
#: Bytes of one decoded answer; MediaWiki's own limit is 8 MiB ($wgAPIMaxResultSize). Guards against gzip bombs.
_LARGEST_ANSWER = 128 << 20


class _WholeAnswers(HTTPAdapter):
    """Reads every body at once, under a time limit."""

    def __init__(self, limit: float) -> None:
        super().__init__(pool_connections=1, pool_maxsize=1, pool_block=True)
        self._limit = limit

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        """Send a request and read its answer.

        Raises:
            requests.exceptions.ReadTimeout: the answer was not complete in time.
            requests.exceptions.ConnectionError: the connection broke within the answer.
        """
        give_up = time.monotonic() + self._limit
        response = super().send(request, *args, **options)
        try:
            # requests keeps a body that was read here.
            response._content = _whole(response, give_up, self._limit)
        except requests.exceptions.RequestException:
            response.close()
            raise
        except Exception as error:  # urllib3's and http.client's own, which requests would have translated
            response.close()
            raise requests.exceptions.ConnectionError(f"connection broke within the answer: {error}") from error
        response.raw.release_conn()
        return response


def _whole(response: requests.Response, give_up: float, limit: float) -> bytes:
    parts: list[bytes] = []
    size = 0
    # read1 returns what one packet brought; every other way to read waits for a full chunk.
    while part := response.raw.read1(_CHUNK, decode_content=True):
        parts.append(part)
        size += len(part)
        if time.monotonic() > give_up:
            raise requests.exceptions.ReadTimeout(f"answer not complete within {limit:g} s")
        if size > _LARGEST_ANSWER:
            raise requests.exceptions.ConnectionError(f"answer larger than {_LARGEST_ANSWER} bytes")
    return b"".join(parts)


def polite_session(user_agent: str, limit: float) -> requests.Session:
    """A session with one connection that is kept open.

    Args:
        user_agent: Who asks, with a contact.
        limit: Seconds within which a whole answer must have arrived.
    """
    session = requests.Session()
    session.headers["User-Agent"] = user_agent
    for scheme in ("https://", "http://"):
        session.mount(scheme, _WholeAnswers(limit))
    return session
