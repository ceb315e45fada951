"""Many episodes in one event loop: the same as a plain loop, none waits for another, no more at once than asked for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ccs.agent import protocol
from ccs.agent.environment import Environment, Limits
from ccs.agent.question import Question
from ccs.agent.trajectory import Hit, Trajectory
from ccs.rollouts import one
from ccs.rollouts.file import open_rollouts, read_trajectories
from ccs.rollouts.many import roll_out_many, run
from ccs.rollouts.one import Sampling
from ccs.rollouts.searches import GatheredSearches
from fresco.clients.json_api import RefusedError
from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError
from tests.ccs.scripted import Shelf, as_vllm, wanderer
from tests.servers import chat_api
from tests.waiting import PATIENCE

QUESTIONS = [Question(f"q{n}", f"What is number {n}?", (f"answer {n}",), (), "toy") for n in range(20)]


def plain_loop(client: ChatClient, retriever: Any, question: Question, sample: int) -> Trajectory:
    """The reference: one turn after the other, no event loop."""
    environment, seed = Environment(retriever, Limits()), Sampling().seed_of(question, sample)
    prompt = environment.reset(question, sample=sample, seed=seed, model=client.model)
    messages = [{"role": "user", "content": prompt}]
    while not environment.done:
        answer = client.chat(messages, temperature=1.0, max_tokens=500, seed=seed, stop=list(protocol.TURN_ENDS))
        met = answer.raw["choices"][0].get("stop_reason") or ""
        step = environment.step(answer.text + met)
        messages += [
            {"role": "assistant", "content": step.reply},
            {"role": "user", "content": step.observation.strip()},
        ]
    return environment.trajectory


def all_of(path: Path, client: ChatClient, retriever: Any, samples: int = 2) -> list[Trajectory]:
    with open_rollouts(path, QUESTIONS, {}) as file, GatheredSearches(retriever) as searches:
        roll_out_many(QUESTIONS, samples, partial(one.roll_out, client, searches), client, file)
        file.finish()
    return read_trajectories(path)


def what(trajectory: Trajectory) -> Any:
    turns = [(turn.text, turn.query, turn.answer, turn.fault, turn.hits) for turn in trajectory.turns]
    return trajectory.question_id, trajectory.sample, trajectory.seed, trajectory.stop, turns


class Counting:
    """A script that counts who is in it, and holds the first ones back until so many are."""

    def __init__(self, together: int) -> None:
        self.together, self.inside, self.most = together, 0, 0
        self._changed = threading.Condition()

    def __call__(self, body: dict[str, Any]) -> Any:
        with self._changed:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self._changed.notify_all()
            assert self._changed.wait_for(lambda: self.most >= self.together, PATIENCE)
            self.inside -= 1
        return as_vllm(wanderer(body), body)


@pytest.mark.parametrize("concurrency", [1, 7, 40])
def test_the_same_transcripts_in_the_same_order_as_a_plain_loop(tmp_path: Path, concurrency: int) -> None:
    script = Counting(concurrency)
    with chat_api.serve(script) as api:
        client = ChatClient(f"{api.url}#tiny/chat", concurrency=concurrency)
        found = all_of(tmp_path / "a.jsonl", client, Shelf())
        assert script.most == concurrency
        plain = [plain_loop(client, Shelf(), question, sample) for question in QUESTIONS for sample in range(2)]
        client.close()
    assert [what(each) for each in found] == [what(each) for each in plain]


def test_no_episode_waits_for_another(tmp_path: Path) -> None:
    """The first turn of one episode is answered when all others have ended."""
    ended = threading.Event()
    slow = QUESTIONS[3].text

    def script(body: dict[str, Any]) -> Any:
        if slow in body["messages"][0]["content"]:
            assert ended.wait(PATIENCE)
        return as_vllm(wanderer(body), body)

    order: list[str] = []

    def done(trajectory: Trajectory) -> None:
        order.append(trajectory.question_id)
        if len(order) == len(QUESTIONS) - 1:
            ended.set()

    with chat_api.serve(script) as api, GatheredSearches(Shelf()) as searches:
        client = ChatClient(f"{api.url}#tiny/chat", concurrency=4)
        with open_rollouts(tmp_path / "a.jsonl", QUESTIONS, {}) as file:
            roll_out_many(QUESTIONS, 1, partial(one.roll_out, client, searches), client, file, done)
        client.close()
    assert order[-1] == "q3"
    assert len(order) == len(QUESTIONS)


class Gate:
    """A retriever that counts who asks it at the same time, and answers when it is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.inside = self.most = 0
        self.sizes: list[int] = []
        self._lock = threading.Lock()

    def search(self, queries: Sequence[str], k: int) -> list[list[Hit]]:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.sizes.append(len(queries))
        assert self.open.wait(PATIENCE)
        with self._lock:
            self.inside -= 1
        if len(queries) > 1 and "bad" in queries:
            raise RefusedError("refused the batch", 422)
        if "bad" in queries:
            raise FrescoError("refused alone")
        return [[Hit(query, query, None)] * k for query in queries]


def test_searches_are_gathered_and_few_at_once() -> None:
    gate = Gate()
    queries = ["a", "b", *(f"c{n}" for n in range(30)), "bad", *(f"d{n}" for n in range(30))]

    async def ask() -> list[Any]:
        asked = [asyncio.ensure_future(searches(query, 1 + (query == "d0"))) for query in queries]
        await asyncio.sleep(0)
        gate.open.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    with GatheredSearches(gate, at_once=2) as searches:
        found = asyncio.run(ask())
    for query, result in zip(queries, found, strict=True):
        if query == "bad":
            assert str(result) == "refused alone"
        else:
            assert [hit.id for hit in result[0]] == [query] * (1 + (query == "d0"))
    assert gate.most <= 2
    assert max(gate.sizes) > 20  # in a few requests; the rest are those of the batch that was refused


def test_it_runs_within_the_event_loop_of_a_notebook() -> None:
    async def inner() -> int:
        return 3

    async def cell() -> int:
        return run(inner())

    assert asyncio.run(cell()) == 3
