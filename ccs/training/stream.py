"""The context of one episode in tokens, as TRL's trainer and verl's agent loop need it.

Token ids are kept as they came from the engine and never made again from text. Each token is the policy's (mask 1) or
the environment's (0: observations and corrections), and the mask grows where the token is appended.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ccs.agent.environment import Generation, Step
from ccs.training.generated import Generated
from ccs.training.tokens import kept_tokens


class TokenStream:
    """A :class:`ccs.rollouts.episode.Context` of tokens.

    Args:
        tokenizer: Of the policy.
        prompt_ids: Of the prompt.
        room: Tokens that may follow it.
        turn_tokens: Of one turn, at most.
        generate: From the context's ids and the most tokens of a turn to the turn.

    Attributes:
        ids: Of all that followed the prompt.
        mask: 1 where the policy generated the token, 0 where the environment wrote it; as long as ``ids``.
        logprobs: By the engine, 0 on the environment's tokens; None where the engine gives none.
        cut: Whether the episode ended because the context was full.
        spoken: Turns of the policy.
        told: Observations and corrections.
    """

    def __init__(
        self,
        tokenizer: Any,
        prompt_ids: Sequence[int],
        room: int,
        turn_tokens: int,
        generate: Callable[[list[int], int], Awaitable[Generated]],
    ) -> None:
        self._tokenizer, self._room, self._turn_tokens, self._generate = tokenizer, room, turn_tokens, generate
        self.prompt_ids = list(prompt_ids)
        self.ids: list[int] = []
        self.mask: list[int] = []
        self.logprobs: list[float] | None = None
        self.cut = False
        self.spoken = self.told = 0
        self._turn = Generated([])

    async def speak(self) -> tuple[str, Generation]:
        """See :class:`ccs.rollouts.episode.Context`."""
        context = self.prompt_ids + self.ids
        started = time.perf_counter()
        self._turn = await self._generate(context, min(self._turn_tokens, self._room - len(self.ids)))
        self.spoken += 1
        seconds = time.perf_counter() - started
        return self._decode(self._turn.ids), Generation(len(context), len(self._turn.ids), seconds)

    def hear(self, step: Step) -> bool:
        """See :class:`ccs.rollouts.episode.Context`."""
        ids = self._turn.ids[: kept_tokens(self._turn.ids, step.reply, self._decode)]
        if not step.done and ids and ids[-1] == self._tokenizer.eos_token_id:
            ids = ids[:-1]  # the stream goes on: an end within it would tell the policy that it does not
        observation = self._tokenizer.encode(step.observation, add_special_tokens=False) if step.observation else []
        self.told += not step.done
        room = self._room - len(self.ids) - len(ids)
        self.cut = not step.done and len(observation) >= room
        if self.cut:
            observation = observation[:room]
        if step.done and not ids and not self.ids:
            observation = [self._tokenizer.eos_token_id]  # trainers want a token; this one counts for nothing
        self.ids += ids + observation
        self.mask += [1] * len(ids) + [0] * len(observation)
        if self._turn.logprobs is not None:
            self.logprobs = (self.logprobs or []) + self._turn.logprobs[: len(ids)] + [0.0] * len(observation)
        return not self.cut

    def end(self) -> None:
        """Keep the last turn as it came, where no step was made of it because the search failed."""
        self.hear(Step(self._decode(self._turn.ids), "", True))

    def _decode(self, ids: Sequence[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
