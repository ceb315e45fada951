"""Secrets in addresses: found where arguments are parsed, kept out of whatever is printed or written.

An address carries a password (``scheme://user:PASSWORD@host``, of a server or of a database) or a token in its query
string (``?token=...``). Requests need them; records, studies, logs and messages do not. :func:`redacted` takes them out
of anything that is about to be written, by their shape; :func:`hide` takes out those that this process was given, by
their value, wherever they stand.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import unquote

_MASK = "***"
# The user's part ends at the last @ before the path: a password may hold one itself.
_USERINFO = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^\s/?#]*)@(?=[^\s@/?#]*(?:[/?#\s,'\"]|$))")
_QUERY = re.compile(r"(?P<before>[A-Za-z][A-Za-z0-9+.-]*://[^\s?#]*\?)(?P<query>[^\s#'\"]*)")
# `key=` names an environment variable; a key put there by mistake does not look like one.
_KEY = re.compile(r"(?P<name>[#&,]key=)(?P<value>[^&,\s'\"]+)")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHORTEST = 4  # a shorter value, masked wherever it stands, would blot out half of a message
_OURS = re.compile(r"^(FRESCO|CCS)_.*(API_?KEY|PASSW|SECRET)")
_SECRET_VARIABLE = re.compile(r"(?i)(api_?key|token|passw|secret)")

_known: set[str] = set()


def redacted(value: Any) -> Any:
    """The same text, list or mapping without the secrets of the addresses in it; other values as they are."""
    if isinstance(value, str):
        return _text(value) if "://" in value or "key=" in value else value
    if isinstance(value, Mapping):
        return {name: redacted(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(each) for each in value]
    return value


def command_line() -> str:
    """How this process was called, without secrets, for a record."""
    return shlex.join(redacted(sys.argv))


def remember(arguments: Iterable[str]) -> None:
    """Learn the secrets of arguments and of the environment, for :func:`hide`."""
    for argument in arguments:
        if "://" not in argument and "key=" not in argument:
            continue
        for match in _USERINFO.finditer(argument):
            user, colon, password = match["user"].partition(":")
            _learn(password if colon else user)
        for match in _QUERY.finditer(argument):
            for part in re.split("[&;]", match["query"]):
                name, equals, secret = part.partition("=")
                _learn(secret if equals else name)
        for match in _KEY.finditer(argument):
            named = _VARIABLE.fullmatch(match["value"])
            _learn(os.environ.get(match["value"], "") if named else match["value"])
    for name, value in os.environ.items():
        # Variables of such names hold settings, too: TOKENIZERS_PARALLELISM is "false".
        if _OURS.search(name) or (_SECRET_VARIABLE.search(name) and len(value) > 2 * _SHORTEST):
            _learn(value)


def hide(text: str) -> str:
    """A message without any secret: by shape, and by value those that this process was given."""
    text = str(redacted(text))
    for secret in sorted(_known, key=len, reverse=True):
        text = text.replace(secret, _MASK)
    return text


def _learn(secret: str) -> None:
    for form in {secret, unquote(secret)}:
        if len(form) >= _SHORTEST:
            _known.add(form)


def _text(text: str) -> str:
    text = _USERINFO.sub(lambda match: f"{match['scheme']}{_user(match['user'])}@", text)
    text = _QUERY.sub(lambda match: match["before"] + _masked(match["query"]), text)
    return _KEY.sub(
        lambda match: match["name"] + (match["value"] if _VARIABLE.fullmatch(match["value"]) else _MASK), text
    )


def _user(user: str) -> str:
    name, colon, _ = user.partition(":")
    return f"{name}:{_MASK}" if colon else _MASK  # a lone user is a token, as in https://TOKEN@host


def _masked(query: str) -> str:
    return re.sub(r"=[^&;]*", f"={_MASK}", query) if "=" in query else _MASK if query else ""
