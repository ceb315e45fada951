"""A client for any server that speaks OpenAI's chat and completion formats: vLLM, a hosted API.

Answers are kept in an SQLite file under the SHA-256 of what was asked (model, path, payload; not the address), so a
run that is stopped goes on where it was, a repeated one costs nothing, and the same request has one answer however
many processes ask. Draw several samples of one prompt with different ``seed``.

How a server is named on the command line, and with which options, stands in :mod:`fresco.clients.llm_spec`.
A server that refuses a schema, or the name ``max_tokens``, is asked again without the one or by
``max_completion_tokens``, and so from then on.
"""

from __future__ import annotations

import json
import queue
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from fresco.clients.answer_cache import AnswerCache, request_key
from fresco.clients.json_api import Endpoint, JsonClient, RefusedError
from fresco.clients.llm_spec import CHAT_FIELDS, parse_spec
from fresco.errors import FrescoError

_T = TypeVar("_T")
_R = TypeVar("_R")
_MOST_AT_ONCE = 1000  # a thread and an open file each; systems allow 1024 files unless told otherwise
_SHOWN_MODELS = 5
_SCHEMA = "response_format"
_UNSUPPORTED = (400, 415, 422)  # what servers answer to a field that they do not know
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
        turns = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
        payload = {"messages": turns, "temperature": temperature, "max_tokens": max_tokens, **extra}
        if schema is not None and self._structured:
            form = {"name": "answer", "schema": schema}
            payload["response_format"] = {"type": "json_schema", "json_schema": form}
        return self._ask("chat/completions", payload, _message_text)

    def completions(self, prompt: str | Sequence[int], **options: Any) -> ChatAnswer:
        """Ask ``/completions`` with a text or token ids; see :meth:`chat` for the rest.

        vLLM's ``prompt_logprobs`` and ``return_token_ids`` are read from ``raw["choices"]``.
        """
        payload = {"prompt": prompt if isinstance(prompt, str) else list(prompt), **options}
        return self._ask("completions", payload, lambda choice: choice.get("text"))

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
        return count if _is_count(count) else None

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
        todo, done = enumerate(items), queue.SimpleQueue[tuple[int, _R | None, BaseException | None]]()
        taking, stop = threading.Lock(), threading.Event()

        def run() -> None:
            while True:
                try:
                    with taking:  # an iterator is no queue
                        index, item = next(todo, (-1, None))
                    if index < 0 or stop.is_set():
                        return done.put((-1, None, None))
                    done.put((index, work(item), None))  # type: ignore[arg-type]
                except BaseException as error:  # raised again where it is waited for
                    return done.put((-1, None, error))

        # Daemons, not an executor: its threads are joined at exit, and a model may write for minutes after Ctrl-C.
        threads = [threading.Thread(target=run, daemon=True) for _ in range(self.concurrency)]
        results: dict[int, Any] = {}
        try:
            for thread in threads:
                thread.start()
            for _ in threads:
                while (got := done.get())[0] >= 0:
                    results[got[0]] = got[1]
                    if on_done:
                        on_done(got[0], got[1])  # type: ignore[arg-type]
                if got[2] is not None:
                    raise got[2]
        except KeyboardInterrupt:
            self._client.close()  # wakes the requests that pause between attempts
            raise
        finally:
            stop.set()
        return [results[index] for index in range(len(results))]

    def close(self) -> None:
        """End the connections and close the cache."""
        self._client.close()
        if self._cache:
            self._cache.close()

    def _ask(self, path: str, fields: Mapping[str, Any], text: Callable[[Mapping[str, Any]], Any]) -> ChatAnswer:
        extra = self._extra if path.startswith("chat") else _without_chat(self._extra)
        asked = {"model": self.model, **fields, **extra}  # what the user names goes before what we would send
        payload = {name: value for name, value in asked.items() if value is not None}
        key = request_key(path, payload)  # of what was meant: what a server makes of it is its own affair
        raw = self._cache.get(key) if self._cache else None
        cached = raw is not None
        if raw is None:
            with self._places:
                raw = self._post(self._beside(path), payload)
            self._read(raw, text)  # an answer that cannot be used must not stay
            if self._cache:
                raw = self._cache.put(key, raw)
        answer = self._read(raw, text, cached=cached)
        with self._lock:
            self._totals["cached" if cached else "requests"] += 1
            for name in () if cached else ("prompt_tokens", "completion_tokens"):
                self._totals[name] += answer.usage.get(name, 0)
        return answer

    def _post(self, endpoint: Endpoint, payload: Mapping[str, Any]) -> Any:
        """Send a request as this server wants it, which its refusals tell."""
        sent = dict(payload)
        if not self._structured:
            sent.pop(_SCHEMA, None)
        if self._renames_max_tokens and "max_tokens" in sent:
            sent["max_completion_tokens"] = sent.pop("max_tokens")
        try:
            return self._client.post(endpoint, sent)
        except RefusedError as refused:
            if "max_tokens" in sent and "max_completion_tokens" in str(refused):
                self._renames_max_tokens = True
                return self._post(endpoint, payload)
            if _SCHEMA not in sent or refused.status not in _UNSUPPORTED:
                raise
            raw = self._client.post(endpoint, {name: value for name, value in sent.items() if name != _SCHEMA})
            self._structured = False  # not before it has answered: the refusal may have had another reason
            return raw

    def _read(self, raw: Any, text: Callable[[Mapping[str, Any]], Any], *, cached: bool = False) -> ChatAnswer:
        choices = raw.get("choices") if isinstance(raw, dict) else None
        if not isinstance(choices, list) or not choices or not all(isinstance(choice, dict) for choice in choices):
            raise FrescoError(f"{self.shown} answered no choices; is the URL that of an OpenAI-compatible /v1?")
        reason = str(choices[0].get("finish_reason") or "")
        texts = [text(choice) for choice in choices]
        if not all(isinstance(each, str) for each in texts):
            why = "; it was cut before it answered, raise max_tokens" if reason == "length" else ""
            raise FrescoError(f"{self.shown} answered a choice without text (finish reason {reason[:40]!r}){why}")
        counts = raw.get("usage")
        usage = {
            name: count for name, count in (counts if isinstance(counts, dict) else {}).items() if _is_count(count)
        }
        return ChatAnswer(texts[0], tuple(texts), reason, usage, raw, cached)

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


def _message_text(choice: Mapping[str, Any]) -> Any:
    message = choice.get("message")
    if not isinstance(message, dict):
        return None
    return "" if message.get("content") is None and message.get("tool_calls") else message.get("content")


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
