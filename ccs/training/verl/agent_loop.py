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
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any
from uuid import uuid4

from ccs.agent import protocol
from ccs.agent.environment import Environment
from ccs.agent.question import Question
from ccs.agent.trajectory import Hit
from ccs.retrieve.client import RetrieverClient
from ccs.rollouts.episode import play
from ccs.rollouts.searches import GatheredSearches, SearchFailedError
from ccs.training.generated import Generated
from ccs.training.stream import TokenStream
from ccs.training.verl.settings import AGENT, RECORD, Settings, read_settings
from fresco.errors import FrescoError

try:
    from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopMetrics, AgentLoopOutput, register
except ImportError as error:
    raise FrescoError(f"verl cannot be imported ({error}); pip install 'fresco-ccs[verl]'") from error

_log = logging.getLogger(__name__)


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
        environment.begin(question, sample=int(kwargs.get("session_id", 0)), model=self._model)
        clock = _Clock()
        request = uuid4().hex  # the same for all turns, so that they reach the server that has the prefix
        generate = partial(self._generate, request, sampling_params, clock)
        stream = TokenStream(self.tokenizer, prompt_ids, self._room, self._settings.turn_tokens, generate)
        try:
            await play(environment, stream, partial(self._search, clock))
        except SearchFailedError as error:
            environment.fail(str(error))
            record = environment.trajectory
            _log.warning("rollout %d of question %r left out: %s", record.sample, record.question_id, record.error)
            raise
        fields = {RECORD: environment.trajectory.to_json(), "turn_scores": [], "tool_rewards": []}
        return AgentLoopOutput(
            prompt_ids=prompt_ids,
            response_ids=stream.ids,
            response_mask=stream.mask,
            response_logprobs=stream.logprobs if clock.has_logprobs else None,
            num_turns=1 + stream.spoken + stream.told,
            metrics=AgentLoopMetrics(
                generate_sequences=clock.generation, tool_calls=clock.retrieval, num_preempted=clock.preempted
            ),
            extra_fields=clock.extra | fields,
        )

    async def _generate(
        self, request: str, sampling_params: Mapping[str, Any], clock: _Clock, context: list[int], budget: int
    ) -> Generated:
        params = dict(sampling_params) | {"stop": list(protocol.TURN_ENDS), "max_tokens": budget}
        started = time.perf_counter()
        output = await self.server_manager.generate(request_id=request, prompt_ids=context, sampling_params=params)
        clock.note(output, time.perf_counter() - started)
        ids = list(output.token_ids)[:budget]
        if not ids or output.stop_reason == "aborted":
            raise FrescoError(f"the engine ended a turn without a token of it ({output.stop_reason})")
        return Generated(ids, list(output.log_probs) if output.log_probs else [0.0] * len(ids))

    async def _search(self, clock: _Clock, query: str, wanted: int) -> tuple[list[Hit], float]:
        hits, seconds = await _searches(self._settings, asyncio.get_running_loop())(query, wanted)
        clock.retrieval += seconds
        return hits, seconds


def _read_row(row: Mapping[str, Any]) -> tuple[Question, list[dict[str, str]]]:
    extra = row.get("extra_info")
    extra = extra if isinstance(extra, Mapping) else {}
    name, text = extra.get("id"), extra.get("question")
    messages = [dict(message) for message in row["raw_prompt"]]
    if not isinstance(name, str) or not isinstance(text, str) or protocol.one_line(text) not in messages[-1]["content"]:
        raise FrescoError("a row of the data is none of ours; make the file by `python -m ccs.training.verl.data`")
    return Question(name, text), messages


# verl makes a loop for every rollout, hundreds at once; connections, threads and what waits are the process's.
@lru_cache(maxsize=4)
def _client(settings: Settings) -> RetrieverClient:
    assert settings.retriever is not None
    return RetrieverClient(settings.retriever, timeout=settings.retriever_timeout, patience=settings.retriever_patience)


@lru_cache(maxsize=4)
def _searches(settings: Settings, _loop: asyncio.AbstractEventLoop) -> GatheredSearches:
    """One for each event loop, to which what waits is bound."""
    return GatheredSearches(_client(settings), settings.searches_at_once)
