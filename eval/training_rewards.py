"""Rewards that ``eval/search_training.py`` trains with besides the configured ones: controls, and models in-process.

A policy of half a million parameters needs no server, so what the likelihood and the confidence rewards ask a vLLM
server for is answered here by transformers, in the server's format. The judge is a stand-in with rules, since no
language model is here: it reads the prompt of the real judge and grades by what can be checked in it.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch

from ccs.agent.protocol import one_line, write_information
from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.rewards.base import Reward
from ccs.rewards.bottleneck import CHARACTERS, Bottleneck
from ccs.rewards.likelihood import PromptScorer
from ccs.rewards.mask import MaskOptions, Span
from ccs.training.demo.model import PROMPT
from fresco.clients.chat_answer import ChatAnswer


class Shuffled:
    """A reward whose values change places within each group: the same distribution, and no information."""

    def __init__(self, inner: Reward, seed: int) -> None:
        self._inner, self._seed = inner, seed
        self.name, self.fingerprint = f"shuffled {inner.name}", f"shuffled|{seed}|{inner.fingerprint}"
        self.needs_gold, self.signed = inner.needs_gold, inner.signed

    def score(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[float | None]:
        """See :class:`ccs.rewards.base.Reward`."""
        scores = self._inner.score(batch, questions)
        groups: dict[str, list[int]] = {}
        for number, trajectory in enumerate(batch):
            groups.setdefault(trajectory.question_id, []).append(number)
        shuffled = list(scores)
        for members in groups.values():
            # What a group looks like decides its shuffle, so that a question asked again is shuffled anew.
            text = f"{self._seed}{[batch[number].to_json() for number in members]}"
            places = list(members)
            random.Random(hashlib.sha256(text.encode()).digest()).shuffle(places)
            for here, there in zip(members, places, strict=True):
                shuffled[here] = scores[there]
        return shuffled


class NoMasker:
    """Masks nothing: what the bottleneck would be without its mask."""

    name = fingerprint = "no mask"

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """None."""
        return [[] for _ in texts]


def open_bottleneck_without_mask() -> Bottleneck:
    """Queries as they were asked."""
    return Bottleneck(NoMasker(), MaskOptions(propagate=False))


class LocalModel:
    """Answers ``/completions`` with ``prompt_logprobs`` as vLLM does, by a model in this process.

    Args:
        name: Shown in tables.
        tokenizer: Of the model.
        model: Gives the model at the time of asking: a policy changes.
    """

    def __init__(self, name: str, tokenizer: Any, model: Callable[[], Any]) -> None:
        self.model = self.shown = name
        self._tokenizer, self._open = tokenizer, model

    def completions(self, prompt: str | Sequence[int], **options: Any) -> ChatAnswer:
        """One prompt."""
        ids = self._tokenizer.encode(prompt, add_special_tokens=False) if isinstance(prompt, str) else list(prompt)
        choice: dict[str, Any] = {"text": "", "prompt_token_ids": ids}
        if "prompt_logprobs" in options:
            model = self._open()
            with torch.no_grad():
                rows = torch.tensor([ids])
                found = model(input_ids=rows).logits[0, :-1].float().log_softmax(-1).gather(1, rows[0, 1:, None])
            values = [
                {str(token): {"logprob": float(value)}} for token, value in zip(ids[1:], found[:, 0], strict=True)
            ]
            choice["prompt_logprobs"] = [None, *values]
        return ChatAnswer("", raw={"choices": [choice]})

    def each(self, work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """One after another."""
        return [work(item) for item in items]

    def close(self) -> None:
        """Nothing to end."""


class OwnConfidence:
    """The policy's own confidence in its answer, in the very context that it answered in (RLIF).

    Args:
        model: Its answers to ``/completions``.
    """

    name = fingerprint = "self-confidence"
    needs_gold = signed = False

    def __init__(self, model: LocalModel) -> None:
        self._scorer = PromptScorer(model)  # type: ignore[arg-type]

    def score(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[float | None]:
        """See :class:`ccs.rewards.base.Reward`; an unanswered question earns 0."""
        return [None if each.stop == "error" else self._confidence(each) for each in batch]

    def _confidence(self, trajectory: Trajectory) -> float:
        if trajectory.answer is None:
            return 0.0
        context = PROMPT.format(question=one_line(trajectory.question))
        for turn in trajectory.turns[:-1]:
            context += turn.text + (write_information(turn.hits, CHARACTERS) if turn.query else "")
        return math.exp(self._scorer.mean_logprob(context, trajectory.turns[-1].text))


class RuleJudge:
    """Stands in for the language model that judges by rules: it chats, and knows three of them."""

    model = shown = "rules (stand-in)"

    def chat(self, prompt: str, **_: Any) -> ChatAnswer:
        """Grade the work in a judge's prompt: evidence, an answer taken from it, brevity."""
        found = " ".join(re.findall(r"Doc \d+: (.*)", prompt))
        answer = re.findall(r"<answered>(.*)</answered>", prompt)[-1].strip()
        grade = 3 * bool(found) + 5 * bool(answer and answer.casefold() in found.casefold()) + 2 * (len(answer) < 40)
        return ChatAnswer(f"Score: {grade}")

    def each(self, work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """One after another."""
        return [work(item) for item in items]

    def close(self) -> None:
        """Nothing to end."""
