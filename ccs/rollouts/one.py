"""One rollout over a served model: what is sent, what is read back, turn after turn.

Three ways to show a model its context, since no one of them fits all:

- ``chat``: its turns as the assistant's, observations as the user's. Any chat server; what hosted APIs can do.
- ``continue``: one assistant message that the server goes on with (vLLM's ``continue_final_message``). The token
  stream that training sees; templates that rewrite assistant messages (Qwen3 drops its thoughts) refuse it.
- ``completions``: one plain text, without a chat template; for base models.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ccs.agent import protocol
from ccs.agent.environment import Environment, Generation, Limits, Step
from ccs.agent.formats import open_format
from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.rollouts.episode import play
from ccs.rollouts.searches import GatheredSearches
from fresco.clients.chat_answer import ChatAnswer
from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError

#: How the context is sent.
APIS = ("chat", "continue", "completions")
_SEEDS = 2**31  # vLLM takes 64 bits, others 32
# OpenAI, vLLM, SGLang and llama.cpp all say so of a prompt that is too long, and have no common code for it.
_TOO_LONG = "context length"


@dataclass(frozen=True, slots=True)
class Sampling:
    """How turns are generated.

    Attributes:
        api: One of :data:`APIS`.
        max_tokens: Of one turn.
        temperature: 0 for the likeliest turn; all samples of a question are then alike.
        seed: From it, the question's id and the sample's number, every rollout derives a seed of its own.
        begin: What every turn begins with, one of :data:`ccs.agent.protocol.BEGINNINGS`; the model goes on from there
            (with ``chat`` and ``continue`` by vLLM's ``continue_final_message``).
    """

    api: str = "chat"
    max_tokens: int = 500
    temperature: float = 1.0
    seed: int = 0
    begin: str = ""

    def __post_init__(self) -> None:
        if self.begin not in protocol.BEGINNINGS:
            raise FrescoError(f"a turn begins with {self.begin!r}; it may with {', '.join(protocol.BEGINNINGS[1:])}")
        if self.api not in APIS:
            raise FrescoError(f"api is {self.api!r}; it is one of {', '.join(APIS)}")

    def seed_of(self, question: Question, sample: int) -> int:
        """The seed of one rollout, the same whatever else is rolled out."""
        text = f"{self.seed}\0{question.id}\0{sample}"
        return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]) % _SEEDS


@dataclass
class _Context:
    """The prompt, then what the model said and what it was told."""

    prompt: str
    exchanges: list[tuple[str, str]] = field(default_factory=list)

    @property
    def said(self) -> str:
        return "".join(reply + observation for reply, observation in self.exchanges)

    def going_on(self, begun: str) -> _Context:
        """The same with a turn that the model has begun."""
        return _Context(self.prompt, [*self.exchanges, (begun, "")])

    def messages(self, api: str, begun: str = "") -> list[dict[str, str]]:
        turns = [("user", self.prompt)]
        if api == "chat":
            for reply, observation in self.exchanges:
                turns += [("assistant", reply), ("user", observation.strip())]
            turns += [("assistant", begun)] if begun else []
        elif self.exchanges or begun:
            turns.append(("assistant", self.said + begun))
        return [{"role": role, "content": content} for role, content in turns]


class _Served:
    """The context of one rollout over a served model; see :class:`ccs.rollouts.episode.Context`."""

    def __init__(self, client: ChatClient, prompt: str, sampling: Sampling, seed: int, form: str, tokens: int | None):
        self._client, self._sampling, self._form = client, sampling, open_format(form)
        self._context = _Context(prompt)
        self._options = {"temperature": sampling.temperature, "seed": seed, "stop": list(protocol.TURN_ENDS)}
        self._tokens = self._left = tokens

    async def speak(self) -> tuple[str, Generation] | None:
        """See :class:`ccs.rollouts.episode.Context`."""
        most = self._sampling.max_tokens if self._left is None else max(1, min(self._sampling.max_tokens, self._left))
        try:
            text, generation = await self._generate(most)
        except FrescoError as error:
            if _TOO_LONG not in str(error):
                raise
            return None
        if self._tokens is not None and generation.prompt_tokens is not None:
            self._left = self._tokens - generation.prompt_tokens - (generation.completion_tokens or 0)
        return text, generation

    def hear(self, step: Step) -> bool:
        """See :class:`ccs.rollouts.episode.Context`; the server says at the next turn where there is no room."""
        self._context.exchanges.append((step.reply, step.observation))
        return True

    async def _generate(self, most: int) -> tuple[str, Generation]:
        started = time.perf_counter()
        begin = self._sampling.begin
        answer = await self._ask(self._context, most, begin)
        text, usage = _closed(answer, begin), dict(answer.usage)
        # A stop string that a thought quotes is not the end of the turn, where the server can go on from a text.
        while self._sampling.api != "chat" and text.endswith(protocol.TURN_ENDS) and self._form.is_open(text):
            written = usage.get("completion_tokens", most)
            if written >= most:
                break
            answer = await self._ask(self._context.going_on(text), most - written)
            text += _closed(answer)
            usage["completion_tokens"] = written + answer.usage.get("completion_tokens", most)
        seconds = time.perf_counter() - started
        cut = answer.finish_reason == "length"
        return text, Generation(usage.get("prompt_tokens"), usage.get("completion_tokens"), seconds, cut)

    async def _ask(self, context: _Context, most: int, begun: str = "") -> ChatAnswer:
        api = self._sampling.api
        options = {**self._options, "max_tokens": most}
        if api == "completions":
            return await self._client.completions_async(context.prompt + context.said + begun, **options)
        going_on: dict[str, Any] = {"continue_final_message": True, "add_generation_prompt": False}
        more = going_on if begun or (api == "continue" and context.exchanges) else {}
        return await self._client.chat_async(context.messages(api, begun), **options, **more)


async def roll_out(
    client: ChatClient,
    searches: GatheredSearches,
    question: Question,
    sample: int,
    *,
    agent: str = "search",
    limits: Limits | None = None,
    sampling: Sampling | None = None,
    template: str | None = None,
    form: str = "ccs",
) -> Trajectory:
    """Let an agent work on a question, within :meth:`ChatClient.connected`.

    Args:
        client: The model.
        searches: Of the retriever; of none where the agent does not search.
        question: Only its text reaches the model.
        sample: Which of the question's group.
        agent: One of :data:`ccs.agent.protocol.AGENTS`.
        limits: The budget.
        sampling: How turns are generated.
        template: Another prompt, of :func:`ccs.agent.protocol.read_template`.
        form: One of :data:`ccs.agent.formats.FORMATS`.

    Returns:
        The record. Where the model's server or the retriever fails for good, ``stop`` is ``error`` and the record is
        no result.
    """
    limits, sampling = limits or Limits(), sampling or Sampling()
    environment = Environment(searches.retriever, limits, agent=agent, template=template, form=form)
    seed = sampling.seed_of(question, sample)
    try:
        prompt = environment.begin(question, sample=sample, seed=seed, model=client.model)
        if environment.query is not None:
            prompt += environment.receive(*await searches(environment.query, environment.wanted)).observation
        await play(environment, _Served(client, prompt, sampling, seed, form, limits.tokens), searches)
    except FrescoError as error:
        environment.fail(str(error))
    return environment.trajectory


def _closed(answer: ChatAnswer, begun: str = "") -> str:
    """The turn, from what it was made to begin with, to the closing tag that servers cut off with the stop string.

    vLLM says which stop string it met. Where a server does not say, a turn that stopped within an action is taken to
    have been closed: the end-of-sequence token there cannot be told from a stop string.
    """
    choice: Mapping[str, Any] = answer.raw["choices"][0]
    text = begun + answer.text
    if text.rstrip().endswith(protocol.TURN_ENDS) or answer.finish_reason != "stop":
        return text
    if "stop_reason" in choice:
        met = choice["stop_reason"]
        return text + met if met in protocol.TURN_ENDS else text
    opened = max(("search", "answer"), key=lambda name: text.rfind(f"<{name}>"))
    unclosed = text.rfind(f"<{opened}>") > text.rfind(f"</{opened}>")
    return f"{text}</{opened}>" if unclosed else text
