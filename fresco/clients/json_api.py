"""One JSON request to a server: retries, limits, secrets kept, one clear line on every failure.

Nothing here knows what is asked for; :mod:`fresco.rerank.http` does. Requests must be safe to repeat.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import threading
import time
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from fresco.clients.endpoint import Endpoint
from fresco.errors import FrescoError

if TYPE_CHECKING:
    import httpx

    from fresco.clients.connections import AsyncConnections

LONGEST_CONNECT = 10.0  # seconds
_LONGEST_PAUSE = 30.0  # seconds between attempts where the server names none
_FLOOR_OF_ANSWER = 8 << 20  # bytes any answer may have; a server that echoes its input gets a multiple of the request
_LONGEST_MESSAGE = 200  # characters of a server's own words in an error


@dataclass(frozen=True)
class Answer:
    """What a server said: status, headers (names in lower case) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is none.
        """
        try:
            return json.loads(self.body)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


class RefusedError(FrescoError):
    """A server that works has refused a request; asking again changes nothing.

    Attributes:
        status: Of its answer.
    """

    def __init__(self, line: str, status: int) -> None:
        super().__init__(line)
        self.status = status


class TooMuchError(Exception):
    """An answer is longer than any of its kind."""


class JsonClient:
    """Sends requests to one server.

    Each thread that asks has a connection: bound the requests in flight by the threads.

    Connection failures, timeouts, 429 and 5xx are tried again after pauses that double from ``backoff`` to 30 s and
    are never shorter than the server's Retry-After (no jitter: the same faults give the same run). A server that never
    answered yet is not waited for: its address is more likely wrong. Redirects are not followed: the key would go
    along.

    Args:
        endpoint: The server's address; its userinfo becomes basic authentication.
        key_variable: Environment variable that holds the bearer token.
        key_required: Whether the variable must be set.
        timeout: Seconds for one attempt.
        retries: Further attempts after the first.
        backoff: Seconds before the first of them.
        patience: Seconds for one request, all attempts and pauses together; no pause begins that would pass it.

    Raises:
        FrescoError: httpx is missing, or the key cannot be sent.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        key_variable: str,
        key_required: bool = False,
        timeout: float = 120.0,
        retries: int = 5,
        backoff: float = 0.5,
        patience: float = 600.0,
    ) -> None:
        try:
            import httpx
        except ImportError as error:
            raise FrescoError("asking a server needs httpx: pip install 'fresco-ccs[http]'") from error
        key = os.environ.get(key_variable, "").strip()
        if key_required and not key:
            # Not named: a key may have been put where its variable belongs.
            raise FrescoError("the environment variable that key= names is not set; export it with the key")
        if not (key.isascii() and key.isprintable()):
            raise FrescoError(f"the key in {key_variable} holds characters that no HTTP header can carry")
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
        if key and not endpoint.userinfo:
            headers["Authorization"] = f"Bearer {key}"
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout, connect=min(timeout, LONGEST_CONNECT)),
            # The callers' threads are the limit: waiting for a place in a pool would count as a slow server.
            limits=httpx.Limits(),
            headers=headers,
            auth=endpoint.userinfo,
            follow_redirects=False,
        )
        from fresco.clients.deadline import bind

        self._exchange = bind(self._client)
        self._home = endpoint
        self._secrets = sorted({*endpoint.secrets, *([key] if key else [])}, key=len, reverse=True)
        self._key_hint = f"set the key in {key_variable}" if not key else f"is the key in {key_variable} right?"
        self._timeout, self._retries, self._backoff, self._patience = timeout, retries, backoff, patience
        self._reached = False
        self._stopped = threading.Event()
        self._connections: AsyncConnections | None = None

    def get(self, endpoint: Endpoint) -> Answer:
        """Whatever the server answers to a GET, errors included.

        Raises:
            FrescoError: no server answers, or it stays unable to.
        """
        return self._send("GET", endpoint, None, "")

    def post(self, endpoint: Endpoint, payload: Mapping[str, Any], what: str = "") -> Any:
        """The parsed JSON that the server answers with status 200.

        Args:
            endpoint: Where to.
            payload: Sent as JSON.
            what: Added to errors in brackets: what the request was for.

        Raises:
            RefusedError: an answer with another status that trying again does not change.
            FrescoError: every other outcome.
        """
        return self._parsed(endpoint, self._send("POST", endpoint, _body(payload), what), what)

    async def post_async(self, endpoint: Endpoint, payload: Mapping[str, Any], what: str = "") -> Any:
        """:meth:`post` within :meth:`connected`, for many requests in flight in one thread."""
        return self._parsed(endpoint, await self._send_async(endpoint, _body(payload), what), what)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Keep connections for :meth:`post_async` in the running event loop until the block ends."""
        from fresco.clients.connections import AsyncConnections

        assert self._connections is None, "this client is in use by another event loop"
        self._connections = AsyncConnections(self._home.url, dict(self._client.headers), self._home.userinfo)
        try:
            yield
        finally:
            await self._connections.close()
            self._connections = None

    def _parsed(self, endpoint: Endpoint, answer: Answer, what: str) -> Any:
        if answer.status != HTTPStatus.OK:
            raise RefusedError(self._line(endpoint, self._refusal(answer), what), answer.status)
        try:
            return answer.json()
        except ValueError:
            raise FrescoError(self._line(endpoint, f"answered no valid JSON: {self._words(answer)}", what)) from None

    def close(self) -> None:
        """End the connections; a request that waits for its next attempt gives up."""
        self._stopped.set()
        self._client.close()

    def hide(self, text: str) -> str:
        """Server text made fit to print: secrets out, one line, printable, short."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return text if len(text) <= _LONGEST_MESSAGE else text[: _LONGEST_MESSAGE - 1] + "…"

    def _send(self, method: str, endpoint: Endpoint, body: bytes | None, what: str) -> Answer:
        import httpx

        attempts = self._attempts(endpoint, what)
        pause = next(attempts)
        while True:
            outcome: Answer | httpx.RequestError | None = None
            if pause is None or not self._stopped.wait(pause):
                try:
                    outcome = self._attempt(method, endpoint, body, what)
                except httpx.RequestError as error:
                    outcome = error
            try:
                pause = attempts.send(outcome)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return] # what _attempts returns

    async def _send_async(self, endpoint: Endpoint, body: bytes, what: str) -> Answer:
        import httpx

        assert self._connections is not None, "asked outside of `connected`"
        attempts = self._attempts(endpoint, what)
        pause = next(attempts)
        limit = _FLOOR_OF_ANSWER + 8 * len(body)
        while True:
            if pause is not None:
                await asyncio.sleep(pause)
            try:
                status, headers, content = await self._connections.post(endpoint.url, body, self._timeout, limit)
                outcome: Answer | httpx.RequestError = Answer(status, headers, content)
            except TooMuchError:
                raise FrescoError(self._line(endpoint, _too_much(limit), what)) from None
            except httpx.RequestError as error:
                outcome = error
            if isinstance(outcome, Answer) and is_packed(outcome.headers):
                raise FrescoError(self._line(endpoint, self._packed_line(outcome.headers), what))
            try:
                pause = attempts.send(outcome)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]

    def _attempts(
        self, endpoint: Endpoint, what: str
    ) -> Generator[float | None, Answer | httpx.RequestError | None, Answer]:
        """What is decided between attempts, for whoever makes them and waits, in a thread or in an event loop.

        Yields:
            Seconds of pause before the next attempt; None before the first.

        Returns:
            The answer that trying again does not change. What came of an attempt is sent in; None gives up.
        """
        import httpx

        started = time.monotonic()
        wait: float | None = None
        failure = ""
        for attempt in itertools.count(1):
            outcome = yield wait
            pause = min(self._backoff * 2 ** (attempt - 1), _LONGEST_PAUSE)
            if outcome is None:
                raise FrescoError(f"{failure}; given up{_bracketed(what)}") from None
            if isinstance(outcome, httpx.ConnectError | httpx.ConnectTimeout):
                failure = f"no server answers at {self._home.shown} ({self.hide(str(outcome)) or 'timed out'})"
                if not self._reached:
                    raise FrescoError(f"{failure}; start it or mend the URL") from None
                failure = f"{failure} any more; is it still running?"
            elif isinstance(outcome, httpx.TimeoutException):
                failure = f"{endpoint.shown}: no answer within {self._timeout:g} s; raise the timeout or send less"
                if not self._reached:
                    raise FrescoError(f"{failure}{_bracketed(what)}") from None
            elif isinstance(outcome, httpx.RequestError):
                failure = (
                    f"{endpoint.shown}: the connection broke ({self.hide(str(outcome)) or type(outcome).__name__})"
                )
            else:
                self._reached = True
                if outcome.status != HTTPStatus.TOO_MANY_REQUESTS and outcome.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    return outcome
                failure = f"{endpoint.shown} {self._refusal(outcome)}"
                wanted = _retry_after(outcome.headers.get("retry-after", ""))
                if wanted is not None and wanted > self._patience:
                    failure += f"; it wants {wanted:.0f} s of pause, longer than one request may take"
                pause = max(pause, wanted or 0.0)
            if attempt > self._retries or time.monotonic() - started + pause > self._patience:
                tried = f"; tried {attempt} times" if attempt > 1 else ""
                raise FrescoError(f"{failure}{tried}{_bracketed(what)}") from None
            wait = pause
        raise AssertionError("unreachable")

    def _attempt(self, method: str, endpoint: Endpoint, body: bytes | None, what: str) -> Answer:
        limit = _FLOOR_OF_ANSWER + 8 * len(body or b"")
        received = bytearray()
        with (
            self._exchange.bounded(self._timeout, 2 * limit),  # twice: headers and the frames of chunks come on top
            self._client.stream(method, endpoint.url, content=body) as response,
        ):
            headers = {name.lower(): value for name, value in response.headers.items()}
            if is_packed(headers):
                raise FrescoError(self._line(endpoint, self._packed_line(headers), what))
            for chunk in response.iter_raw():
                received += chunk
                if len(received) > limit:
                    raise FrescoError(self._line(endpoint, _too_much(limit), what))
            return Answer(response.status_code, headers, bytes(received))

    def _packed_line(self, headers: Mapping[str, str]) -> str:
        encoding = self.hide(headers["content-encoding"])
        return f"answers packed ({encoding}), which was not asked for; mend the server or proxy"

    def _refusal(self, answer: Answer) -> str:
        try:
            phrase = f" {HTTPStatus(answer.status).phrase}"
        except ValueError:
            phrase = ""
        line = f"answered {answer.status}{phrase}"
        if 300 <= answer.status < 400:
            there = self.hide(answer.headers.get("location", "nowhere"))
            return f"{line} to {there}; redirects are not followed, give that URL if you trust it"
        line = f"{line}: {self._words(answer)}"
        if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return f"{line}; {self._key_hint}"
        return f"{line}; mend the URL or the model's name" if answer.status == HTTPStatus.NOT_FOUND else line

    def _words(self, answer: Answer) -> str:
        """What a body says, in the shapes that APIs use."""
        text = answer.body[:4096].decode("utf-8", "replace").strip()
        try:
            said = answer.json()
        except ValueError:
            if text.lower().startswith(("<!doctype", "<html")):
                return "an HTML page, so this is no API"
            return repr(self.hide(text.splitlines()[0])) if text else "an empty body"
        for name in ("error", "message", "detail", "msg"):
            while isinstance(said, list) and said:
                said = said[0]
            if isinstance(said, dict) and said.get(name):
                said = said[name]
        return repr(self.hide(said if isinstance(said, str) else text)) if text else "an empty body"

    def _line(self, endpoint: Endpoint, problem: str, what: str) -> str:
        return f"{endpoint.shown} {problem}{_bracketed(what)}"


def _body(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()  # ASCII: a lone surrogate must not fail here


def is_packed(headers: Mapping[str, str]) -> bool:
    """Whether a body is compressed: what a few kilobytes unpack to, packed several times over, no limit would say."""
    return headers.get("content-encoding", "identity").lower() != "identity"


def _too_much(limit: int) -> str:
    return f"its answer passes {limit >> 20} MiB; this is no such API"


def _bracketed(what: str) -> str:
    return f" ({what})" if what else ""


def _retry_after(value: str) -> float | None:
    """Seconds from a Retry-After header: a number or an HTTP date (RFC 9110, 10.2.3); None for neither."""
    if re.fullmatch(r"\d{1,9}(\.\d+)?", value.strip()):
        return float(value)
    try:
        when = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (when.replace(tzinfo=when.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
