"""How a chat server is named on the command line: ``URL#MODEL``, with options behind the model.

A server is named on the command line as ``URL#MODEL``, as in ``http://127.0.0.1:8000/v1#Qwen/Qwen3-8B``; without
``#MODEL`` the server is asked for the one model that it serves. After the model, options may follow:
``URL#MODEL&key=VARIABLE&concurrency=32&timeout=60&retries=8``, and ``price=IN,OUT`` of a million tokens.

The others go with every chat, before what a caller asks for: ``max_tokens`` or ``max_completion_tokens``,
``temperature`` (``default`` leaves it to the server, as some hosted models want), ``reasoning_effort``,
``enable_thinking`` (``false`` switches the thoughts of Qwen3 and its like off, through the chat template),
``structured`` (``false`` never asks for an answer by a JSON schema) and ``extra_body``, a JSON object of further
fields: ``URL#MODEL&enable_thinking=false&extra_body={"top_k":20}`` (``&`` in it is written ``%26``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from fresco.errors import FrescoError

_OURS = {"model", "messages", "prompt", "stream"}  # fields that extra_body cannot set


def _truth(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _whole(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def _temperature(text: str) -> float | None:
    if text == "default":
        return None
    if not 0 <= (number := float(text)) < math.inf:
        raise ValueError(text)
    return number


def _word(text: str) -> str:
    if not text.isidentifier():
        raise ValueError(text)
    return text


def _prices(text: str) -> tuple[float, float]:
    into, out = map(float, text.split(","))
    if not 0 <= min(into, out) <= max(into, out) < math.inf:
        raise ValueError(text)
    return into, out


def _object(text: str) -> dict[str, Any]:
    content = json.loads(unquote(text))
    if not isinstance(content, dict) or content.keys() & _OURS:
        raise ValueError(text)
    return content


_OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "key": str,
    "concurrency": int,
    "timeout": float,
    "retries": int,
    "max_tokens": _whole,
    "max_completion_tokens": _whole,
    "temperature": _temperature,
    "reasoning_effort": _word,
    "enable_thinking": _truth,
    "structured": _truth,
    "price": _prices,
    "extra_body": _object,
}
#: Options that are fields of a chat, as they are.
CHAT_FIELDS = ("max_tokens", "max_completion_tokens", "temperature", "reasoning_effort")


def parse_spec(spec: str) -> tuple[str, str | None, dict[str, Any]]:
    """URL (with /v1 where it has no path), model and options of a spec."""
    address, _, fragment = spec.partition("#")
    model, *rest = fragment.split("&")
    options: dict[str, Any] = {}
    for part in rest:
        name, _, value = part.partition("=")
        try:
            options[name] = _OPTIONS[name](value)
        except (KeyError, ValueError):
            known = ", ".join(f"{known}=" for known in _OPTIONS)
            raise FrescoError(f"option {name!r} after the model: unknown or malformed; known are {known}") from None
    try:
        parts = urlsplit(address)
        path = parts.path.rstrip("/").removesuffix("/chat/completions").removesuffix("/completions") or "/v1"
        address = urlunsplit(parts._replace(path=path))
    except ValueError:
        pass  # Endpoint says what is wrong with it
    return address, model or None, options
