"""A local causal language model for the studies: log-probabilities of continuations, and greedy lines.

The trunk runs in bfloat16 where that is asked for; logits are taken at the wanted positions alone, in float32, which a
server's ``prompt_logprobs`` (all positions of a prompt) cannot spare. Prompts are read in the order of their tokens, so
that each goes on where it parts from the one before: the traces of one question share most of what they begin with.
Every number is kept in an SQLite file, so that a study that was stopped goes on.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

from ccs.rewards.bottleneck import Trace
from ccs.rewards.likelihood import PromptScorer, Request, Scored, cut
from ccs.rewards.reconstruct import Candidates
from fresco.clients.answer_cache import AnswerCache, request_key

_MOST_CHARACTERS = 12_000  # of a trace; within every context here, and no study comes near it


class OutOfTimeError(Exception):
    """The minutes of this run are over; what was measured is kept."""


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
        self.read, self.shared = 0, 0  # tokens that were computed, and that a prompt had in common with the one before

    def logprobs(self, pairs: Sequence[tuple[str, str]]) -> list[list[float]]:
        """For each (what stands before, text) the log-probability in nats of each token of the text."""
        found = {pair: self._known("logprobs", *pair) for pair in dict.fromkeys(pairs)}
        fresh = [pair for pair, known in found.items() if known is None]
        if fresh:
            for pair, made in zip(fresh, self._in_turn(fresh), strict=True):
                found[pair] = made
        return [found[pair] for pair in pairs]

    def line(self, prompt: str, *, chat: bool, tokens: int = 40) -> str:
        """What it writes next, greedily, to the end of the line."""
        kind = f"line {chat} {tokens}"
        if (known := self._known(kind, prompt, "")) is None:
            known = self._keep(kind, prompt, "", self._line(prompt, chat, tokens))
        return str(known)

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
        """Each prompt, in the order of their tokens, from where it parts from the one before."""
        tokenizer, _ = self._open()
        tails = [tokenizer.encode(text, add_special_tokens=False) for _, text in pairs]
        ids = [[*tokenizer.encode(before), *tail] for (before, _), tail in zip(pairs, tails, strict=True)]
        made: list[list[float]] = [[]] * len(pairs)
        cache, last = DynamicCache(), list[int]()
        for number in sorted(range(len(pairs)), key=ids.__getitem__):
            here, tail = ids[number], tails[number]
            same = sum(1 for _ in takewhile(lambda two: two[0] == two[1], zip(last, here, strict=False)))
            same = min(same, len(here) - len(tail) - 1)
            if len(last) > same:
                cache.crop(same - len(last))
            made[number] = self._keep("logprobs", *pairs[number], self._go_on(here, len(tail), cache, same))
            last = here
        return made

    def _go_on(self, ids: Sequence[int], tail: int, cache: Any, same: int) -> list[float]:
        """Log-probabilities of the last ``tail`` tokens, the first ``same`` ones being in the cache."""
        _, model = self._open()
        self.read, self.shared = self.read + len(ids) - same, self.shared + same
        with torch.inference_mode():
            made = model.model(input_ids=torch.tensor([ids[same:]]), past_key_values=cache, use_cache=True)
            logits = made.last_hidden_state[0, -tail - 1 : -1].float() @ self._head
            found = torch.log_softmax(logits, dim=-1)[torch.arange(tail), torch.tensor(ids[-tail:])]
        return [round(value, 5) for value in found.tolist()]

    def _line(self, prompt: str, chat: bool, tokens: int) -> str:
        tokenizer, model = self._open()
        if chat:
            turns = [{"role": "user", "content": prompt}]
            prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
        ids = torch.tensor([tokenizer.encode(prompt, add_special_tokens=not chat)])
        self.read += ids.shape[1] + tokens
        with torch.inference_mode():
            made = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                max_new_tokens=tokens,
                do_sample=False,
                stop_strings=["\n"],
                tokenizer=tokenizer,
                pad_token_id=0,
            )
        return str(tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)).strip().split("\n")[0].strip()


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
