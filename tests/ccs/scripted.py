"""Retrievers and questions that the tests of rollouts share."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import Sequence
from typing import Any

from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory
from ccs.rollouts import one
from ccs.rollouts.searches import GatheredSearches
from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError

NILE = Question("q1", "Which lake does the Nile flow from?", ("Lake Victoria",), ("The Nile",), "toy")


class Shelf:
    """Finds the same passages for every query, and remembers what it was asked.

    Args:
        passages: Contents, best first.
        failures: How many of the first searches fail.
    """

    def __init__(self, *passages: str, failures: int = 0) -> None:
        self._passages = passages or ('"The Nile"\nIt flows from Lake Victoria.', '"Cairo"\nA city on it.', "C", "D")
        self._failures = failures
        self.asked: list[tuple[list[str], int]] = []
        self._lock = threading.Lock()

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        with self._lock:  # several threads ask, and each is to know its own place
            self.asked.append((list(queries), k))
            fails = len(self.asked) <= self._failures
        if fails:
            raise FrescoError("http://127.0.0.1:1/retrieve answered 500 Internal Server Error: 'out of memory'")
        return [
            [Hit(f"{query}-{n}", text, 1.0 / n) for n, text in enumerate(self._passages[:k], 1)] for query in queries
        ]


def as_vllm(text: str, body: dict[str, Any]) -> dict[str, Any]:
    """A whole answer in vLLM's wire format: the stop string cut off and named, tokens counted (words, here)."""
    return _answer(text, body, names_stop=True)


def as_openai(text: str, body: dict[str, Any]) -> dict[str, Any]:
    """The same from a server that does not say which stop string it met."""
    return _answer(text, body, names_stop=False)


def _answer(text: str, body: dict[str, Any], *, names_stop: bool) -> dict[str, Any]:
    asked = body["prompt"] if "prompt" in body else " ".join(message["content"] for message in body["messages"])
    met = min((stop for stop in body["stop"] if stop in text), key=text.index, default=None)
    text = text if met is None else text[: text.index(met)]
    words = text.split(" ")
    cut = len(words) > body["max_tokens"]
    text = " ".join(words[: body["max_tokens"]])
    choice: dict[str, Any] = {"index": 0, "finish_reason": "length" if cut else "stop", "logprobs": None}
    choice |= {"text": text} if "prompt" in body else {"message": {"role": "assistant", "content": text}}
    if names_stop:
        choice["stop_reason"] = None if cut else met
    usage = {"prompt_tokens": len(asked.split()), "completion_tokens": min(len(words), body["max_tokens"])}
    return {"id": "x-1", "object": "text", "model": body["model"], "choices": [choice], "usage": usage}


def wanderer(body: dict[str, Any]) -> str:
    """What a model might say: by its seed and context it searches, answers, blunders or makes things up."""
    said = body["prompt"] if "prompt" in body else "\n".join(message["content"] for message in body["messages"])
    draw = zlib.crc32(f"{body['seed']}\n{said}".encode()) % 10
    if draw < 5:
        return f"<think>t</think>\n<search>query {draw} of {body['seed']}</search>"
    if draw < 8:
        return f"<think>t</think><answer>answer {draw}</answer>"
    return "I do not know" if draw == 8 else "<information>Doc 1: made up</information><answer>made up</answer>"


def roll_out(client: ChatClient, retriever: Any, *task: Any, **settings: Any) -> Trajectory:
    """One rollout, by itself."""

    async def connected() -> Trajectory:
        async with client.connected():
            return await one.roll_out(client, searches, *task, **settings)

    with GatheredSearches(retriever) as searches:
        return asyncio.run(connected())
