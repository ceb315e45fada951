"""Rollouts for GRPO: the agent of ``ccs rollout``, with the tokens that the policy really generated and their mask.

The same :mod:`ccs.agent.environment` and :mod:`ccs.agent.protocol` act on the text; beside it the token ids are kept
as they came
from the engine and never made again from text. Each token of a completion is the policy's (mask 1) or the
environment's (0: observations and corrections), and the mask grows where the token is appended. TRL takes it as
``env_mask``: tokens of the environment have no part in the loss, nor in the divergence from the first policy.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ccs.agent.environment import Environment, Generation, Step, step_all
from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.training.settings import AgentConfig
from ccs.training.tokens import encode_prompt, kept_tokens
from fresco.errors import FrescoError

if TYPE_CHECKING:
    from ccs.retrieve.base import Retriever
    from ccs.training.engines import Engine, Generated


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
    ids: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] | None = None
    trajectory: Trajectory = field(init=False)
    cut: bool = False


@dataclass
class Seconds:
    """Wall time of the phases of rolling out."""

    generation: float = 0.0
    retrieval: float = 0.0


class BatchedRollouts:
    """Rolls out many questions at once, turn by turn.

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
        engine: Engine,
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
        self.seconds = Seconds()

    def roll(
        self,
        tasks: Sequence[tuple[Question, int]],
        *,
        step: int = 0,
        greedy: bool = False,
        on_done: Callable[[int, Trajectory], None] | None = None,
    ) -> list[Rollout]:
        """Roll out.

        Args:
            tasks: Question and number of the sample, for each rollout.
            step: Of the training, so that seeds differ from step to step.
            greedy: The likeliest token each time.
            on_done: Told the number of each task and its trajectory as soon as it ends, while others go on.

        Raises:
            FrescoError: the engine failed for good. A retriever that fails ends the rollouts that asked it, as errors.
        """
        self.seconds = Seconds()
        environments = [
            Environment(self._retriever, self._config.limits(), template=self._template) for _ in range(len(tasks))
        ]
        seeds = [self._seed_of(question, sample, step) for question, sample in tasks]
        rollouts = []
        for environment, (question, sample), seed in zip(environments, tasks, seeds, strict=True):
            text = environment.reset(question, sample=sample, seed=seed)
            prompt = encode_prompt(self._tokenizer, self._config.layout, text)
            if len(prompt) >= self._config.context_tokens:
                raise FrescoError(
                    f"the prompt of question {question.id!r} has {len(prompt)} tokens, and agent.context_tokens is "
                    f"{self._config.context_tokens}; raise it"
                )
            rollouts.append(Rollout(prompt))
        active = list(range(len(tasks)))
        turn = 0
        while True:
            started = time.perf_counter()
            contexts = [rollouts[number].prompt_ids + rollouts[number].ids for number in active]
            budgets = [min(self._config.turn_tokens, self._config.context_tokens - len(each)) for each in contexts]
            # Before anything else of a turn, and by every process: one that has ended goes on with those that have not.
            agreed = self.engine.agree(budgets)
            if not agreed.contexts:
                break
            turns = self.engine.generate(
                contexts,
                budgets,
                [(seeds[number] + turn) % 2**31 for number in active],
                greedy=greedy,
                agreed=agreed,
            )
            seconds = time.perf_counter() - started
            self.seconds.generation += seconds
            self._act(active, environments, rollouts, turns, seconds)
            for number in active:
                if environments[number].done:
                    rollouts[number].trajectory = environments[number].trajectory
                    if on_done:
                        on_done(number, rollouts[number].trajectory)
            active = [number for number in active if not environments[number].done]
            turn += 1
        return rollouts

    def _act(
        self,
        active: Sequence[int],
        environments: Sequence[Environment],
        rollouts: Sequence[Rollout],
        turns: Sequence[Generated],
        seconds: float,
    ) -> None:
        texts = [self._decode(turn.ids) for turn in turns]
        counted = [
            Generation(len(rollouts[number].prompt_ids) + len(rollouts[number].ids), len(turn.ids), seconds)
            for number, turn in zip(active, turns, strict=True)
        ]
        started = time.perf_counter()
        acting = [environments[number] for number in active]
        steps = step_all(acting, texts, self._retriever, counted, tolerate=True)
        self.seconds.retrieval += time.perf_counter() - started
        for number, turn, step in zip(active, turns, steps, strict=True):
            self._append(rollouts[number], environments[number], turn, step)

    def _append(self, rollout: Rollout, environment: Environment, turn: Generated, step: Step) -> None:
        ids = turn.ids[: kept_tokens(turn.ids, step.reply, self._decode)]
        if not step.done and ids and ids[-1] == self._tokenizer.eos_token_id:
            ids = ids[:-1]  # the stream goes on: an end within it would tell the policy that it does not
        observation = self._tokenizer.encode(step.observation, add_special_tokens=False) if step.observation else []
        room = self._config.context_tokens - len(rollout.prompt_ids) - len(rollout.ids) - len(ids)
        if not step.done and len(observation) >= room:
            observation = observation[:room]
            environment.overflow()
            rollout.cut = True
        if step.done and not ids:
            # TRL wants at least one token of each; this one counts for nothing.
            observation = [self._tokenizer.eos_token_id] if not rollout.ids else []
        rollout.ids += ids + observation
        rollout.mask += [1] * len(ids) + [0] * len(observation)
        if turn.logprobs is not None:
            rollout.logprobs = (rollout.logprobs or []) + turn.logprobs[: len(ids)] + [0.0] * len(observation)

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _seed_of(self, question: Question, sample: int, step: int) -> int:
        text = f"{self._seed}\0{step}\0{question.id}\0{sample}"
        return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4]) % 2**31
