"""A chat model by vLLM that sorts passages: the windows of many pools are asked in one call."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import cached_property
from typing import Any, TypeVar

from fresco.clients.threads import each
from fresco.models.settings import Settings
from fresco.rerank.listwise import ListwiseReranker
from fresco.rerank.local_chat import LocalChat
from fresco.rerank.vllm_engine import Engine, version

_T = TypeVar("_T")
_R = TypeVar("_R")


class VllmChat(LocalChat):
    """A :class:`LocalChat` that many threads may ask at once.

    vLLM takes one call at a time and is quick by what stands in it: whoever finds it free asks for all who wait.

    Args:
        family: The re-ranker family that asks.
        model: A folder or a Hugging Face model id.
        settings: Dtype and lengths.
        engine: Of :data:`fresco.rerank.vllm_engine.OPTIONS`.

    Raises:
        FrescoError: the model cannot be found, or is no language model.
    """

    concurrency = 64

    def __init__(self, family: str, model: str, settings: Settings, engine: Mapping[str, Any]) -> None:
        super().__init__(family, model, settings)
        self._engine = engine
        self._waiting: list[tuple[list[int], int, Future[list[int]]]] = []
        self._list, self._turn, self._reading = threading.Lock(), threading.Lock(), threading.Lock()

    @property
    def identity(self) -> str:
        """That of the weights, and vLLM's version."""
        return f"{super().identity}|{version()}"

    def each(self, work: Callable[[_T], _R], items: Iterable[_T]) -> list[_R]:
        """Do work that asks this model on many items, side by side."""
        self._model  # noqa: B018 - vLLM starts in this thread
        return each(work, items, self.concurrency, on_interrupt=lambda: None)

    def close(self) -> None:
        """End vLLM's own process."""
        if "_model" in self.__dict__:
            self._model.close()
        super().close()

    @cached_property
    def _model(self) -> Engine:
        return Engine(self._spec, self._files, self._settings, self._engine, "text", None)

    @property
    def _limit(self) -> int:
        return self._model.limit + 1  # the engine's leaves a place for one token

    def _prompt(self, messages: Sequence[Mapping[str, str]], room: int) -> list[int]:
        with self._reading:  # a tokenizer is changed by its first use
            return super()._prompt(messages, room)

    def _written(self, ids: list[int], most: int) -> list[int]:
        own: Future[list[int]] = Future()
        with self._list:
            self._waiting.append((ids, most, own))
        with self._turn:
            if not own.done():
                with self._list:
                    asked, self._waiting = self._waiting, []
                self._answer(asked)
        return own.result()

    def _answer(self, asked: Sequence[tuple[list[int], int, Future[list[int]]]]) -> None:
        try:
            found = self._model.written([ids for ids, _, _ in asked], [most for _, most, _ in asked])
        except BaseException as error:  # whoever waits for it raises it
            for _, _, own in asked:
                own.set_exception(error)
            return
        for (_, _, own), made in zip(asked, found, strict=True):
            own.set_result(made)

    def _count(self, prompt: Sequence[int], made: Sequence[int]) -> None:
        with self._list:
            super()._count(prompt, made)


def listwise_by_vllm(model: str, settings: Settings, engine: Mapping[str, Any], **options: Any) -> ListwiseReranker:
    """``listwise:`` computed by vLLM.

    Args:
        model: A folder or a Hugging Face model id.
        settings: Dtype, lengths, the seed of shuffled starts.
        engine: Of :data:`fresco.rerank.vllm_engine.OPTIONS`.
        **options: Of ``listwise:``.
    """
    chat = VllmChat("vllm", model, settings, engine)
    return ListwiseReranker(f"vllm:{model}#as=listwise", chat, settings.seed, **options)
