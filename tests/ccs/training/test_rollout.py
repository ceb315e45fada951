"""Tokens and mask of a rollout: kept as generated, the environment's marked where they are appended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

pytest.importorskip("transformers", reason="needs transformers: pip install -e '.[test]'")

from ccs.agent.environment import Limits
from ccs.agent.question import Question
from ccs.agent.trajectory import Hit
from ccs.training.demo.model import PROMPT, make_tokenizer
from ccs.training.demo.world import World
from ccs.training.generated import Generated
from ccs.training.rollout import BatchedRollouts, Rollout
from ccs.training.settings import AgentConfig
from fresco.errors import FrescoError
from tests.ccs.training.worlds import Scripted, small_world

Made = tuple[World, Any, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    world, index = small_world(tmp_path_factory.mktemp("world"))
    return world, index, make_tokenizer(world)


def roll(made: Made, texts: list[str], *, retriever: Any = None, logprob: float | None = None, **agent: Any) -> Rollout:
    world, index, tokenizer = made
    engine = Scripted(tokenizer, lambda _, turn: texts[turn], logprob=logprob)
    config = AgentConfig(**{"layout": "plain", "turns": 2, "top_k": 1, "context_tokens": 600, **agent})
    roller = BatchedRollouts(engine, retriever or index, tokenizer, config, template=PROMPT)
    [rollout] = roller.roll([(Question("q", world.facts[0].question), 0)])
    # What the engine was shown is always the prompt and what has been kept so far.
    for context in engine.contexts:
        assert (rollout.prompt_ids + rollout.ids)[: len(context)] == context
    return rollout


def test_policy_and_environment_are_told_apart(made: Made) -> None:
    world, _, tokenizer = made
    fact = world.facts[0]
    rollout = roll(made, [f"<search> {fact.name} {fact.relation}</search>", f"<answer> {fact.value}</answer>"])
    assert len(rollout.ids) == len(rollout.mask)
    said = tokenizer.decode([token for token, mine in zip(rollout.ids, rollout.mask, strict=True) if mine])
    told = tokenizer.decode([token for token, mine in zip(rollout.ids, rollout.mask, strict=True) if not mine])
    assert said == f"<search> {fact.name} {fact.relation}</search><answer> {fact.value}</answer>"
    assert fact.page in told and told.strip().startswith("<information>") and told.strip().endswith("</information>")
    assert rollout.trajectory.answer == fact.value
    assert rollout.trajectory.searches[0].hits[0].contents.endswith(fact.page)
    assert rollout.logprobs is None and not rollout.cut


def test_tokens_stay_as_generated(made: Made) -> None:
    """Another split of the same text must not become the tokenizer's own."""
    world, index, tokenizer = made
    odd = [token for char in "<search>a b</search>" for token in tokenizer.encode(char, add_special_tokens=False)]
    assert odd != tokenizer.encode("<search>a b</search>", add_special_tokens=False)

    class Odd(Scripted):
        def generate(self, contexts: Any, budgets: Any, seeds: Any, *, greedy: bool, agreed: Any) -> Any:
            from ccs.training.generated import Generated

            turns = super().generate(contexts, budgets, seeds, greedy=greedy, agreed=agreed)
            return [Generated(odd)] if self.turn == 1 else turns

    engine = Odd(tokenizer, lambda *_: "<answer> x</answer>")
    roller = BatchedRollouts(engine, index, tokenizer, AgentConfig(layout="plain", turns=2, top_k=1), template=PROMPT)
    [rollout] = roller.roll([(Question("q", world.facts[0].question), 0)])
    assert rollout.ids[: len(odd)] == odd and rollout.mask[: len(odd)] == [1] * len(odd)
    assert rollout.trajectory.searches[0].query == "a b"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("<search> a</search> and then more", "<search> a</search>"),
        ("<search> a</search>\n", "<search> a</search>"),
        ("no <information>made up</information>", "no "),
        ("<search> a</search><information>made up</information>", "<search> a</search>"),
        ("neither one thing", "neither one thing"),
        ("", ""),
    ],
)
def test_what_the_context_does_not_keep_is_no_token(made: Made, text: str, kept: str) -> None:
    _, _, tokenizer = made
    rollout = roll(made, [text, "<answer> x</answer>"])
    spans: list[str] = []
    for token, mine in zip(rollout.ids, rollout.mask, strict=True):
        if not mine:
            break
        spans.append(tokenizer.decode([token]))
    assert "".join(spans) == kept
    assert rollout.mask.count(1) == len(tokenizer.encode(kept)) + len(tokenizer.encode("<answer> x</answer>"))


def test_an_end_of_sequence_amid_the_stream_is_left_out(made: Made) -> None:
    _, _, tokenizer = made
    rollout = roll(made, [f"<search> a</search>{tokenizer.eos_token}", f"<answer> x</answer>{tokenizer.eos_token}"])
    assert rollout.ids.count(tokenizer.eos_token_id) == 1 and rollout.ids[-1] == tokenizer.eos_token_id
    assert rollout.mask[-1] == 1


def test_logprobs_stand_beside_the_policys_tokens(made: Made) -> None:
    rollout = roll(made, ["<search> a</search>", "<answer> x</answer>"], logprob=-0.5)
    assert rollout.logprobs is not None
    assert rollout.logprobs == [-0.5 if mine else 0.0 for mine in rollout.mask]


