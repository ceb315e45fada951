"""A local causal language model for the studies: log-probabilities of continuations, and greedy lines.

The trunk runs in bfloat16 where that is asked for; logits are taken at the wanted positions alone, in float32, which a
server's ``prompt_logprobs`` (all positions of a prompt) cannot spare, and of many prompts in one product: the head of
a small model with a large vocabulary costs as much as its trunk. A few prompts that were read stay in memory, and each
new one goes on where it parts from the nearest of them: the traces of one question share most of what they begin with.
Every number is kept in an SQLite file, so that a study that was stopped goes on; :meth:`LocalLM.rehearse` says before
it starts how much there is to read.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise, takewhile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from ccs.rewards.bottleneck import Trace
from ccs.rewards.likelihood import PromptScorer, Request, Scored, cut
from ccs.rewards.reconstruct import Candidates
from fresco.clients.answer_cache import AnswerCache, request_key

_MOST_CHARACTERS = 12_000  # of a trace; within every context here, and no study comes near it
_SLOTS = 8  # prompts whose keys and values stay in memory
_SHORT = 64  # tokens that are dropped from a kept prompt, rather than that it is copied
_POSITIONS = 256  # whose logits are computed at once: 270 MB for a vocabulary of 262,144
_CHARACTERS_A_TOKEN = 4.0  # of English prose, about; for estimates alone


class OutOfTimeError(Exception):
    """The minutes of this run are over; what was measured is kept."""


@dataclass
class _Slot:
    """A prompt that was read: its tokens, keys and values."""

    ids: list[int]
    cache: Any


class LocalLM:
    """A model of a folder or hub id.

    Args:
        path: Of the model.
        name: What it is called in tables and in the file of numbers.
        dtype: Of its trunk.
        cache: SQLite file of the numbers.
        minutes: Of new measurements; then :class:`OutOfTimeError`.
    """

    def __init__(self, path: str, name: str, *, dtype: str, cache: Path, minutes: float) -> None:
        self.name, self.model, self.identity = name, name, f"local-2|{name}|{dtype}"
        self._path, self._dtype = path, getattr(torch, dtype)
        self._kept = AnswerCache(cache)
        self._end = time.monotonic() + minutes * 60
        self._loaded: tuple[Any, Any] | None = None
        self._slots: list[_Slot] = []  # the one that was used last stands last
        self._rehearsed: dict[str, None] | None = None
        self.read, self.shared = 0, 0  # tokens that were computed, and that a prompt had in common with one before

    def logprobs(self, pairs: Sequence[tuple[str, str]]) -> list[list[float]]:
        """For each (what stands before, text) the log-probability in nats of each token of the text."""
        found = {pair: self._known("logprobs", *pair) for pair in dict.fromkeys(pairs)}
        fresh = [pair for pair, known in found.items() if known is None]
        if self._rehearsed is not None:
            self._rehearsed |= dict.fromkeys(before + text for before, text in fresh)
            found |= {pair: [0.0] for pair in fresh}
        elif fresh:
            for pair, made in zip(fresh, self._in_turn(fresh), strict=True):
                found[pair] = made
        return [found[pair] for pair in pairs]

    def line(self, prompt: str, *, chat: bool, tokens: int = 40) -> str:
        """What it writes next, greedily, to the end of the line."""
        kind = f"line {chat} {tokens}"
        if (known := self._known(kind, prompt, "")) is None:
            if self._rehearsed is not None:
                self._rehearsed[prompt] = None
                return "unknown"
            known = self._keep(kind, prompt, "", self._line(prompt, chat, tokens))
        return str(known)

    @contextmanager
    def rehearse(self) -> Iterator[Callable[[], int]]:
        """Compute nothing, answer every question that is not known with nothing, and add up what there is to read.

        Yields:
            About how many tokens there are, what prompts have in common being read once.
        """
        self._rehearsed = {}
        try:
            yield lambda: self._estimate(self._rehearsed or {})
        finally:
            self._rehearsed = None

    @staticmethod
    def _estimate(prompts: Iterable[str]) -> int:
        ordered = sorted(prompts)
        same = (_common(*two) for two in pairwise(["", *ordered]))
        return int(sum(len(each) - shared for each, shared in zip(ordered, same, strict=True)) / _CHARACTERS_A_TOKEN)

    def _key(self, kind: str, before: str, text: str) -> bytes:
        return request_key(kind, {"model": self.identity, "before": before, "text": text})

    def _known(self, kind: str, before: str, text: str) -> Any:
        return self._kept.get(self._key(kind, before, text))

    def _keep(self, kind: str, before: str, text: str, value: Any) -> Any:
        return self._kept.put(self._key(kind, before, text), value)

    def _open(self) -> tuple[Any, Any]:
        if time.monotonic() > self._end:
            raise OutOfTimeError
        if self._loaded is None:
            model = AutoModelForCausalLM.from_pretrained(self._path, dtype=self._dtype).eval()
            self._head = model.get_output_embeddings().weight.float().T
            self._loaded = (AutoTokenizer.from_pretrained(self._path), model)
        return self._loaded

    def _in_turn(self, pairs: Sequence[tuple[str, str]]) -> list[list[float]]:
        """Each prompt, in the order of their tokens, from where it parts from one that was read."""
        tokenizer, _ = self._open()
        tails = [tokenizer.encode(text, add_special_tokens=False) for _, text in pairs]
        ids = [[*tokenizer.encode(before), *tail] for (before, _), tail in zip(pairs, tails, strict=True)]
        made: list[list[float]] = [[]] * len(pairs)
        waiting: dict[int, Any] = {}
        for number in sorted(range(len(pairs)), key=ids.__getitem__):
            waiting[number] = self._go_on(ids[number], len(tails[number]) + 1)[:-1]
            if sum(map(len, waiting.values())) >= _POSITIONS:
                self._take(waiting, pairs, tails, made)
        self._take(waiting, pairs, tails, made)
        return made

    @torch.inference_mode()
    def _take(
        self,
        waiting: dict[int, Any],
        pairs: Sequence[tuple[str, str]],
        tails: Sequence[list[int]],
        made: list[list[float]],
    ) -> None:
        """The log-probabilities of tokens from the hidden states before them, all in one product."""
        if not waiting:
            return
        wanted = torch.tensor([token for number in waiting for token in tails[number]])
        logprobs = torch.log_softmax(torch.cat(list(waiting.values())).float() @ self._head, dim=-1)
        found = iter(logprobs[torch.arange(len(wanted)), wanted].tolist())
        for number in waiting:
            made[number] = self._keep("logprobs", *pairs[number], [round(next(found), 5) for _ in tails[number]])
        waiting.clear()

    @torch.inference_mode()
    def _go_on(self, ids: list[int], last: int) -> Any:
        """Hidden states, shape (last, width), at the last tokens of a prompt."""
        _, model = self._open()
        nearest = max(self._slots, key=lambda each: _common(each.ids, ids), default=_Slot([], DynamicCache()))
        same = min(_common(nearest.ids, ids), len(ids) - last)
        if len(nearest.ids) - same <= _SHORT:
            slot = nearest
            self._slots = [each for each in self._slots if each is not nearest]
        else:
            slot = copy.deepcopy(nearest)
        if len(slot.ids) > same:
            slot.cache.crop(same - len(slot.ids))
        self.read, self.shared = self.read + len(ids) - same, self.shared + same
        made = model.model(input_ids=torch.tensor([ids[same:]]), past_key_values=slot.cache, use_cache=True)
        slot.ids = list(ids)
        self._slots = [*self._slots, slot][-_SLOTS:]
        return made.last_hidden_state[0, -last:]

    @torch.inference_mode()
    def _line(self, prompt: str, chat: bool, tokens: int) -> str:
        tokenizer, model = self._open()
        if chat:
            turns = [{"role": "user", "content": prompt}]
            prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        ids = tokenizer.encode(prompt, add_special_tokens=not chat)
        ends = model.generation_config.eos_token_id
        ends = {ends} if isinstance(ends, int) else {*(ends or ())}
        written: list[int] = []
        said = ""
        while len(written) < tokens and "\n" not in said:
            state = self._go_on([*ids, *written], 1)[0]
            written.append(int((model.get_output_embeddings().weight @ state).argmax()))
            if written[-1] in ends:
                break
            said = str(tokenizer.decode(written, skip_special_tokens=True)).lstrip()
        return said.split("\n")[0].strip()


def _common(one: Sequence[int] | str, other: Sequence[int] | str) -> int:
    return sum(1 for _ in takewhile(lambda two: two[0] == two[1], zip(one, other, strict=False)))


class LocalScorer(PromptScorer):
    """The rewards' scorer with a local model in place of a server.

    Args:
        model: Which.
    """

    def __init__(self, model: LocalLM) -> None:
        self._model = model

    def score(self, requests: Iterable[Request], characters: int) -> dict[Request, Scored]:
        """See :meth:`ccs.rewards.likelihood.PromptScorer.score`."""
        wanted = list(dict.fromkeys(requests))
        found = self._model.logprobs([(prompt(each, characters), each.text) for each in wanted])
        return {each: (sum(values) / len(values), len(values)) for each, values in zip(wanted, found, strict=True)}

    def close(self) -> None:
        """Nothing to end."""


def prompt(request: Request, characters: int) -> str:
    """What stands before the text of a request."""
    return request.template.replace("{trace}", cut(request.trace, _MOST_CHARACTERS, characters))


class LocalReconstructor:
    """Writes the question of a trace with a local model.

    Args:
        model: Which.
        prompt: With ``{trace}``.
        chat: Whether the model has a chat template.
        characters: Of the passages of one search.
    """

    def __init__(self, model: LocalLM, prompt: str, *, chat: bool, characters: int) -> None:
        self._model, self._prompt, self._chat, self._characters = model, prompt, chat, characters
        self.name, self.fingerprint = f"local:{model.name}", f"{model.identity}|{prompt}|{chat}|{characters}"

    def reconstruct(self, traces: Sequence[Trace]) -> list[Candidates]:
        """See :class:`ccs.rewards.reconstruct.Reconstructor`."""
        return [
            [self._model.line(self._prompt.replace("{trace}", trace.render(self._characters)), chat=self._chat)]
            if trace.steps
            else []
            for trace in traces
        ]
