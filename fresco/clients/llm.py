"""A client for any server that speaks OpenAI's chat and completion formats: vLLM, a hosted API.

Answers are kept in an SQLite file under the SHA-256 of what was asked (model, path, payload; not the address), so a
run that is stopped goes on where it was, a repeated one costs nothing, and the same request has one answer however
many processes ask. Draw several samples of one prompt with different ``seed``.

How a server is named on the command line, and with which options, stands in :mod:`fresco.clients.llm_spec`.
A server that refuses a schema, or the name ``max_tokens``, is asked again without the one or by
``max_completion_tokens``, and so from then on.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fresco.clients.answer_cache import AnswerCache, request_key
from fresco.clients.chat_answer import ChatAnswer, Reader, is_count, message_text, plain_text, read_answer
from fresco.clients.endpoint import Endpoint
from fresco.clients.json_api import JsonClient, RefusedError
from fresco.clients.llm_spec import CHAT_FIELDS, parse_spec
from fresco.clients.threads import each
from fresco.errors import FrescoError

_T = TypeVar("_T")
_R = TypeVar("_R")
_MOST_AT_ONCE = 1000  # a thread and an open file each; systems allow 1024 files unless told otherwise
_SHOWN_MODELS = 5
_SCHEMA = "response_format"
_UNSUPPORTED = (400, 415, 422)  # what servers answer to a field that they do not know


class ChatClient:
    """Asks one model of one server; may be shared by threads.

    Args:
        spec: ``URL`` or ``URL#MODEL`` (see :mod:`fresco.clients.llm_spec`); options in it go before the arguments here.
        model: The model's name; None takes the spec's, else asks the server for its only one.
        cache: SQLite file of answers, made where absent; None keeps none.
        key_variable: Environment variable with the bearer token, sent where it is set.
        concurrency: Most requests in flight, whichever threads they come from; at most 1000.
        timeout: Seconds for one attempt.
        retries: Further attempts after a passing failure (429, 5xx, a broken connection).
        backoff: Seconds before the first of them.
        patience: Seconds for one request with all its attempts and pauses.

    Raises:
        FrescoError: bad spec, httpx is missing, no cache can be written there; without a model's name also: no server
            answers, or it serves several models.
    """

    def __init__(
        self,
        spec: str,
        model: str | None = None,
        *,
        cache: Path | None = None,
        key_variable: str = "OPENAI_API_KEY",
        concurrency: int = 8,
        timeout: float = 300.0,
        retries: int = 5,
        backoff: float = 0.5,
        patience: float = 900.0,
    ) -> None:
        address, named, options = parse_spec(spec)
        concurrency = options.get("concurrency", concurrency)
        if not 1 <= concurrency <= _MOST_AT_ONCE:
            raise FrescoError(f"concurrency {concurrency}: give 1 to {_MOST_AT_ONCE} requests at a time")
        self._home = Endpoint.parse(address)
        self._client = JsonClient(
            self._home,
            key_variable=options.get("key", key_variable),
            key_required="key" in options,
            timeout=options.get("timeout", timeout),
            retries=options.get("retries", retries),
            backoff=backoff,
            patience=patience,
        )
        self.concurrency = concurrency
        self._extra: dict[str, Any] = {name: options[name] for name in CHAT_FIELDS if name in options}
        if "max_completion_tokens" in options:
            self._extra["max_tokens"] = None
        self._extra.update(options.get("extra_body", {}))
        self._prices: tuple[float, float] | None = options.get("price")
        self._structured: bool = options.get("structured", True)
        self._renames_max_tokens = False
        if "enable_thinking" in options:
            kwargs = {"enable_thinking": options["enable_thinking"]}
            self._extra["chat_template_kwargs"] = {**self._extra.get("chat_template_kwargs", {}), **kwargs}
        self._places = threading.BoundedSemaphore(self.concurrency)
        self._lock = threading.Lock()
        self._totals = {"requests": 0, "cached": 0, "prompt_tokens": 0, "completion_tokens": 0}
        try:
            self._cache = AnswerCache(cache) if cache is not None else None
            self.model: str = model or named or self._only_model()
        except FrescoError:
            self._client.close()
            raise

    @property
    def shown(self) -> str:
        """``URL#MODEL`` without its secrets, for records and errors."""
        return f"{self._home.shown}#{self.model}"

    @property
    def identity(self) -> str:
        """The model and what goes with every request, for fingerprints."""
        return f"{self.model}&{json.dumps(self._extra, sort_keys=True)}" if self._extra else self.model

    @property
    def totals(self) -> Mapping[str, int]:
        """Requests answered by the server and from the cache, and the tokens that the server counted for the former."""
        with self._lock:
            return dict(self._totals)

    @property
    def cost(self) -> float | None:
        """What the server's answers have cost, by ``price``; None where no price was given."""
        if self._prices is None:
            return None
        totals = self.totals
        return (totals["prompt_tokens"] * self._prices[0] + totals["completion_tokens"] * self._prices[1]) / 1e6

    def chat(
        self,
        messages: str | Sequence[Mapping[str, Any]],
        *,
        temperature: float = 0.0,
        max_tokens: int | None = 1024,
        schema: Mapping[str, Any] | None = None,
        **extra: Any,
    ) -> ChatAnswer:
        """Ask ``/chat/completions``.

        Args:
            messages: Role and content of each turn; a string is one user's turn.
            temperature: 0 for the likeliest answer.
            max_tokens: None leaves the field away.
            schema: JSON schema that the answer is to follow, where the server can see to that; another one answers
                as it likes, so what comes has to be checked all the same.
            **extra: Further fields of the payload (``seed``, ``stop``, ``n``, ``logprobs``); None leaves one away.

        Raises:
            FrescoError: no server, an unknown model, a prompt beyond its context, an answer without text.
        """
        request = self._chat_fields(messages, schema, temperature=temperature, max_tokens=max_tokens, **extra)
        return self._ask("chat/completions", request, message_text)

    async def chat_async(self, messages: str | Sequence[Mapping[str, Any]], **options: Any) -> ChatAnswer:
        """:meth:`chat` within :meth:`connected`."""
        fields = self._chat_fields(messages, **({"temperature": 0.0, "max_tokens": 1024} | options))
        return await self._ask_async("chat/completions", fields, message_text)

    def completions(self, prompt: str | Sequence[int], **options: Any) -> ChatAnswer:
        """Ask ``/completions`` with a text or token ids; see :meth:`chat` for the rest.

        vLLM's ``prompt_logprobs`` and ``return_token_ids`` are read from ``raw["choices"]``.
        """
        payload = {"prompt": prompt if isinstance(prompt, str) else list(prompt), **options}
        return self._ask("completions", payload, plain_text)

    async def completions_async(self, prompt: str | Sequence[int], **options: Any) -> ChatAnswer:
        """:meth:`completions` within :meth:`connected`."""
        payload = {"prompt": prompt if isinstance(prompt, str) else list(prompt), **options}
        return await self._ask_async("completions", payload, plain_text)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Keep connections in the running event loop, for the methods whose names end in ``async``.

        As many requests are in flight as ``concurrency`` allows; further ones wait for their turn.
        """
        async with self._client.connected():
            self._async_places = asyncio.Semaphore(self.concurrency)
            yield

    def context(self) -> int | None:
        """Tokens that a prompt and its answer may have together, where the server lists it (vLLM does)."""
        answer = self._client.get(self._beside("models"))
        try:
            rows = answer.json()["data"] if answer.status == 200 else []
            return next((int(row["max_model_len"]) for row in rows if row["id"] == self.model), None)
        except (ValueError, TypeError, KeyError):
            return None

    def count_tokens(self, prompt: str) -> int | None:
        """Tokens of a prompt, by vLLM's ``/tokenize`` beside ``/v1``; None where the server has no such thing."""
        root = urlsplit(self._home.url).path.removesuffix("/v1")
        try:
            with self._places:
                raw = self._client.post(self._home.beside(f"{root}/tokenize"), {"model": self.model, "prompt": prompt})
        except RefusedError:
            return None
        count = raw.get("count") if isinstance(raw, dict) else None
        return count if is_count(count) else None

    def map(
        self,
        requests: Iterable[Mapping[str, Any]],
        on_done: Callable[[int, ChatAnswer], None] | None = None,
        *,
        tolerate: int = 0,
    ) -> list[ChatAnswer]:
        """Ask for many chats, ``concurrency`` at a time.

        Args:
            requests: Arguments of :meth:`chat`.
            on_done: Told the index and the answer of each as it comes, in the calling thread.
            tolerate: How many may fail; those have ``error`` set.

        Returns:
            The answers in the order of the requests.

        Raises:
            FrescoError: the failure that was one too many.
        """
        failures = 0

        def ask(request: Mapping[str, Any]) -> ChatAnswer:
            nonlocal failures
            try:
                return self.chat(**request)
            except FrescoError as error:
                with self._lock:
                    failures += 1
                    if failures > tolerate:
                        raise
                return ChatAnswer("", error=error)

        return self.each(ask, requests, on_done)

    def each(
        self, work: Callable[[_T], _R], items: Iterable[_T], on_done: Callable[[int, _R], None] | None = None
    ) -> list[_R]:
        """Do work that asks this client (an agent's turns) on many items, ``concurrency`` at a time.

        The first exception is raised at once; answers on their way still reach the cache. Ctrl-C ends the client.

        Returns:
            The results in the order of the items.
        """
        return each(work, items, self.concurrency, on_done, on_interrupt=self._client.close)

    def close(self) -> None:
        """End the connections and close the cache."""
        self._client.close()
        if self._cache:
            self._cache.close()

    def _chat_fields(
        self, messages: str | Sequence[Mapping[str, Any]], schema: Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Any]:
        turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
        fields = {"messages": turns, **options}
        if schema is not None and self._structured:
            form = {"name": "answer", "schema": schema}
            fields[_SCHEMA] = {"type": "json_schema", "json_schema": form}
        return fields

    def _ask(self, path: str, fields: Mapping[str, Any], text: Reader) -> ChatAnswer:
        payload = self._payload(path, fields)
        key, raw = self._kept(path, payload)
        if raw is not None:
            return self._counted(read_answer(raw, text, self.shown, cached=True))
        with self._places:
            wishes = self._wishes(payload)
            sent = next(wishes)
            while True:
                try:
                    outcome: Any = self._client.post(self._beside(path), sent)
                except RefusedError as refused:
                    outcome = refused
                try:
                    sent = wishes.send(outcome)
                except StopIteration as end:
                    raw = end.value
                    break
        return self._keep(key, raw, text)

    async def _ask_async(self, path: str, fields: Mapping[str, Any], text: Reader) -> ChatAnswer:
        payload = self._payload(path, fields)
        key, raw = self._kept(path, payload)
        if raw is not None:
            return self._counted(read_answer(raw, text, self.shown, cached=True))
        async with self._async_places:
            wishes = self._wishes(payload)
            sent = next(wishes)
            while True:
                try:
                    outcome: Any = await self._client.post_async(self._beside(path), sent)
                except RefusedError as refused:
                    outcome = refused
                try:
                    sent = wishes.send(outcome)
                except StopIteration as end:
                    raw = end.value
                    break
        return self._keep(key, raw, text)

    def _payload(self, path: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        extra = self._extra if path.startswith("chat") else _without_chat(self._extra)
        asked = {"model": self.model, **fields, **extra}  # what the user names goes before what we would send
        return {name: value for name, value in asked.items() if value is not None}

    def _kept(self, path: str, payload: Mapping[str, Any]) -> tuple[bytes, Any]:
        """The key of what was meant (what a server makes of it is its own affair), and the answer that is kept."""
        if self._cache is None:
            return b"", None
        key = request_key(path, payload)
        return key, self._cache.get(key)

    def _keep(self, key: bytes, raw: Any, text: Reader) -> ChatAnswer:
        answer = read_answer(raw, text, self.shown)  # an answer that cannot be used must not stay
        return self._counted(read_answer(self._cache.put(key, raw), text, self.shown) if self._cache else answer)

    def _counted(self, answer: ChatAnswer) -> ChatAnswer:
        with self._lock:
            self._totals["cached" if answer.cached else "requests"] += 1
            for name in () if answer.cached else ("prompt_tokens", "completion_tokens"):
                self._totals[name] += answer.usage.get(name, 0)
        return answer

    def _wishes(self, payload: Mapping[str, Any]) -> Generator[dict[str, Any], Any, Any]:
        """A request as this server wants it, which its refusals tell: yields what to send, is sent what came of it."""
        while True:
            sent = dict(payload)
            if not self._structured:
                sent.pop(_SCHEMA, None)
            if self._renames_max_tokens and "max_tokens" in sent:
                sent["max_completion_tokens"] = sent.pop("max_tokens")
            outcome = yield sent
            if not isinstance(outcome, RefusedError):
                return outcome
            if "max_tokens" in sent and "max_completion_tokens" in str(outcome):
                self._renames_max_tokens = True
                continue
            if _SCHEMA not in sent or outcome.status not in _UNSUPPORTED:
                raise outcome
            plain = yield {name: value for name, value in sent.items() if name != _SCHEMA}
            if isinstance(plain, RefusedError):
                raise plain
            self._structured = False  # not before it has answered: the refusal may have had another reason
            return plain

    def _only_model(self) -> str:
        endpoint = self._beside("models")
        answer = self._client.get(endpoint)
        try:
            names = [str(row["id"]) for row in answer.json()["data"]] if answer.status == 200 else []
        except (ValueError, TypeError, KeyError):
            names = []
        if len(names) == 1:
            return names[0]
        if not names:
            raise FrescoError(f"{endpoint.shown} lists no model (status {answer.status}); name it: URL#MODEL")
        few = ", ".join(self._client.hide(name) for name in names[:_SHOWN_MODELS])
        raise FrescoError(f"{endpoint.shown} serves {len(names)} models ({few}, ...); name one: URL#MODEL")

    def _beside(self, path: str) -> Endpoint:
        return self._home.beside(f"{urlsplit(self._home.url).path}/{path}")


def _without_chat(extra: Mapping[str, Any]) -> dict[str, Any]:
    """What goes with a request that no chat template is applied to, and whose limits its caller knows best."""
    return {name: value for name, value in extra.items() if name not in ("chat_template_kwargs", *CHAT_FIELDS)}
