"""``likelihood``: how much likelier the question becomes once one has seen the bottlenecked trajectory.

The mean log-probability (nats a token) of the question's tokens given the trace, minus that given an empty one. Beyond
the paper: it needs no generation and no similarity, so it costs one forward pass over the trace, and it is not noisy.

vLLM's ``/v1/completions`` with ``prompt_logprobs`` gives the log-probability of each token of a prompt. The border
between what stands before the question and the question itself must be the border of two tokens, and the question's
tokens must be the same ones with and without the trace: else the difference would be one of segmentation. So the
question is tokenized alone, once, and a prompt whose last tokens are not exactly those is sent again as token ids.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from ccs.agent.protocol import one_line
from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.rewards.base import ask_each
from ccs.rewards.bottleneck import CHARACTERS, Bottleneck, Trace, open_bottleneck
from ccs.rewards.registry import REWARDS
from ccs.rewards.settings import RewardConfig
from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError

BEFORE_QUESTION = "What follows was searched for and found, to answer one question.\n\n{trace}\n\nThe question was:\n"
_EMPTY = "(nothing)"


class PromptScorer:
    """Log-probabilities of a continuation, by a vLLM server.

    Args:
        client: Of the server; give it no cache, since an answer holds every token of its prompt.
    """

    def __init__(self, client: ChatClient) -> None:
        self.client = client
        self._tokens: dict[str, list[int]] = {}
        self._lock = threading.Lock()

    def mean_logprob(self, before: str, text: str) -> float:
        """Mean log-probability in nats of the tokens of ``text`` right after ``before``.

        Raises:
            FrescoError: the server fails, gives no prompt_logprobs or no token ids, or the text has no token.
        """
        tokens = self.tokenize(text)
        if not tokens:
            raise FrescoError(f"{self.client.shown}: the text {text[:40]!r} has no tokens")
        ids, logprobs = self._score(before + text)
        if ids[-len(tokens) :] != tokens or len(ids) <= len(tokens):
            # The tokenizer joined the two across their border: put the tokens side by side ourselves.
            ids, logprobs = self._score([*self._encode(before, special=True), *tokens])
        tail = logprobs[-len(tokens) :]
        return math.fsum(tail) / len(tail)

    def tokenize(self, text: str) -> list[int]:
        """The tokens of a text alone, without those that open a prompt."""
        with self._lock:
            known = self._tokens.get(text)
        if known is None:
            known = self._encode(text, special=False)
            with self._lock:
                self._tokens[text] = known
        return known

    def _encode(self, text: str, *, special: bool) -> list[int]:
        answer = self.client.completions(
            text, max_tokens=1, temperature=0.0, return_token_ids=True, add_special_tokens=special
        )
        return self._ids(answer.raw["choices"][0])

    def _score(self, prompt: str | Sequence[int]) -> tuple[list[int], list[float]]:
        """Ids and log-probabilities of a prompt's tokens; the first has none (NaN)."""
        answer = self.client.completions(
            prompt, max_tokens=1, temperature=0.0, prompt_logprobs=0, return_token_ids=True
        )
        choice = answer.raw["choices"][0]
        ids, rows = self._ids(choice), choice.get("prompt_logprobs")
        if not isinstance(rows, list) or len(rows) != len(ids):
            raise FrescoError(
                f"{self.client.shown} gives no prompt_logprobs; the likelihood reward needs a vLLM server"
            )
        return ids, [_logprob(row, token, self.client.shown) for row, token in zip(rows, ids, strict=True)]

    def _ids(self, choice: Mapping[str, Any]) -> list[int]:
        ids = choice.get("prompt_token_ids")
        if not isinstance(ids, list) or not all(isinstance(each, int) for each in ids):
            raise FrescoError(
                f"{self.client.shown} gives no prompt_token_ids; the likelihood reward needs a vLLM server"
            )
        return ids


@REWARDS.register(
    "likelihood",
    "how much likelier the question becomes given the trajectory, in nats a token",
    needs="a vLLM server",
    settings="server!, mask, characters",
    gates="on",
)
def _open(_arguments: str, config: RewardConfig) -> LikelihoodReward:
    assert config.server is not None
    # No cache: an answer holds every token of its prompt.
    return LikelihoodReward(open_bottleneck(config.mask), ChatClient(config.server), characters=config.characters)


class LikelihoodReward:
    """Mean log-probability of the question given the trace, minus that given an empty trace; nats a token.

    Args:
        bottleneck: What of the trajectory is seen.
        client: Of a vLLM server with a frozen model.
        characters: Of the passages of one search.
    """

    needs_gold = False
    signed = True

    def __init__(self, bottleneck: Bottleneck, client: ChatClient, *, characters: int = CHARACTERS) -> None:
        self._bottleneck, self._characters = bottleneck, characters
        self._scorer = PromptScorer(client)
        self.name = f"likelihood:{client.model}"
        digest = hashlib.sha256(BEFORE_QUESTION.encode()).hexdigest()[:16]
        self.fingerprint = f"likelihood-1|{client.identity}|{digest}|{characters}|{bottleneck.fingerprint}"
        self._empty: dict[str, float] = {}

    def score(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[float | None]:
        """See :class:`ccs.rewards.base.Reward`; 0 is a trajectory that tells nothing of the question."""
        del questions
        alive = [number for number, trajectory in enumerate(batch) if trajectory.stop != "error"]
        traces = dict(zip(alive, self._bottleneck([batch[number] for number in alive]), strict=True))
        asked = list(dict.fromkeys(one_line(batch[number].question) for number in alive))
        fresh = [question for question in asked if question not in self._empty]
        given_nothing = ask_each(self._scorer.client, lambda question: self._given(None, question), fresh)
        self._empty |= {q: value for q, value in zip(fresh, given_nothing, strict=True) if value is not None}

        def gain(number: int) -> float | None:
            question = one_line(batch[number].question)
            if question not in self._empty:
                return None
            return self._given(traces[number], question) - self._empty[question] if traces[number].steps else 0.0

        scores: list[float | None] = [None] * len(batch)
        for number, value in zip(alive, ask_each(self._scorer.client, gain, alive), strict=True):
            scores[number] = value
        return scores

    def _given(self, trace: Trace | None, question: str) -> float:
        text = trace.render(self._characters) if trace else _EMPTY
        return self._scorer.mean_logprob(BEFORE_QUESTION.replace("{trace}", text), question)

    def close(self) -> None:
        """End the connections."""
        self._scorer.client.close()


def _logprob(row: Any, token: int, shown: str) -> float:
    if row is None:  # the first token of a prompt
        return math.nan
    try:
        value = float(row[str(token)]["logprob"])
    except (TypeError, KeyError, ValueError):
        raise FrescoError(
            f"{shown} gives prompt_logprobs that cannot be read; the reward needs a vLLM server"
        ) from None
    return value
