"""The demo's policy: a Qwen2 of half a million parameters, warmed up on poor traces.

The traces know the protocol and mostly ask badly: for the matter alone, for the person alone, with the whole question,
not at all, without an answer. The right query is among them, but not the likeliest. So the policy begins with something
to learn, and with every way to cheat within reach.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ccs.agent.environment import Environment, Limits
from ccs.agent.question import Question
from ccs.agent.trajectory import Hit
from ccs.training.demo.world import FIRST_NAMES, LAST_NAMES, RELATIONS, Fact, World, vocabulary

if TYPE_CHECKING:
    from ccs.retrieve.base import Retriever

#: The demo's prompt: a model of this size reads no instructions.
PROMPT = "Question: {question}\n"
_TAGS = ("<think>", "</think>", "<search>", "</search>", "<information>", "</information>", "<answer>", "</answer>")
_END = "<|endoftext|>"
_BATCH = 24
_RATE = 2e-3
_SHAPE = {
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 512,
    "tie_word_embeddings": False,  # vLLM does not reload the head of a tied model
}
#: What a trace asks first, and how often; in the first half of the warm-up, which teaches to copy names, and after it.
_COPIES = (("right", 1.0),)
_ASKS = (("matter", 0.40), ("person", 0.22), ("right", 0.16), ("whole", 0.14), ("none", 0.08))


def make_tokenizer(world: World) -> Any:
    """Bytes and pairs learned from the world; the tags are single tokens, as text and not as control tokens."""
    from transformers import AddedToken, Qwen2Tokenizer

    texts = [text for fact in (*world.facts, *world.held_out) for text in (fact.question, fact.page)]
    texts += [f" {word} {word}" for word in vocabulary()] * 60
    texts += ['Question: \n\n<information>\nDoc 1: "', 'Doc 1: "Chatter 1"', _TOLD] * 50
    tokenizer = Qwen2Tokenizer().train_new_from_iterator(texts, vocab_size=700, show_progress=False)
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in _TAGS])
    tokenizer.pad_token = tokenizer.eos_token = _END
    return tokenizer


_TOLD = (
    "The search engine found nothing for this query. Your last turn could not be used. Write <search>words to look "
    "for</search> to search, or <answer>the answer</answer> to answer. No search is left. Give your answer now, inside "
    "<answer> and </answer>. There was neither a search nor an answer."
)


def make_model(tokenizer: Any, seed: int, **shape: Any) -> Any:
    """The untrained model; ``shape`` goes before what the demo's has."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **{**_SHAPE, **shape},
    )
    return Qwen2ForCausalLM(config)


def warm_up(model: Any, tokenizer: Any, world: World, retriever: Retriever, steps: int, seed: int) -> Iterator[int]:
    """Teach the protocol by poor traces.

    Args:
        model: Trained in place.
        tokenizer: Its.
        world: Whose training facts the traces are about; the held-out people are never seen.
        retriever: What the traces' searches find.
        steps: Of the optimizer.
        seed: Of the traces' draw.

    Yields:
        The number of steps done.
    """
    import torch

    draw = random.Random(seed)  # noqa: S311 - no secret
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=0.01)
    # Constant for long: copying is learned all at once, after a plateau.
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 50, (steps - step) / (0.3 * max(steps, 1)))
    )
    model.train()
    for step in range(steps):
        # People who are not in the world, so that names are copied and not known by heart.
        facts = [_renamed(draw.choice(world.facts), draw) for _ in range(_BATCH)]
        searches = [_MadeUp(fact, _renamed(fact, draw)) for fact in facts]
        asks = _COPIES if step < 0.7 * steps else _ASKS
        traces = [_trace(fact, draw, found, asks) for fact, found in zip(facts, searches, strict=True)]
        rows = [_encode(tokenizer, trace) for trace in traces]
        longest = max(len(ids) for ids, _ in rows)
        pad = tokenizer.pad_token_id
        ids = torch.tensor([ids + [pad] * (longest - len(ids)) for ids, _ in rows])
        labels = torch.tensor([labels + [-100] * (longest - len(labels)) for _, labels in rows])
        mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids, _ in rows])
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        yield step + 1
    model.eval()


def _renamed(fact: Fact, draw: random.Random) -> Fact:
    """A like fact of somebody else."""
    name = f"{draw.choice(FIRST_NAMES)} {draw.choice(LAST_NAMES)}"
    return Fact(name, fact.relation, draw.choice(RELATIONS[fact.relation][2]))


def _trace(
    fact: Fact, draw: random.Random, retriever: Retriever, asks: Sequence[tuple[str, float]]
) -> list[tuple[str, bool]]:
    """Texts in turn, and whether the policy says them."""
    kind = draw.choices([name for name, _ in asks], [share for _, share in asks])[0]
    environment = Environment(retriever, Limits(turns=2, top_k=1), template=PROMPT)
    trace = [(environment.reset(Question("demo", fact.question)), False)]
    queries = {"matter": fact.relation, "person": fact.name, "right": f"{fact.name} {fact.relation}"}
    if kind != "none":
        query = queries.get(kind, fact.question)
        _say(trace, environment, f"<search> {query}</search>")
        if draw.random() < 0.12 and not environment.done:
            _say(trace, environment, f"<search> {draw.choice([fact.name, fact.relation, query])}</search>")
    if draw.random() < 0.08:
        _say(trace, environment, "<think> never mind</think>")
        return trace
    _say(trace, environment, f"<answer> {_value(trace[-1][0], fact, draw)}</answer>")
    return trace


def _say(trace: list[tuple[str, bool]], environment: Environment, text: str) -> None:
    step = environment.step(text)
    trace.append((step.reply, True))
    if step.observation and "</information>" in step.observation:
        trace.append((step.observation, False))


def _value(page: str, fact: Fact, draw: random.Random) -> str:
    """What the page says, whoever it is about; chatter and nothing leave a guess."""
    values = [value for _, _, values in RELATIONS.values() for value in values]
    said = [value for value in values if f" {value}." in page]
    return said[-1] if said else draw.choice(RELATIONS[fact.relation][2])


class _MadeUp:
    """Finds the page of one fact for queries that name the person, and that of another for all others."""

    def __init__(self, fact: Fact, other: Fact) -> None:
        self._name = fact.name
        self._hit, self._other = (Hit("made-up", f'"{each.name}"\n{each.page}') for each in (fact, other))

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        del k
        return [[self._hit if self._name in query else self._other] for query in queries]


def _encode(tokenizer: Any, trace: Sequence[tuple[str, bool]]) -> tuple[list[int], list[int]]:
    """Token ids, and those to learn (-100 for the others)."""
    ids: list[int] = []
    labels: list[int] = []
    for text, spoken in trace:
        part = tokenizer.encode(text, add_special_tokens=False)
        ids += part
        labels += part if spoken else [-100] * len(part)
    return ids, labels


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write the model as transformers does."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
