"""Rollouts for GRPO: the agent of ``ccs rollout``, with the tokens that the policy really generated and their mask.

The same :mod:`ccs.agent.environment` and :mod:`ccs.agent.protocol` act on the text; beside it the token ids are kept
as they came
from the engine and never made again from text. Each token of a completion is the policy's (mask 1) or the
environment's (0: observations and corrections), and the mask grows where the token is appended. TRL takes it as
``env_mask``: tokens of the environment have no part in the loss, nor in the divergence from the first policy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ccs.agent.environment import Environment
from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory
from ccs.rollouts.episode import play
from ccs.rollouts.many import run
from ccs.rollouts.searches import GatheredSearches, SearchFailedError
from ccs.training.engines import Engine, SoloEngine
from ccs.training.settings import AgentConfig
from ccs.training.stream import TokenStream
from ccs.training.tokens import encode_prompt
from ccs.training.turns import BatchedTurns, Clock, SoloTurns, Turns
from fresco.errors import FrescoError

if TYPE_CHECKING:
    from ccs.retrieve.base import Retriever


@dataclass
class Rollout:
    """One trajectory as tokens.

    Attributes:
        prompt_ids: Of the prompt.
        ids: Of all that followed.
        mask: 1 where the policy generated the token, 0 where the environment wrote it; as long as ``ids``.
        logprobs: By the engine, 0 on the environment's tokens; None where the trainer generated.
        trajectory: The environment's record.
        cut: Whether it ended because the context was full.
    """

    prompt_ids: list[int]
    ids: list[int]
    mask: list[int]
    logprobs: list[float] | None
    trajectory: Trajectory
    cut: bool = False


class BatchedRollouts:
    """Rolls out many questions at once.

    Args:
        engine: Generates.
        retriever: Searches.
        tokenizer: Of the policy.
        config: The agent.
        seed: Of the engines that take one for each rollout.
        template: Text of another prompt; None is the one of ``ccs rollout``.
    """

    def __init__(
        self,
        engine: Engine | SoloEngine,
        retriever: Retriever,
        tokenizer: Any,
        config: AgentConfig,
        *,
        seed: int = 0,
        template: str | None = None,
    ) -> None:
        self.engine = engine
        self._retriever = retriever
        self._tokenizer = tokenizer
        self._config = config
        self._seed = seed
        self._template = template
        self.seconds = Clock()

    def roll(
        self,
        tasks: Sequence[tuple[Question, int]],
        *,
        step: int = 0,
        greedy: bool = False,
        on_done: Callable[[int, Trajectory], None] | None = None,
        on_again: Callable[[], None] | None = None,
    ) -> list[Rollout]:
        """Roll out.

        Args:
            tasks: Question and number of the sample, for each rollout.
            step: Of the training, so that seeds differ from step to step.
            greedy: The likeliest token each time.
            on_done: Told the number of each task and its trajectory as soon as it ends, while others go on.
            on_again: Told that all of it begins again, since the engine lost the policy's weights in between.

        Raises:
            FrescoError: the engine failed for good. A retriever that fails ends the rollouts that asked it, as errors.
        """
        while True:
            if isinstance(self.engine, SoloEngine):
                self.engine.begin()
            rollouts = run(self._roll(tasks, step, greedy, on_done))
            if not isinstance(self.engine, SoloEngine) or self.engine.held():
                return rollouts
            if on_again:
                on_again()

    async def _roll(
        self,
        tasks: Sequence[tuple[Question, int]],
        step: int,
        greedy: bool,
        on_done: Callable[[int, Trajectory], None] | None,
    ) -> list[Rollout]:
        self.seconds = clock = Clock()
        seeds = [self._seed_of(question, sample, step) for question, sample in tasks]
        kind = SoloTurns if isinstance(self.engine, SoloEngine) else BatchedTurns
        turns: Turns = kind(self.engine, seeds, clock, greedy=greedy)  # type: ignore[arg-type] # as it is
        rollouts: list[Rollout | None] = [None] * len(tasks)

        async def search(query: str, wanted: int) -> tuple[list[Hit], float]:
            with clock.searching():
                return await searches(query, wanted)

        async def episode(number: int, environment: Environment, stream: TokenStream) -> None:
            try:
                await play(environment, stream, search)
            except SearchFailedError as error:
                environment.fail(str(error))
                stream.end()
            rollouts[number] = Rollout(
                stream.prompt_ids, stream.ids, stream.mask, stream.logprobs, environment.trajectory, stream.cut
            )
            if on_done:
                on_done(number, environment.trajectory)

        begun = []
        for number, ((question, sample), seed) in enumerate(zip(tasks, seeds, strict=True)):
            environment = Environment(self._retriever, self._config.limits(), template=self._template)
            prompt = self._prompt(question, environment.begin(question, sample=sample, seed=seed))
            room = self._config.context_tokens - len(prompt)
            generate = partial(turns.turn, number)
            begun.append((environment, TokenStream(self._tokenizer, prompt, room, self._config.turn_tokens, generate)))
        with GatheredSearches(self._retriever) as searches:
            await turns.play([episode(number, *each) for number, each in enumerate(begun)])
        return [rollout for rollout in rollouts if rollout is not None]

    def _prompt(self, question: Question, text: str) -> list[int]:
        prompt = encode_prompt(self._tokenizer, self._config.layout, text)
        if len(prompt) >= self._config.context_tokens:
            raise FrescoError(
                f"the prompt of question {question.id!r} has {len(prompt)} tokens, and agent.context_tokens is "
                f"{self._config.context_tokens}; raise it"
            )
        return prompt

    def _seed_of(self, question: Question, sample: int, step: int) -> int:
        text = f"{self._seed}\0{step}\0{question.id}\0{sample}"
        return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4]) % 2**31
