"""Climbs: what is kept, what the next change is made from, what is paid."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest

from fresco.clients.llm import ChatClient
from fresco.errors import FrescoError
from fresco.optimizer.options import SearchOptions
from fresco.optimizer.pipeline import run_search
from fresco.optimizer.proposers.base import ProposedInstruction, is_slow
from fresco.optimizer.proposers.climb import QUERIES, Climbing
from fresco.optimizer.proposers.llm import LlmProposer
from fresco.optimizer.search.objective import precisions
from fresco.records import Label, Task
from tests.optimizer.instruction_reader import ANSWER, NEWEST, InstructionReader, make_pools, make_state

#: How many of a dozen queries each text ranks right.
WORTH = {NEWEST.text: 3, ANSWER.text: 5, "worse": 1, "as good": 5, "better": 6, "best": 9, "less": 7}


class Scripted:
    """Proposes one text after the other from whatever population it is shown."""

    name, breeds = "scripted", True

    def __init__(self, *texts, parents=(2,)):
        self.texts, self.parents, self.shown = list(texts), parents, []

    def propose(self, state, count):
        assert count == 1
        self.shown.append([(member.number, member.text) for member in state.population])
        return [ProposedInstruction(self.texts.pop(0), "mutation", self.parents)] if self.texts else []


@pytest.fixture
def asked():
    return []


@pytest.fixture
def state(asked):
    order = {}

    def score(text, pools):
        asked.append((text, tuple(pool.query.id for pool in pools)))
        places = [order.setdefault(pool.query.id, len(order)) for pool in pools]
        return [
            np.array([float((label is Label.POSITIVE) == (place < WORTH[text])) for label in pool.labels])
            for place, pool in zip(places, pools, strict=True)
        ]

    return dataclasses.replace(make_state(NEWEST, ANSWER), training=make_pools(QUERIES), score_training=score)


def test_a_change_is_kept_where_it_is_better_and_the_next_is_made_from_it(state, asked):
    inner = Scripted("worse", "better", "as good", "best", "less")
    (child,) = Climbing(inner, 5).propose(state, 1)
    assert child == ProposedInstruction("best", "mutation", (2,), detail={"climb": {"tried": 5, "kept": 2}})
    front = [(1, NEWEST.text), (2, ANSWER.text)]
    assert inner.shown == [front, front, [(2, "better")], [(2, "better")], [(2, "best")]]
    (queries,) = {queries for _, queries in asked}  # one draw for all
    assert len(queries) == len(set(queries)) == QUERIES


def test_of_two_parents_the_better_one_is_to_be_beaten(state, asked):
    assert Climbing(Scripted("as good", parents=(1, 2)), 1).propose(state, 1) == []
    (child,) = Climbing(Scripted("better", parents=(1, 2)), 1).propose(state, 1)
    assert child.parents == (1, 2)


def test_a_climb_that_comes_to_nothing_says_so_and_another_begins(state):
    climbing = Climbing(Scripted("worse", "as good", "best", "less"), 2)
    (child,) = climbing.propose(state, 1)
    assert child.text == "best"
    assert [(each.operator, each.parents, each.reason) for each in climbing.last_rejected] == [
        ("climb", (2,), "no better than its parent on 12 training queries")
    ]
    exhausted = Climbing(Scripted(), 4)
    assert exhausted.propose(state, 2) == []
    assert exhausted.last_rejected == []


def test_two_children_of_a_round_differ(state):
    children = Climbing(Scripted("best", "best", "better", "worse"), 1).propose(state, 2)
    assert [child.text for child in children] == ["best", "better"]


def test_the_scores_of_where_a_climb_is_are_those_of_the_parent_and_the_gain():
    pools, reader, shown = make_pools(QUERIES), InstructionReader(), []

    class Looking(Scripted):
        def propose(self, state, count):
            shown.append(state.population[-1])
            return super().propose(state, count)

    inner = Looking("Prefer the newest passage that states the answer.", "Prefer none.", parents=(1,))
    assert Climbing(inner, 2).propose(dataclasses.replace(make_state(NEWEST, ANSWER), training=pools), 1)
    at = shown[1]
    gains = precisions(pools, reader.score_training(at.text, pools)) - precisions(
        pools, reader.score_training(NEWEST.text, pools)
    )
    assert gains.mean() > 0
    assert (at.ek, at.nek) == pytest.approx(
        [
            min(1.0, before + gains[[pool.query.task is task for pool in pools]].mean())
            for task, before in ((Task.EK, NEWEST.ek), (Task.NEK, NEWEST.nek))
        ]
    )


def test_what_else_a_proposer_has_is_there_and_what_it_lacks_is_not():
    inner = LlmProposer(ChatClient("http://127.0.0.1:9/v1#tiny"))
    climbing = Climbing(inner, 4)
    assert is_slow(climbing)
    assert climbing.client is inner.client
    assert climbing.rejected == Counter()
    assert not getattr(climbing, "finite", False)


def test_climbing_needs_a_proposer_that_breeds(tmp_path):
    with pytest.raises(FrescoError, match="--climb needs a proposer that changes instructions"):
        run_search(
            InstructionReader(),
            "mini",
            None,
            SearchOptions(climb=4, limit=40, seeds=1, baselines=False),
            store=tmp_path / "s.sqlite",
            out=tmp_path / "out",
            results=tmp_path,
            overwrite=False,
            watcher=None,
        )
    assert SearchOptions(climb=4).search_settings(0, slow=True).children == 1
    with pytest.raises(FrescoError, match="--climb -1"):
        SearchOptions(climb=-1)
