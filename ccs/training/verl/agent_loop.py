"""The search agent as an agent loop of verl: the environment and protocol of ``ccs rollout``, in tokens.

Tokens stay as the policy generated them and are never made again from text: the policy's have mask 1, those of
observations and corrections mask 0. The record of the rollout goes along in ``extra_fields``, so that the reward reads
what the environment saw and not what the policy wrote. verl's own cut of tool responses (256 characters) has no part
in this: observations are written by :mod:`ccs.agent.protocol`, whose limit shows where it cuts.

A rollout whose retriever fails raises. The V1 trainer then leaves that rollout out of its group (neither its tokens
nor a zero in the group's mean); :mod:`~ccs.training.verl.sampler` counts it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from uuid import uuid4

from ccs.agent import protocol
from ccs.agent.environment import Environment, Generation, Step
from ccs.agent.question import Question
from ccs.agent.trajectory import Hit
from ccs.retrieve.client import RetrieverClient
from ccs.training.tokens import kept_tokens
from ccs.training.verl.settings import AGENT, RECORD, Settings, read_settings
from fresco.errors import FrescoError

try:
    from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput, register
except ImportError as error:
    raise FrescoError(f"verl cannot be imported ({error}); pip install 'fresco-ccs[verl]'") from error

_log = logging.getLogger(__name__)


@dataclass
class _Stream:
    """What follows the prompt, in tokens."""

    ids: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    def append(self, ids: Sequence[int], mask: int, logprobs: Sequence[float] | None = None) -> None:
        self.ids += ids
        self.mask += [mask] * len(ids)
        self.logprobs += [0.0] * len(ids) if logprobs is None else logprobs


@dataclass
class _Clock:
    """Seconds by phase, and what verl wants to know of the engine."""

    generation: float = 0.0
    retrieval: float = 0.0
    preempted: int = -1
    extra: dict[str, Any] = field(default_factory=dict)
    has_logprobs: bool = True

    def note(self, output: Any, seconds: float) -> None:
        self.generation += seconds
        self.has_logprobs = self.has_logprobs and bool(output.log_probs or not output.token_ids)
        if output.num_preempted is not None:
            self.preempted = max(self.preempted, 0) + output.num_preempted
        # The trainer asks for the first and the last version of the weights that a rollout saw, and takes no None.
        latest = output.extra_fields.get("max_global_steps")
        self.extra = self.extra or dict(output.extra_fields)
        if latest is not None:
            self.extra["max_global_steps"] = latest


@register(AGENT)
class SearchAgentLoop(AgentLoopBase):  # type: ignore[misc]
    """One rollout; verl makes an instance for each.

    Reads the section ``ccs`` of the configuration (:class:`~ccs.training.verl.settings.Settings`), and of each row of
    the
    data ``raw_prompt`` and, in ``extra_info``, the question and its id, as :mod:`~ccs.training.verl.data` writes them.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._settings = read_settings(self.config.get("ccs"))
        self._room = int(self.rollout_config.response_length)
        self._model = str(self.config.actor_rollout_ref.model.path)

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> AgentLoopOutput:
        """Roll out.

        Args:
            sampling_params: verl's; stop strings and a limit of tokens are added.
            **kwargs: The row of the data; ``session_id`` is which of its group this is.

        Returns:
            Prompt, response, mask, log-probabilities where the engine gives them, and the record.

        Raises:
            FrescoError: the retriever or the engine failed, or the row is none of ours.
        """
        question, messages = _read_row(kwargs)
        prompt_ids = list(await self.ct_build_initial_tokens(messages))
        if len(prompt_ids) >= self.rollout_config.prompt_length:
            # verl cuts longer ones from the left, with no more than a warning: the instructions would be gone.
            raise FrescoError(f"question {question.id!r}: its prompt fills data.max_prompt_length; raise that")
        environment = Environment(_client(self._settings), self._settings.limits())
        environment.reset(question, sample=int(kwargs.get("session_id", 0)), model=self._model)
        stream, clock = _Stream(), _Clock()
        request = uuid4().hex  # the same for all turns, so that they reach the server that has the prefix
        spoken = told = 0
        while not environment.done:
            ids, logprobs = await self._generate(request, prompt_ids + stream.ids, sampling_params, clock, stream)
            step = await self._step(environment, ids, len(prompt_ids) + len(stream.ids), clock)
            spoken += 1
            stream.append(*self._kept(ids, logprobs, step))
            told += self._tell(environment, stream, step)
        if not stream.ids:
            stream.append([self.tokenizer.eos_token_id], 0)  # verl wants a token; this one counts for nothing
        record = {RECORD: environment.trajectory.to_json(), "turn_scores": [], "tool_rewards": []}
        return AgentLoopOutput(
            prompt_ids=prompt_ids,
            response_ids=stream.ids,
            response_mask=stream.mask,
            response_logprobs=stream.logprobs if clock.has_logprobs else None,
            num_turns=1 + spoken + told,
            metrics=AgentLoopMetrics(
                generate_sequences=clock.generation, tool_calls=clock.retrieval, num_preempted=clock.preempted
            ),
            extra_fields=clock.extra | record,
        )

    async def _generate(
        self, request: str, context: list[int], sampling_params: Mapping[str, Any], clock: _Clock, stream: _Stream
    ) -> tuple[list[int], list[float] | None]:
        params = dict(sampling_params)
        params["stop"] = list(protocol.TURN_ENDS)
        params["max_tokens"] = min(self._settings.turn_tokens, self._room - len(stream.ids))
        started = time.perf_counter()
        output = await self.server_manager.generate(request_id=request, prompt_ids=context, sampling_params=params)
        clock.note(output, time.perf_counter() - started)
        ids = list(output.token_ids)[: params["max_tokens"]]
        if not ids or output.stop_reason == "aborted":
            raise FrescoError(f"the engine ended a turn without a token of it ({output.stop_reason})")
        return ids, output.log_probs

    async def _step(self, environment: Environment, ids: list[int], context: int, clock: _Clock) -> Step:
        step = environment.submit(self._decode(ids), Generation(context, len(ids)))
        if step is not None:
            return step
        started = time.perf_counter()
        try:
            hits = await asyncio.get_running_loop().run_in_executor(
                _threads(self._settings.searches_at_once),
                _search,
                _client(self._settings),
                environment.query or "",
                environment.wanted,
            )
        except FrescoError as error:
            environment.fail(str(error))
            record = environment.trajectory
            _log.warning("rollout %d of question %r left out: %s", record.sample, record.question_id, record.error)
            raise
        seconds = time.perf_counter() - started
        clock.retrieval += seconds
        return environment.receive(hits, seconds)

    def _kept(self, ids: list[int], logprobs: Sequence[float] | None, step: Step) -> tuple[list[int], int, list[float]]:
        count = kept_tokens(ids, step.reply, self._decode)
        if not step.done and count and ids[count - 1] == self.tokenizer.eos_token_id:
            count -= 1  # the stream goes on: an end within it would tell the policy that it does not
        return ids[:count], 1, list(logprobs[:count]) if logprobs else [0.0] * count

    def _tell(self, environment: Environment, stream: _Stream, step: Step) -> int:
        if step.done:
            return 0
        observation = self.tokenizer.encode(step.observation, add_special_tokens=False)
        room = self._room - len(stream.ids)
        if len(observation) >= room:
            observation = observation[:room]
            environment.overflow()
        stream.append(observation, 0)
        return 1

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def _read_row(row: Mapping[str, Any]) -> tuple[Question, list[dict[str, str]]]:
    extra = row.get("extra_info")
    extra = extra if isinstance(extra, Mapping) else {}
    name, text = extra.get("id"), extra.get("question")
    messages = [dict(message) for message in row["raw_prompt"]]
    if not isinstance(name, str) or not isinstance(text, str) or protocol.one_line(text) not in messages[-1]["content"]:
        raise FrescoError("a row of the data is none of ours; make the file by `python -m ccs.training.verl.data`")
    return Question(name, text), messages


def _search(client: RetrieverClient, query: str, wanted: int) -> list[Hit]:
    found = client.search([query], wanted)
    if len(found) != 1:
        raise FrescoError(f"the retriever answered 1 query with {len(found)} lists of passages")
    return found[0]


# verl makes a loop for every rollout, hundreds at once; connections and threads are the process's.
@lru_cache(maxsize=4)
def _client(settings: Settings) -> RetrieverClient:
    assert settings.retriever is not None
    return RetrieverClient(settings.retriever, timeout=settings.retriever_timeout, patience=settings.retriever_patience)


@lru_cache(maxsize=4)
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, "search")
