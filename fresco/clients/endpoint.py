"""The address of a server, and what of it may be shown."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from fresco.errors import FrescoError


@dataclass(frozen=True)
class Endpoint:
    """An address, split into what is sent, what may be shown and what stays secret.

    Attributes:
        url: Without userinfo and fragment; what requests go to.
        shown: For names, records and errors: the values of the query string are hidden as well.
        userinfo: (user, password) from the address, sent as basic authentication.
    """

    url: str
    shown: str
    userinfo: tuple[str, str] | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read an http or https URL.

        Raises:
            FrescoError: no such URL; the message shows none of its secrets.
        """
        try:
            parts = urlsplit(text)
            scheme, host, port = parts.scheme, parts.hostname or "", parts.port
        except ValueError:  # its message may repeat a password
            scheme, host, port = "", "", None
        if scheme not in ("http", "https") or not host or not text.isprintable() or " " in text:
            raise FrescoError("the URL cannot be read; write http://HOST:PORT/PATH or https://HOST/PATH")
        netloc = f"[{host}]" if ":" in host else host
        netloc += f":{port}" if port is not None else ""
        userinfo = (unquote(parts.username or ""), unquote(parts.password or "")) if "@" in parts.netloc else None
        hidden = re.sub(r"=[^&;]*", "=***", parts.query) if "=" in parts.query else "***" if parts.query else ""
        return cls(
            urlunsplit(SplitResult(scheme, netloc, parts.path, parts.query, "")),
            urlunsplit(SplitResult(scheme, netloc, parts.path, hidden, "")),
            userinfo,
        )

    def beside(self, path: str) -> Endpoint:
        """Another path of the same server, with the same secrets."""
        parts, shown = urlsplit(self.url), urlsplit(self.shown)
        return Endpoint(
            urlunsplit(parts._replace(path=path)), urlunsplit(shown._replace(path=path)), userinfo=self.userinfo
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be printed even when the server says it."""
        pairs = [part.partition("=") for part in urlsplit(self.url).query.split("&")]
        values = [unquote(value if equals else name) for name, equals, value in pairs]
        long = [value for value in values if len(value) > 5]  # `?v=1` would else blot out every 1 of a message
        return tuple(secret for secret in (*(self.userinfo or ())[1:], *long) if secret)
