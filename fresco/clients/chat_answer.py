"""An answer of a language model's server, read from OpenAI's format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fresco.errors import FrescoError

#: From a choice to its text; anything but a string is none.
Reader = Callable[[Mapping[str, Any]], Any]
_THOUGHT = re.compile(r".*</think>", re.DOTALL)


@dataclass(frozen=True)
class ChatAnswer:
    """What a server said to one request.

    Attributes:
        text: Of the first choice.
        texts: Of every choice (``n`` of them).
        finish_reason: Of the first choice: ``stop``, ``length``, ...; empty where the server gives none.
        usage: Tokens as the server counts them; empty where it does not.
        raw: The whole answer, for logprobs, token ids, tool calls.
        cached: Whether it came from the cache.
        error: Why there is no answer; only :meth:`ChatClient.map` with ``tolerate`` gives such ones.
    """

    text: str
    texts: tuple[str, ...] = ()
    finish_reason: str = ""
    usage: Mapping[str, int] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)
    cached: bool = False
    error: FrescoError | None = None

    @property
    def final(self) -> str | None:
        """:attr:`text` without the thought before it; None where the server cut it before the thought had ended.

        A chat template may open the thought in the prompt, so what was cut and holds no ``</think>`` is taken for one:
        it is no finished answer in either case.
        """
        if "</think>" in self.text:
            return _THOUGHT.sub("", self.text)
        return None if self.finish_reason == "length" or "<think>" in self.text else self.text


def read_answer(raw: Any, text: Reader, shown: str, *, cached: bool = False) -> ChatAnswer:
    """What a server's JSON says.

    Args:
        raw: The JSON.
        text: Of one choice: :func:`message_text` or :func:`plain_text`.
        shown: The server, for errors.
        cached: Whether it came from the cache.

    Raises:
        FrescoError: it is no such answer, or a choice has no text.
    """
    choices = raw.get("choices") if isinstance(raw, dict) else None
    if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
        raise FrescoError(f"{shown} answered no choices; is the URL that of an OpenAI-compatible /v1?")
    reason = str(choices[0].get("finish_reason") or "")
    texts = [text(choice) for choice in choices]
    if not all(isinstance(each, str) for each in texts):
        why = "; it was cut before it answered, raise max_tokens" if reason == "length" else ""
        raise FrescoError(f"{shown} answered a choice without text (finish reason {reason[:40]!r}){why}")
    counts = raw.get("usage")
    usage = {name: count for name, count in (counts if isinstance(counts, dict) else {}).items() if is_count(count)}
    return ChatAnswer(texts[0], tuple(texts), reason, usage, raw, cached)


def plain_text(choice: Mapping[str, Any]) -> Any:
    """Of a choice of ``/completions``."""
    return choice.get("text")


def message_text(choice: Mapping[str, Any]) -> Any:
    """Of a choice of ``/chat/completions``; empty where there are tool calls in its place."""
    message = choice.get("message")
    if not isinstance(message, dict):
        return None
    return "" if message.get("content") is None and message.get("tool_calls") else message.get("content")


def is_count(value: object) -> bool:
    """Whether a server's figure is a number of tokens."""
    return isinstance(value, int) and not isinstance(value, bool)