def test_a_full_context_is_cut(made: Made) -> None:
    world, _, tokenizer = made
    room = len(tokenizer.encode(PROMPT.format(question=world.facts[0].question))) + 12
    rollout = roll(made, ["<search> a</search>", "<answer> x</answer>"], context_tokens=room)
    assert len(rollout.prompt_ids) + len(rollout.ids) == room
    assert rollout.cut and rollout.trajectory.stop == "tokens"


def test_a_prompt_beyond_the_context_is_refused(made: Made) -> None:
    with pytest.raises(FrescoError, match=r"agent\.context_tokens is 16"):
        roll(made, [""], context_tokens=16)


def test_an_empty_rollout_has_one_token_that_counts_for_nothing(made: Made) -> None:
    rollout = roll(made, ["", "", ""], turns=0)
    assert len(rollout.ids) == 1 and rollout.mask == [0]


class Failing:
    def search(self, queries: Any, k: int) -> list[list[Hit]]:
        raise FrescoError("the retriever is gone")


def test_a_retriever_that_fails_ends_only_who_asked_it(made: Made) -> None:
    world, _, tokenizer = made
    names = [fact.name for fact in world.facts[:6:3]]

    def say(context: str, turn: int) -> str:
        return "<search> a</search>" if names[0] in context else "<answer> x</answer>"

    engine = Scripted(tokenizer, say)
    roller = BatchedRollouts(
        engine, Failing(), tokenizer, AgentConfig(layout="plain", turns=2, top_k=1), template=PROMPT
    )
    ended: list[int] = []
    tasks = [(Question(str(number), world.facts[number * 3].question), 0) for number in range(2)]
    rollouts = roller.roll(tasks, on_done=lambda number, _: ended.append(number))
    assert [each.trajectory.stop for each in rollouts] == ["error", "answer"]
    assert sorted(ended) == [0, 1]
    assert "gone" in rollouts[0].trajectory.error


def test_the_trainer_and_ccs_rollout_make_the_same_record(made: Made) -> None:
    """The trainer's stream, text by text, is what the environment alone gives."""
    from ccs.agent.environment import Environment

    world, index, tokenizer = made
    texts = ["<think> hm</think><search> plum</search>", "nothing", "<answer> x</answer>"]
    rollout = roll(made, texts)
    environment = Environment(index, Limits(turns=2, top_k=1, tokens=None), template=PROMPT)
    stream = environment.reset(Question("q", world.facts[0].question))
    for text in texts:
        step = environment.step(text)
        stream += step.reply + step.observation
    assert tokenizer.decode(rollout.prompt_ids + rollout.ids) == stream
    mine, other = rollout.trajectory, environment.trajectory
    assert [(turn.query, turn.answer, turn.fault, turn.hits) for turn in mine.turns] == [
        (turn.query, turn.answer, turn.fault, turn.hits) for turn in other.turns
    ]


class Solo:
    """An engine that is asked for each turn by itself, and lost its weights during the first episodes."""

    def __init__(self, tokenizer: Any, say: Callable[[str], Awaitable[str]]) -> None:
        self.tokenizer, self.say = tokenizer, say
        self.begun = 0
        self.seeds: list[int] = []

    def prepare(self, trainer: Any) -> None: ...

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        yield

    def begin(self) -> None:
        self.begun += 1

    def held(self) -> bool:
        return self.begun > 1

    async def turn(self, context: Any, budget: int, seed: int, *, greedy: bool) -> Generated:
        self.seeds.append(seed)
        text = await self.say(self.tokenizer.decode(context))
        return Generated(self.tokenizer.encode(text, add_special_tokens=False)[:budget])


def test_over_a_server_no_episode_waits_and_lost_weights_begin_all_again(made: Made) -> None:
    world, index, tokenizer = made
    first = world.facts[0].question
    events: list[Any] = []
    others_ended = [asyncio.Event()]

    async def say(context: str) -> str:
        if first in context and "<information>" not in context.partition(first)[2]:
            await others_ended[0].wait()  # with a barrier between turns this never comes
        return "<answer> x</answer>" if "</information>" in context.partition("?")[2] else "<search> a</search>"

    def on_done(number: int, trajectory: Any) -> None:
        events.append(number)
        if set(events[-3:]) == {1, 2, 3}:
            others_ended[0].set()

    def on_again() -> None:
        events.append("again")
        others_ended[0] = asyncio.Event()  # one event loop each time

    tasks = [(Question(str(n), world.facts[3 * n].question), 0) for n in range(4)]
    config = AgentConfig(layout="plain", turns=2, top_k=1)
    engine = Solo(tokenizer, say)
    roller = BatchedRollouts(engine, index, tokenizer, config, template=PROMPT)
    rollouts = roller.roll(tasks, on_done=on_done, on_again=on_again)
    assert events.index("again") == 4 and events[3] == events[8] == 0 and len(events) == 9
    assert engine.seeds[: len(engine.seeds) // 2] == engine.seeds[len(engine.seeds) // 2 :]
    batched = BatchedRollouts(
        Scripted(tokenizer, lambda context, turn: "<answer> x</answer>" if turn else "<search> a</search>"),
        index,
        tokenizer,
        config,
        template=PROMPT,
    ).roll(tasks)
    assert [(each.ids, each.mask) for each in rollouts] == [(each.ids, each.mask) for each in batched]
    assert roller.seconds.generation > 0
