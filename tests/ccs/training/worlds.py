"""A small demo world, its index and tokenizer, and an engine that says what a test wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ccs.retrieve.index import Index, build_index, open_index
from ccs.training.demo.model import PROMPT, make_model, make_tokenizer, save, warm_up
from ccs.training.demo.world import World, make_world, write_world
from ccs.training.generated import Generated
from ccs.training.processes import Agreed, alone


def small_world(folder: Path) -> tuple[World, Index]:
    world = make_world(12, 4, 0)
    write_world(world, folder)
    build_index(str(folder / "corpus.jsonl"), folder / "index", {"method": "bm25"}, lambda *_: None)
    return world, open_index(folder / "index")


def warm_model(folder: Path, steps: int, **changes: Any) -> None:
    """Write a small world, a ``model`` that was warmed up a little, so that its rollouts differ, and ``prompt.txt``."""
    world, index = small_world(folder)
    tokenizer = make_tokenizer(world)
    model = make_model(tokenizer, 0, **changes)
    for _ in warm_up(model, tokenizer, world, index, steps, 0):
        pass
    save(model, tokenizer, folder / "model")
    (folder / "prompt.txt").write_text(PROMPT)


class Long:
    """Earns what a rollout says, in characters: the members of a group differ, so every step moves the weights."""

    name = fingerprint = "long"
    needs_gold = signed = False

    def score(self, batch: Any, questions: Any = None) -> list[float | None]:
        return [float(sum(len(turn.text) for turn in each.turns)) for each in batch]


class Scripted:
    """Says texts; a function from the decoded context and the turn's number to a text."""

    def __init__(self, tokenizer: Any, say: Callable[[str, int], str], *, logprob: float | None = None) -> None:
        self.tokenizer, self.say, self.logprob = tokenizer, say, logprob
        self.turn = 0
        self.contexts: list[list[int]] = []
        self.greedy: list[bool] = []

    def prepare(self, trainer: Any) -> None:
        pass

    def agree(self, budgets: Sequence[int]) -> Agreed:
        return alone(budgets)

    def generate(
        self,
        contexts: Sequence[Sequence[int]],
        budgets: Sequence[int],
        seeds: Sequence[int],
        *,
        greedy: bool,
        agreed: Agreed,
    ) -> list[Generated]:
        self.contexts += [list(context) for context in contexts]
        self.greedy.append(greedy)
        turns = []
        for context, budget in zip(contexts, budgets, strict=True):
            ids = self.tokenizer.encode(self.say(self.tokenizer.decode(context), self.turn), add_special_tokens=False)
            ids = ids[:budget]
            turns.append(Generated(ids, None if self.logprob is None else [self.logprob] * len(ids)))
        self.turn += 1
        return turns
