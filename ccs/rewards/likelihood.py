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
import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from ccs.agent.protocol import one_line
from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.rewards.base import NO_ROLLOUT, RewardRow, ask_or_fail, is_final
from ccs.rewards.bottleneck import CHARACTERS, Bottleneck, Trace, open_bottleneck
from ccs.rewards.registry import REWARDS
from ccs.rewards.settings import RewardConfig
from fresco.clients.answer_cache import AnswerCache, request_key
from fresco.clients.json_api import RefusedError
from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError

BEFORE_QUESTION = "What follows was searched for and found, to answer one question.\n\n{trace}\n\nThe question was:\n"
_GIVEN_NOTHING = BEFORE_QUESTION.replace("{trace}", "(nothing)")
NOTHING = Trace(())
_TOO_LONG = re.compile(r"context|length|tokens|too long", re.IGNORECASE)
_SHORTEST_CUT = 80  # characters of a trace; where even these do not fit, it is not the trace that is too long
_MOST_KNOWN = 200_000  # numbers that are kept in memory


class Request(NamedTuple):
    """A text whose log-probability is wanted, and what stands before it: a template with ``{trace}``, and the trace."""

    template: str
    trace: Trace
    text: str


#: Mean log-probability and number of tokens, or why there is none.
Scored: TypeAlias = "tuple[float, int] | FrescoError"


class PromptScorer:
    """Log-probabilities of a continuation, by a vLLM server.

    Args:
        client: Of the server; give it no cache, since an answer holds every token of its prompt.
        cache: SQLite file that keeps the mean and the number of tokens alone.
    """

    def __init__(self, client: ChatClient, *, cache: Path | None = None) -> None:
        self.client = client
        self._kept = AnswerCache(cache) if cache else None
        self._known: dict[Request, tuple[float, int]] = {}
        self._context: int | None = None
        self._asked_context = False
        self._tokens: dict[str, list[int]] = {}
        self._turns: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def mean_logprob(self, before: str, text: str) -> float:
        """Mean log-probability in nats of the tokens of ``text`` right after ``before``.

        Raises:
            FrescoError: the server fails, gives no prompt_logprobs or no token ids, or the text has no token.
        """
        return self.mean_and_count(before, text)[0]

    def mean_and_count(self, before: str, text: str) -> tuple[float, int]:
        """:meth:`mean_logprob`, and the number of tokens of ``text``."""
        key = None
        if self._kept is not None:
            key = request_key("mean_logprob-1", {"model": self.client.identity, "before": before, "text": text})
            if (known := self._kept.get(key)) is not None:
                return float(known[0]), int(known[1])
        found = self._mean_and_count(before, text)
        if self._kept is not None and key is not None:
            mean, count = self._kept.put(key, found)  # another process may have been first
            found = (float(mean), int(count))
        return found

    def score(self, requests: Iterable[Request], characters: int) -> dict[Request, Scored]:
        """:meth:`fitted` for many requests at once; exact repeats, in a batch or after it, are asked once.

        Raises:
            FrescoError: nothing could be scored: the server is wrong, not the texts.
        """
        wanted = dict.fromkeys(requests)
        if len(self._known) > _MOST_KNOWN:
            self._known.clear()
        fresh = [each for each in wanted if each not in self._known]
        made = ask_or_fail(
            self.client,
            lambda each: self.fitted(each.template, each.trace, each.text, characters),
            fresh,
            proven=bool(self._known),
        )
        failed = {each: value for each, value in zip(fresh, made, strict=True) if isinstance(value, FrescoError)}
        self._known |= {each: value for each, value in zip(fresh, made, strict=True) if isinstance(value, tuple)}
        return {each: failed.get(each) or self._known[each] for each in wanted}

    def fitted(self, template: str, trace: Trace, text: str, characters: int) -> tuple[float, int]:
        """:meth:`mean_and_count` after a trace in a template, the trace cut where the model's context is too short.

        The server's own count of tokens says how much is too long; a server that cannot count is asked with half the
        characters after each refusal.

        Args:
            template: With ``{trace}`` in it.
            trace: What stands there.
            text: What follows.
            characters: Of the passages of one search.

        Raises:
            FrescoError: as :meth:`mean_logprob`; a text that alone is too long is refused.
        """
        total = len(trace.render(characters))
        while True:
            before = template.replace("{trace}", cut(trace, total, characters))
            excess = self._excess(before, text)
            if excess <= 1:
                try:
                    return self.mean_and_count(before, text)
                except RefusedError as refused:
                    if not is_final(refused) or not _TOO_LONG.search(str(refused)) or total < _SHORTEST_CUT:
                        raise
                    excess = 2.0
            if total < _SHORTEST_CUT:
                return self.mean_and_count(before, text)  # the server says what is wrong
            total = int(total / excess * 0.95)

    def _excess(self, before: str, text: str) -> float:
        """How many times too long a prompt is; at most 1 where it fits or nobody knows."""
        with self._lock:
            if not self._asked_context:
                self._context, self._asked_context = self.client.context(), True
        size = len((before + text).encode()) + 2  # no token is shorter than a byte
        if self._context is None or size < self._context:
            return 0.0
        count = self.client.count_tokens(before + text)
        return 0.0 if count is None else (count + 2) / self._context

    def close(self) -> None:
        """End the connections and close the cache."""
        self.client.close()
        if self._kept is not None:
            self._kept.close()

    def _mean_and_count(self, before: str, text: str) -> tuple[float, int]:
        tokens = self.tokenize(text)
        if not tokens:
            raise FrescoError(f"{self.client.shown}: the text {text[:40]!r} has no tokens")
        ids, logprobs = self._score(before + text)
        if ids[-len(tokens) :] != tokens or len(ids) <= len(tokens):
            # The tokenizer joined the two across their border: put the tokens side by side ourselves.
            ids, logprobs = self._score([*self._encode(before, special=True), *tokens])
        tail = logprobs[-len(tokens) :]
        return math.fsum(tail) / len(tail), len(tail)

    def tokenize(self, text: str) -> list[int]:
        """The tokens of a text alone, without those that open a prompt."""
        with self._lock:
            turn = self._turns.setdefault(text, threading.Lock())
        with turn:  # many threads begin with the same question
            if text not in self._tokens:
                self._tokens[text] = self._encode(text, special=False)
            return self._tokens[text]

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
def _open(_arguments: str, config: RewardConfig, cache: Path | None) -> LikelihoodReward:
    assert config.server is not None
    client = ChatClient(config.server)
    return LikelihoodReward(open_bottleneck(config.mask), client, characters=config.characters, cache=cache)


