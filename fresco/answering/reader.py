"""Readers: a language model behind an address or in this process, asked the same way, its answers kept on disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from fresco.clients.answer_cache import AnswerCache, request_key
from fresco.models.settings import Settings
from fresco.records import Passage, Query, format_timestamp
from fresco.rerank.local_chat import LocalChat

#: One user turn: short, so that small models follow it.
PROMPT = """Answer the question from the passages below. It is asked on {date}. Give the answer alone, in a few words.

{passages}

Question: {question}"""
ALONE = """Answer the question. It is asked on {date}. Give the answer alone, in a few words.

Question: {question}"""

Messages = list[dict[str, str]]


def ask(query: Query, passages: Sequence[Passage]) -> Messages:
    """The conversation for a query and its passages, best first; without passages the question alone."""
    date = format_timestamp(query.timestamp)[:10]
    texts = "\n\n".join(f"[{place}] {passage.text}" for place, passage in enumerate(passages, 1))
    form = PROMPT if passages else ALONE
    return [{"role": "user", "content": form.format(date=date, passages=texts, question=query.content)}]


class Reader(Protocol):
    """What answers."""

    name: str
    identity: str

    def answers(self, asked: Sequence[Messages], max_tokens: int, done: Callable[[int, str], None]) -> list[str]:
        """An answer to each conversation; ``done`` is told the place and the text of each as it comes."""

    def likelihoods(self, asked: Messages, names: Sequence[str]) -> list[float] | None:
        """Mean log-probability of the tokens of each name as the answer; None where the reader cannot say."""

    def close(self) -> None:
        """Give back what it holds."""


def is_address(spec: str) -> bool:
    """Whether a reader is a server's."""
    return "://" in spec


def open_reader(spec: str, settings: Settings, cache: Path) -> Reader:
    """A reader.

    Args:
        spec: ``URL#MODEL`` of an OpenAI-compatible server (:mod:`fresco.clients.llm`), or a folder or id of a model.
        settings: Of a model in this process.
        cache: File of answers.

    Raises:
        FrescoError: the server does not answer, or the model cannot be found or is no chat model.
    """
    return _Served(spec, cache) if is_address(spec) else _Local(spec, settings, cache)


class _Served:
    def __init__(self, spec: str, cache: Path) -> None:
        from fresco.clients.llm import ChatClient

        self._client = ChatClient(spec, cache=cache)
        self.name = self._client.shown
        self.identity = self._client.identity

    def answers(self, asked: Sequence[Messages], max_tokens: int, done: Callable[[int, str], None]) -> list[str]:
        requests = [{"messages": each, "max_tokens": max_tokens} for each in asked]
        found = self._client.map(requests, lambda place, answer: done(place, answer.final or ""))
        return [answer.final or "" for answer in found]  # a thought that was cut is no answer

    def likelihoods(self, asked: Messages, names: Sequence[str]) -> list[float] | None:
        return None  # the chat format tells nothing of an answer that was not given

    def close(self) -> None:
        self._client.close()


class _Local:
    def __init__(self, spec: str, settings: Settings, cache: Path) -> None:
        self._chat = LocalChat("reader", spec, settings)
        self._cache = AnswerCache(cache)
        self.name, self.identity = spec, self._chat.identity

    def answers(self, asked: Sequence[Messages], max_tokens: int, done: Callable[[int, str], None]) -> list[str]:
        found = []
        for place, messages in enumerate(asked):
            key = {"messages": messages, "max_tokens": max_tokens}
            answer: str = self._kept("chat", key, partial(self._chat.ask, messages, max_tokens))
            done(place, answer)
            found.append(answer)
        return found

    def likelihoods(self, asked: Messages, names: Sequence[str]) -> list[float] | None:
        key = {"messages": asked, "names": list(names)}
        found: list[float] = self._kept("likelihood", key, partial(self._chat.likelihoods, asked, names))
        return found

    def _kept(self, path: str, payload: dict[str, Any], make: Callable[[], Any]) -> Any:
        key = request_key(path, {"model": self.identity, **payload})
        kept = self._cache.get(key)
        return self._cache.put(key, make()) if kept is None else kept

    def close(self) -> None:
        self._chat.close()
        self._cache.close()
