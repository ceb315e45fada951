"""The demo's frozen model, which reconstructs the question from a masked trace: the method at the smallest size.

It is a model of the policy's shape that is taught, before training, which question a page belongs to. It sees pages and
questions of training people, none of the held-out ones, no rollout and no answer. Its log-probability of the question
after the masked trace, less that after none, is the reward: masking and reconstruction in the loop, without a server.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from ccs.agent.protocol import one_line
from ccs.agent.question import Question
from ccs.agent.trajectory import Trajectory
from ccs.rewards.base import RewardRow
from ccs.rewards.bottleneck import Step, Trace
from ccs.rewards.config import RewardConfig, open_bottleneck
from ccs.rewards.likelihood import BEFORE_QUESTION, LikelihoodReward, PromptScorer, Request, Scored
from ccs.training.demo.world import World
from fresco.errors import FrescoError

if TYPE_CHECKING:
    from ccs.retrieve.base import Retriever

#: How a configuration names the reward.
SPEC = "ccs.training.demo.reader:Reconstruction"
#: Its folder within the demo's.
FOLDER = "reader"
_BATCH, _RATE, _EMPTY = 24, 2e-3, 0.1


class Reader(PromptScorer):
    """Scores texts after traces with a model in this process, many at once.

    Args:
        model: Causal, in evaluation mode.
        tokenizer: Its.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self._model, self._tokenizer = model, tokenizer

    def score(self, requests: Iterable[Request], characters: int) -> dict[Request, Scored]:
        """See :meth:`ccs.rewards.likelihood.PromptScorer.score`."""
        wanted = list(dict.fromkeys(requests))
        found: dict[Request, Scored] = {}
        for start in range(0, len(wanted), 4 * _BATCH):
            part = wanted[start : start + 4 * _BATCH]
            rows = [
                (
                    self._token_ids(each.template.replace("{trace}", each.trace.render(characters))),
                    self._token_ids(each.text),
                )
                for each in part
            ]
            values = self._logprobs(rows)
            found |= {each: (sum(own) / len(own), len(own)) for each, own in zip(part, values, strict=True)}
        return found

    def close(self) -> None:
        """Nothing to end."""

    def _token_ids(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def _logprobs(self, rows: Sequence[tuple[list[int], list[int]]]) -> list[list[float]]:
        """Of each token of the second text of a row, in nats."""
        import torch

        ids, mask = _padded([before + after for before, after in rows], self._tokenizer.pad_token_id)
        with torch.no_grad():
            logits = self._model(input_ids=ids, attention_mask=mask).logits[:, :-1].float()
            each = logits.log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
        return [
            each[number, len(before) - 1 : len(before) + len(after) - 1].tolist()
            for number, (before, after) in enumerate(rows)
        ]


class Reconstruction:
    """Log-probability of the question given the masked trace, less that given none, by the demo's frozen model.

    Args:
        cache: Of a run's rewards; the demo's folder stands beside it.

    Raises:
        FrescoError: no demo was made there.
    """

    needs_gold = False
    signed = True

    def __init__(self, cache: Path | None = None) -> None:
        folder = cache.parent / "demo" / FOLDER if cache is not None else None
        if folder is None or not folder.is_dir():
            raise FrescoError(f"the reward {SPEC} is the demo's; take the preset demo-reconstruction")
        self._reward = open_reconstruction(folder)
        self.name, self.fingerprint = self._reward.name, self._reward.fingerprint

    def score(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[float | None]:
        """See :class:`ccs.rewards.base.Reward`."""
        return self._reward.score(batch, questions)

    def rows(self, batch: Sequence[Trajectory], questions: Mapping[str, Question] | None = None) -> list[RewardRow]:
        """See :func:`ccs.rewards.base.score_rows`."""
        return self._reward.rows(batch, questions)


def open_reconstruction(folder: Path) -> LikelihoodReward:
    """The reward over the model of a folder, behind the default mask."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32").eval()
    client: Any = SimpleNamespace(
        model="the demo's reader", identity="the demo's reader"
    )  # a reward asks for its names
    scorer = Reader(model, AutoTokenizer.from_pretrained(folder))
    return LikelihoodReward(open_bottleneck(RewardConfig()), client, scorer=scorer)


def teach(model: Any, tokenizer: Any, world: World, retriever: Retriever, steps: int, seed: int) -> Iterator[int]:
    """Teach a model which question a trace belongs to.

    Args:
        model: Trained in place.
        tokenizer: Its.
        world: Whose training facts it reads.
        retriever: Over the world's pages.
        steps: Of the optimizer.
        seed: Of the draw.

    Yields:
        The number of steps done.
    """
    import torch

    draw = random.Random(seed)  # noqa: S311 - no secret
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=_RATE, total_steps=max(steps, 2))
    model.train()
    for step in range(steps):
        rows = [_row(tokenizer, world, retriever, draw) for _ in range(_BATCH)]
        ids, mask = _padded([before + after for before, after in rows], tokenizer.pad_token_id)
        labels = torch.full_like(ids, -100)
        for number, (before, after) in enumerate(rows):
            labels[number, len(before) : len(before) + len(after)] = torch.tensor(after)
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        yield step + 1
    model.eval()


def _row(tokenizer: Any, world: World, retriever: Retriever, draw: random.Random) -> tuple[list[int], list[int]]:
    """A trace, which now and then found nothing, and the question."""
    fact = draw.choice(world.facts)
    hits = retriever.search([f"{fact.name} {fact.relation}"], 1)[0]
    text = "(nothing)" if draw.random() < _EMPTY else Trace((Step("[PERSON]", tuple(hits)),)).render()
    before = tokenizer.encode(BEFORE_QUESTION.replace("{trace}", text), add_special_tokens=False)
    return before, tokenizer.encode(one_line(fact.question), add_special_tokens=False)


def _padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Any, Any]:
    """Token ids and attention mask of rows of unlike length."""
    import torch

    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows])
    return ids, torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
