"""Questions to a MediaWiki through mwclient, as a good guest asks them.

mwclient 0.11 ignores the Retry-After of a 429, repeats at once and up to 25 times, crashes on an HTTP date in the
Retry-After of a lagging server, and never passes ``maxlag`` to api.php. So its own retries are off, and the loop here
decides when to ask again (https://www.mediawiki.org/wiki/API:Etiquette).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any, cast
from urllib.parse import urlsplit

import mwclient
import requests
from mwclient.errors import APIDisabledError, APIError, InvalidResponse, MaximumRetriesExceeded

from fresco import __version__
from fresco.builder.wikipedia.login import PASSWORD, USER, Login
from fresco.builder.wikipedia.transport import polite_session
from fresco.errors import FrescoError

_log = logging.getLogger(__name__)

#: Errors of the API that pass: a server that lags, is overloaded or read-only for a moment, and sessions that it lost.
_PASSING = {"maxlag", "ratelimited", "readonly", "timeout"}
_LOST_SESSION = {
    "badtoken",
    "notoken",
    "assertuserfailed",
    "assertbotfailed",
    "assertanonfailed",
    "assertnameduserfailed",
}
_HOPELESS = (requests.exceptions.InvalidURL, requests.exceptions.TooManyRedirects, requests.exceptions.SSLError)
# TypeError: what mwclient makes of JSON that is no object.
_TROUBLES = (
    requests.RequestException, APIError, APIDisabledError, InvalidResponse, MaximumRetriesExceeded, TypeError,
)  # fmt: skip
_PASSING_STATUS = {408, 425, 429}
_ITEMS, _MOST_ITEMS = 50, 500  # ids in a request, for all and for users with higher limits (API:Query)
_OWN_HOSTS = {"localhost", "127.0.0.1", "::1"}
_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0
_FIRST_ATTEMPTS = 3  # at a server that has never answered: more likely a wrong address than a passing fault

_WIKIMEDIA = (
    "wikipedia.org", "wikimedia.org", "wikidata.org", "wiktionary.org", "wikinews.org", "wikivoyage.org",
    "wikiversity.org", "wikisource.org", "wikiquote.org", "wikibooks.org", "wikifunctions.org", "mediawiki.org",
)  # fmt: skip


def _is_wikimedia(host: str) -> bool:
    """Whether the host is run by the Wikimedia Foundation, whose policy asks every program for a contact."""
    name = host.rpartition("@")[2].split(":")[0].lower()
    return any(name == own or name.endswith(f".{own}") for own in _WIKIMEDIA)


class Client:
    """One connection to one api.php.

    Args:
        url: Address of the folder with api.php, e.g. ``https://en.wikipedia.org/w/``.
        contact: A mail address or URL where the operator of the wiki can reach the user; required for Wikimedia.
        rate: Most requests a second, repeated ones included.
        maxlag: Seconds of replication lag at which the wiki shall refuse (and be left alone for a while).
        attempts: How often one question is asked before giving up.
        patience: Seconds after which one question is given up, waiting included.
        request_limit: Seconds within which one answer must be complete.
        login: Whom to log in as, at the first question.

    Attributes:
        url: The address, ending in a slash.
        is_wikimedia: Whether the Wikimedia Foundation runs it: too large to be listed whole.
        requests_made: Requests sent so far, repeated ones included.

    Raises:
        FrescoError: the address or the contact cannot be used.
    """

    def __init__(
        self,
        url: str,
        contact: str | None = None,
        *,
        rate: float = 5.0,
        maxlag: int = 5,
        attempts: int = 8,
        patience: float = 900.0,
        request_limit: float = 120.0,
        login: Login | None = None,
    ) -> None:
        scheme, host, path = _parse(url)
        self.url = f"{scheme}://{host}{path}"
        self.is_wikimedia = _is_wikimedia(host)
        if rate <= 0:
            raise FrescoError(f"{rate} requests a second are too few; give a rate above 0")
        self._interval = 1.0 / rate
        self._maxlag = maxlag
        self._attempts = attempts
        self._patience = patience
        self._last_start = float("-inf")
        self._last_response: requests.Response | None = None
        self._was_there = False
        self.requests_made = 0
        if login is not None and scheme == "http" and urlsplit(self.url).hostname not in _OWN_HOSTS:
            raise FrescoError(f"{self.url}: {PASSWORD} would be sent in the clear; give an https address")
        self._login = login
        self._is_logged_in = False
        self._limit = _ITEMS
        self._session = polite_session(_user_agent(host, contact), request_limit)
        self._session.hooks["response"].append(self._note_response)
        options = {"timeout": min(30.0, request_limit)}
        # do_init would cost a request before the first question; nothing here needs what it asks for.
        self._site = mwclient.Site(
            host, path, scheme=scheme, pool=self._session, do_init=False, max_retries=0, connection_options=options
        )

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    @property
    def limit(self) -> int:
        """Ids that one question may name; asks who is logged in where that is not known yet."""
        self._ensure_login()
        return self._limit

    def query(self, **parameters: str) -> Mapping[str, Any]:
        """Ask ``action=query`` and wait for an answer without an error.

        Args:
            **parameters: Of the API, https://www.mediawiki.org/wiki/API:Query.

        Returns:
            The answer, one page of it: ``continue`` is left to the caller.

        Raises:
            FrescoError: the wiki refuses, or kept failing for too long.
        """
        own = {"maxlag": str(self._maxlag)}
        if self._login is not None:
            own["assert"] = "user"  # a session that was lost is an error, and not an answer with the lower limits

        def asked() -> Mapping[str, Any]:
            self._ensure_login()
            self._take_turn()
            return cast(Mapping[str, Any], self._site.get("query", retry_on_error=False, **own, **parameters))

        return self._ask(asked, "query")

    def _ensure_login(self) -> None:
        """Log in, unless that is done or nobody is to be.

        Raises:
            FrescoError: the wiki refuses, or kept failing for too long.
        """
        if self._login is None or self._is_logged_in:
            return
        account = {"lgname": self._login.user, "lgpassword": self._login.password}

        def entered() -> Mapping[str, Any]:
            self._take_turn()
            token = self._site.get_token("login", force=True)
            self._take_turn()
            return cast(Mapping[str, Any], self._site.post("login", retry_on_error=False, lgtoken=token, **account))

        def rights() -> Mapping[str, Any]:
            self._take_turn()
            asked = {"meta": "userinfo", "uiprop": "rights", "assert": "user"}
            return cast(Mapping[str, Any], self._site.get("query", retry_on_error=False, **asked))

        answer = self._ask(entered, "login")["login"]
        if answer.get("result") != "Success":
            why = " ".join(str(answer.get("reason", answer.get("result"))).split())[:160]
            raise FrescoError(f"{self.url}: no login as {self._login.user} ({why}); check {USER} and {PASSWORD}")
        self._is_logged_in = True
        if "apihighlimits" in self._ask(rights, "query")["query"]["userinfo"].get("rights", ()):
            self._limit = _MOST_ITEMS
        else:
            _log.warning("%s: %s has no higher limits; requests stay small", self.url, self._login.user)

    def _ask(self, call: Callable[[], Mapping[str, Any]], result: str) -> Mapping[str, Any]:
        """Send a request until its answer has a result, as often and as long as is decent."""
        give_up = time.monotonic() + self._patience
        backoff = _FIRST_WAIT
        for attempt in range(1, self._attempts + 1):
            try:
                reply = call()
            except _TROUBLES as error:
                trouble = self._passing_trouble(error)
            else:
                if result in reply:
                    return reply
                trouble = "JSON without a result"  # mwclient takes [] for an answer; the page would seem missing
            asked_to_wait = self._retry_after()
            wait = max(backoff if asked_to_wait is None else asked_to_wait, self._interval)
            backoff = min(2 * backoff, _LONGEST_WAIT)
            if attempt >= (self._attempts if self._was_there else min(self._attempts, _FIRST_ATTEMPTS)):
                break
            if time.monotonic() + wait > give_up:
                trouble += f", and asks to wait {wait:.0f} s" if asked_to_wait is not None else ""
                break
            _log.warning("%s: %s; asking again in %.1f s", self.url, trouble, wait)
            time.sleep(wait)
        raise FrescoError(
            f"{self.url}: gave up after {attempt} requests: {trouble}; run the same command later, "
            "what was read is kept"
        )

    def _take_turn(self) -> None:
        time.sleep(max(0.0, self._last_start + self._interval - time.monotonic()))
        self._last_start = time.monotonic()
        self._last_response = None
        self.requests_made += 1

    def _note_response(self, response: requests.Response, *_: Any, **__: Any) -> None:
        self._last_response = response
        self._was_there = True
        response.encoding = "utf-8"  # JSON is nothing else; without a charset requests would guess
        response.headers.pop("X-Database-Lag", None)  # mwclient would read Retry-After as an integer and wait itself

    def _retry_after(self) -> float | None:
        """Seconds that the last answer asks to wait, None where it does not say."""
        value = self._last_response.headers.get("Retry-After") if self._last_response is not None else None
        if value is None:
            return None
        if value.strip().isdecimal():
            return float(value)
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return max(0.0, (when - datetime.now(UTC)).total_seconds())

    def _passing_trouble(self, error: Exception) -> str:
        """Say what went wrong, in a few words, if asking again can help.

        Raises:
            FrescoError: it cannot.
        """
        api = f"{self.url}api.php"
        if isinstance(error, APIError):
            code, info = str(error.code), " ".join(str(error.info).split())
            if code in _LOST_SESSION:
                self._session.cookies.clear()
                self._is_logged_in = False
            if code in _PASSING or code in _LOST_SESSION or code.startswith("internal_api_error"):
                return f"{code} ({info})"
            raise FrescoError(f"{api}: the wiki refuses: {code} ({info})") from error
        if isinstance(error, requests.HTTPError):
            status = error.response.status_code
            if status in _PASSING_STATUS or status >= 500:
                return f"HTTP status {status}"
            raise FrescoError(f"{api}: HTTP status {status}; check the address of the wiki and the contact") from error
        if isinstance(error, _HOPELESS):
            raise FrescoError(f"{api}: {' '.join(str(error).split())}; check the address of the wiki") from error
        if isinstance(error, APIDisabledError):
            raise FrescoError(f"{api}: the wiki's API is switched off; ask its operator or read a dump") from error
        if isinstance(error, InvalidResponse):
            kind = self._last_response.headers.get("Content-Type", "") if self._last_response is not None else ""
            if "json" not in kind:
                raise FrescoError(
                    f"{api}: answers {kind or 'no type'}, not JSON; give the folder of api.php"
                ) from error
            return "JSON that is cut off or broken"
        if isinstance(error, MaximumRetriesExceeded):
            return "the wiki's database failed"
        if isinstance(error, TypeError):
            return "JSON that is no object"
        return " ".join(f"{type(error).__name__} {error}".split())[:200]


def _parse(url: str) -> tuple[str, str, str]:
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise FrescoError(f"{url!r} is no address of a wiki; give the folder of api.php: https://en.wikipedia.org/w/")
    path = parts.path.removesuffix("api.php").removesuffix("index.php")
    return parts.scheme, parts.netloc, path if path.endswith("/") else f"{path}/"


def _user_agent(host: str, contact: str | None) -> str:
    reach = (contact or "").strip()
    if _is_wikimedia(host) and not ("@" in reach or "://" in reach):
        raise FrescoError(f"{host} asks every program for a contact; give a mail address or URL with --contact")
    if not reach.isprintable() or not reach.isascii():
        raise FrescoError(f"contact {contact!r} cannot stand in an HTTP header; give printable ASCII")
    own = f"fresco-ccs/{__version__} ({reach})" if reach else f"fresco-ccs/{__version__}"
    return f"{own} mwclient/{version('mwclient')}"