class LikelihoodReward:
    """Mean log-probability of the question given the trace, minus that given an empty trace; nats a token.

    Args:
        bottleneck: What of the trajectory is seen.
        client: Of a vLLM server with a frozen model.
        characters: Of the passages of one search.
        cache: SQLite file of the numbers.
        scorer: Of log-probabilities, in place of the server's.
    """

    needs_gold = False
    signed = True

    def __init__(
        self,
        bottleneck: Bottleneck,
        client: ChatClient,
        *,
        characters: int = CHARACTERS,
        cache: Path | None = None,
        scorer: PromptScorer | None = None,
    ) -> None:
        self._bottleneck, self._characters = bottleneck, characters
        self._scorer = scorer or PromptScorer(client, cache=cache)
        self.name = f"likelihood:{client.model}"
        digest = hashlib.sha256(BEFORE_QUESTION.encode()).hexdigest()[:16]
        self.fingerprint = f"likelihood-2|{client.identity}|{digest}|{characters}|{bottleneck.fingerprint}"

    def score(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[float | None]:
        """See :class:`ccs.rewards.base.Reward`; 0 is a trajectory that tells nothing of the question."""
        return [row.value for row in self.rows(batch, questions)]

    def rows(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[RewardRow]:
        """See :func:`ccs.rewards.base.score_rows`."""
        del questions
        alive = [number for number, trajectory in enumerate(batch) if trajectory.stop != "error"]
        traces = self._bottleneck([batch[number] for number in alive])
        pairs: dict[int, tuple[Request, Request]] = {}
        for number, trace in zip(alive, traces, strict=True):
            question = one_line(batch[number].question)
            pairs[number] = (Request(BEFORE_QUESTION, trace, question), Request(_GIVEN_NOTHING, NOTHING, question))
        found = self._scorer.score(
            (each for pair in pairs.values() if pair[0].trace.steps for each in pair), self._characters
        )
        return [
            gain_row(found, *pairs[number], "given the trajectory", "given nothing")
            if number in pairs
            else RewardRow(None, cause=NO_ROLLOUT)
            for number in range(len(batch))
        ]

    def close(self) -> None:
        """End the connections."""
        self._scorer.close()


def gain_row(found: Mapping[Request, Scored], more: Request, less: Request, with_: str, without: str) -> RewardRow:
    """The difference of two scores with its parts and the trace; 0 where the first has no search."""
    if not more.trace.steps:
        return RewardRow(0.0)
    seen = {"trace": more.trace.render()}
    one, other = found[more], found[less]
    for each in (one, other):
        if isinstance(each, FrescoError):
            return RewardRow(None, cause=str(each), final=is_final(each), seen=seen)
    assert isinstance(one, tuple) and isinstance(other, tuple)
    parts = {with_: one[0], without: other[0], "tokens": float(one[1])}
    return RewardRow(one[0] - other[0], parts, seen=seen)


def cut(trace: Trace, total: int, characters: int) -> str:
    """A trace as text of at most ``total`` characters: passages are cut first, then the last searches left out."""
    text = trace.render(characters)
    steps = trace.steps
    if len(text) > total and steps:
        characters = min(characters, max(1, total // len(steps)))
        text = trace.render(characters)
    while len(text) > total and len(steps) > 1:
        steps = steps[:-1]
        text = Trace(steps).render(characters)
    return text[: max(total, 0)]


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
