"""Questions to a SPARQL service: one at a time, named, with a contact, patient when it is busy; answers are kept."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests

from fresco import __version__
from fresco.builder.wikipedia.transport import polite_session
from fresco.errors import FrescoError
from fresco.io.state import read_state, write_state

#: One row of an answer: variables that are bound, as text.
Binding = Mapping[str, str]

_PASSING = {408, 425, 429, 500, 502, 503, 504}
_LONGEST_WAIT = 120.0
#: What services say when a query is stopped: Blazegraph's "TimeoutException" (in the midst of an answer, too), QLever's
#: "timed out", "Tried to allocate ... memory limit".
_STOPPED = re.compile(r"time ?-?out|timed out|time limit|allocat\w* .*(?:memory|limit)|out of memory", re.I | re.S)
_GATEWAY_TIMEOUT = 504
_PART = 20_000  # characters at either end of an answer in which its reason is looked for


class TooLongError(FrescoError):
    """A service stopped a query at its own limit of time or memory; a smaller one may be answered."""


class Sparql:
    """A SPARQL service (https://www.w3.org/TR/sparql11-protocol/): Wikidata's, QLever's, Oxigraph's.

    Args:
        url: Address of the service.
        contact: Mail address or URL for its operator; Wikimedia requires one.
        folder: Where answers are kept; the same question is never asked twice.
        attempts: How often one question is asked before giving up.
        request_limit: Seconds for one answer; Wikidata's service stops at 60.
        sleep: For tests.

    Attributes:
        requests_made: Requests sent so far, repeated ones included.
        seconds: Until their answers were there.

    Raises:
        FrescoError: the address cannot be used, or a contact is missing.
    """

    def __init__(
        self,
        url: str,
        contact: str | None,
        folder: Path,
        *,
        attempts: int = 6,
        request_limit: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        host = urlsplit(url).hostname
        if host is None or urlsplit(url).scheme not in ("http", "https"):
            raise FrescoError(f"--sparql {url}: is no http(s) address of a SPARQL service")
        if host.endswith(("wikidata.org", "wikimedia.org")) and not contact:
            raise FrescoError(f"--sparql {url}: Wikimedia asks every program for a contact; give --contact MAIL-OR-URL")
        self._url = url
        self._folder = folder
        self._attempts = attempts
        self._sleep = sleep
        self.requests_made = 0
        self.seconds = 0.0
        agent = f"fresco-ccs/{__version__} ({contact or 'no contact given'}) python-requests/{requests.__version__}"
        self._session = polite_session(agent, request_limit)

    def ask(self, query: str) -> Sequence[Binding]:
        """The rows that answer a SELECT query.

        Raises:
            TooLongError: the service stopped it, now or when it was asked before.
            FrescoError: the service refuses the query, or stays busy or away.
        """
        name = hashlib.sha256(f"{self._url}\n{query}".encode()).hexdigest()
        path = self._folder / f"{name}.json"
        kept: dict[str, Any] | None = None
        if path.exists():
            with suppress(FrescoError):  # damaged: it is asked again
                kept = read_state(path, {"rows": list}, "")
        if kept is None:
            try:
                kept = {"rows": self._rows(query)}
            except TooLongError as error:
                kept = {"rows": [], "too_long": str(error)}
            write_state(path, kept)
        if "too_long" in kept:
            raise TooLongError(str(kept["too_long"]))
        rows: list[Binding] = kept["rows"]
        return rows

    def _rows(self, query: str) -> list[Binding]:
        problem = ""
        for attempt in range(self._attempts):
            wait = min(_LONGEST_WAIT, 2.0**attempt)
            self.requests_made += 1
            start = time.monotonic()
            try:
                response = self._session.post(
                    self._url, data={"query": query}, headers={"Accept": "application/sparql-results+json"}
                )
            except requests.exceptions.ReadTimeout as error:
                raise TooLongError(f"{self._url}: did not answer: {' '.join(str(error).split())[:160]}") from error
            except requests.RequestException as error:
                problem = " ".join(str(error).split())[:160]
            else:
                self.seconds += time.monotonic() - start
                found = _read(response)
                if not isinstance(found, str):
                    return found
                problem = found
                if _is_stopped(response):
                    raise TooLongError(f"{self._url}: stopped the query: {problem}")
                if response.status_code != 200 and response.status_code not in _PASSING:
                    raise FrescoError(f"{self._url}: refuses the query: {problem}")
                wait = max(wait, _retry_after(response))
            if attempt + 1 < self._attempts:
                self._sleep(wait)
        raise FrescoError(f"{self._url}: gave no answer in {self._attempts} attempts ({problem}); try again later")


def _read(response: requests.Response) -> list[Binding] | str:
    """The rows of an answer, or what is wrong with it."""
    if response.status_code != 200:
        return f"status {response.status_code}: {' '.join(response.text[:_PART].split())[:160]}"
    try:
        return [_binding(row) for row in response.json()["results"]["bindings"]]
    except (ValueError, KeyError, TypeError):  # cut short, or no SPARQL answer
        return "the answer is no SPARQL JSON"


def _is_stopped(response: requests.Response) -> bool:
    """Whether a service says that it stopped the query at a limit of its own, at once or within its answer."""
    said = f"{response.text[:_PART]}\n{response.text[-_PART:]}"
    return response.status_code == _GATEWAY_TIMEOUT or _STOPPED.search(said) is not None


def _binding(row: Mapping[str, Mapping[str, str]]) -> Binding:
    """The values of a row; blank nodes, which stand for unknown values, get a name that says so."""
    return {name: f"_:{cell['value']}" if cell.get("type") == "bnode" else cell["value"] for name, cell in row.items()}


def _retry_after(response: requests.Response) -> float:
    value: Any = response.headers.get("Retry-After", "")
    try:
        return float(value)
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return 0.0
