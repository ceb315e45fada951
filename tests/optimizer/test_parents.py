"""Who is bred from, and what a model is told of the search."""

from __future__ import annotations

import dataclasses
import json
import random
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.clients.llm import ChatClient
from fresco.optimizer.examples import ranking_errors, successes
from fresco.optimizer.proposers.base import ByQuery, ScoredInstruction
from fresco.optimizer.proposers.history import reader_of, tried
from fresco.optimizer.proposers.llm import LlmProposer
from fresco.optimizer.proposers.parents import complementary, draw_parents, led_shares
from fresco.records import Label
from tests.optimizer.instruction_reader import ANSWER, BASE, NEWEST, InstructionReader, make_pools, make_state
from tests.servers.chat_api import serve, words_of

SPECIALIST = ScoredInstruction(3, "Prefer passages with numbers.", 0.3, 0.2)  # off the front, best on one query
FOLLOWER = ScoredInstruction(4, "Prefer passages that are short.", 0.2, 0.2)  # best nowhere
#: Four queries: two of EK, two of NEK.
VALUES = {
    NEWEST: [0.9, 0.7, 0.4, 0.2],
    ANSWER: [0.4, 0.6, 0.8, 0.4],
    SPECIALIST: [0.3, 0.3, 0.0, 0.4],
    FOLLOWER: [0.2, 0.2, 0.2, 0.2],
}
BY_QUERY = ByQuery(list(VALUES), np.array(list(VALUES.values())), np.full(4, 0.25))


def state(seed=0, by_query=BY_QUERY, **more):
    return dataclasses.replace(make_state(NEWEST, ANSWER, seed=seed), by_query=by_query, **more)


def test_a_lead_is_split_and_one_of_all_counts_for_nobody():
    values = np.array([[1.0, 0.5, 0.3, 0.7], [1.0, 0.5, 0.2, 0.7], [0.0, 0.5, 0.1, 0.7]])
    np.testing.assert_allclose(led_shares(values, np.array([0.25, 0.25, 0.25, 0.25])), [0.75, 0.25, 0])
    np.testing.assert_allclose(led_shares(values, np.array([0.6, 0.1, 0.2, 0.1])), [(0.3 + 0.2) / 0.8, 0.3 / 0.8, 0])
    assert led_shares(np.full((3, 2), 0.5), np.full(2, 0.5)).tolist() == [0, 0, 0]


@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=5))
def test_led_shares_are_those_of_counting(rows):
    values = np.array(rows, float)
    counted = Counter()
    for column in values.T:
        leaders = [member for member, value in enumerate(column) if value == max(column)]
        if len(leaders) < len(column):
            counted.update({member: 1 / len(leaders) for member in leaders})
    whole = sum(counted.values())
    expected = [counted[member] / whole if whole else 0.0 for member in range(len(values))]
    np.testing.assert_allclose(led_shares(values, np.full(4, 0.25)), expected)


def test_who_leads_a_query_is_a_parent_off_the_front_too():
    drawn = Counter(parent.number for seed in range(400) for parent in draw_parents(state(seed), 1))
    # Half of the weight to the two of the front alike; of the four queries one leads two, one 1.5, one half of one.
    expected = {1: 0.25 + 0.5 * 0.5, 2: 0.25 + 0.5 * 1.5 / 4, 3: 0.5 * 0.5 / 4, 4: 0.0}
    assert {number: drawn[number] / 400 for number in expected} == pytest.approx(expected, abs=0.08)
    assert drawn[3] and not drawn[4]
    assert draw_parents(state(7), 2) == draw_parents(state(7), 2)
    both = draw_parents(state(7), 9)
    assert len({parent.number for parent in both}) == len(both) == 2  # as many as the front has


def test_without_values_by_query_the_front_breeds():
    assert draw_parents(state(by_query=None), 5) == [NEWEST, ANSWER]
    assert [(pair.first, pair.second) for pair in complementary(state(by_query=None))] == [(NEWEST, ANSWER)]


def test_crossed_are_those_that_win_where_the_other_loses():
    pairs = complementary(state())
    assert (pairs[0].first, pairs[0].second) == (NEWEST, ANSWER)  # the stronger on EK first
    assert pairs[0].gain == pytest.approx((0.9 + 0.7 + 0.8 + 0.4) / 4 - 2.2 / 4)
    assert [pair.gain for pair in pairs] == sorted((pair.gain for pair in pairs), reverse=True)
    assert {(pair.first, pair.second) for pair in pairs[1:]} == {(NEWEST, SPECIALIST)}
    assert all(FOLLOWER not in (pair.first, pair.second) for pair in pairs)
    # The second is nowhere below the specialist, so nothing is to gain from those two.


def test_errors_are_drawn_from_all_and_not_always_the_worst():
    pools = make_pools(12)
    scores = [np.array([float(label is not Label.POSITIVE) for label in pool.labels]) for pool in pools]
    shown = Counter()
    for seed in range(60):
        drawn = ranking_errors(pools, scores, 4, random.Random(seed))
        assert [error.pool.query.task for error in drawn] == [error.pool.query.task for error in drawn[:2]] * 2
        shown.update(error.pool.query.id for error in drawn)
    assert set(shown) == {pool.query.id for pool in pools}
    assert successes(pools, scores, 4, random.Random(0)) == []
    right = successes(pools, [-own for own in scores], 4, random.Random(0))
    assert len(right) == 4
    assert all(each.label is not Label.POSITIVE and "rightly on top" in each.shown() for each in right)


def trial(number, text, parents=(), values=None, **attributes):
    return SimpleNamespace(
        number=number, values=values, user_attrs={"text": text, "parents": list(parents), **attributes}
    )


TRIALS = [
    trial(0, None, values=[0.4, 0.4]),
    trial(1, NEWEST.text, [0], [0.8, 0.3]),
    trial(2, ANSWER.text, [0], [0.5, 0.6]),
    trial(3, 'A "child" of the first.', [1], None, estimate=[0.2, 0.1]),
    *(trial(number, f"Another one, {number}.", [0], [0.5, 0.5]) for number in range(4, 14)),
    trial(14, "Nothing is known of this one.", [1]),
]


def test_the_history_shows_children_and_the_best_with_their_scores():
    lines = tried(TRIALS, (1,), "the default").splitlines()
    assert len(lines) == 8
    assert lines[0] == '- EK 0.200, NEK 0.100, estimated on some of the queries: "A \\"child\\" of the first."'
    assert lines[-1] == f'- EK 0.500, NEK 0.600: "{ANSWER.text}"'
    assert NEWEST.text not in "".join(lines)
    assert tried(TRIALS[:1], (1,), "the default") == '- EK 0.400, NEK 0.400: "the default"'
    assert tried([], (1,), "the default") == "(nothing yet)"


def test_every_prompt_says_who_reads_what_scores_there_are_and_what_was_tried(tmp_path):
    def script(body):
        return json.dumps([f"Prefer what is stated, {body['seed']}, way {number}." for number in range(2)])

    with serve(script) as api:
        proposer = LlmProposer(ChatClient(api.url), max_length=300)
        told = state(trials=TRIALS, reader="It reads one passage at a time, without the others.")
        proposals = proposer.propose(told, 8)
        prompts = [words_of(body) for body in api.bodies()]
    kinds = {"criticisms": 0, "A criticism of it": 0, "Instruction A": 0}
    for prompt in prompts:
        kinds[next(words for words in ("Instruction A", "A criticism of it", "criticisms") if words in prompt)] += 1
        assert "It reads one passage at a time" in prompt
        assert "Another one, 13." in prompt or "Another one, 4." in prompt
        assert "EK 0.800, NEK 0.300" in prompt or "EK 0.500, NEK 0.600" in prompt
        assert "$" not in prompt
    assert all(kinds.values())
    assert any("rightly on top: " in prompt for prompt in prompts)
    crossed = next(proposal for proposal in proposals if proposal.operator == "crossover")
    (prompt,) = (prompt for prompt in prompts if "Instruction A" in prompt)
    pools = {pool.query.id: pool for pool in told.training}
    assert crossed.detail["lost_by_both"]
    for query in crossed.detail["lost_by_both"]:
        assert pools[query].query.content in prompt.partition("both rank badly")[2]
        for member in (NEWEST, ANSWER):
            scores = InstructionReader().score_training(member.text, [pools[query]])
            assert ranking_errors([pools[query]], scores, 1)


def test_what_reads_the_instruction_is_told_in_its_own_words():
    class Model:
        name, takes_instruction, pointwise = "m", True, True

        def describe(self):
            return {"model": "/home/me/Some-Reranker-0.6B", "score": "logit(yes) - logit(no)", "template": "<x>{query}"}

    said = reader_of(Model())
    assert said == (
        'Its model is "Some-Reranker-0.6B". It reads one passage at a time, without the others. A passage\'s score is '
        '"logit(yes) - logit(no)". Around instruction, query and passage it is given "\\u003cx>{query}".'
    )
    assert reader_of(InstructionReader()) == "It reads one passage at a time, without the others."
    assert "in order" in reader_of(SimpleNamespace(name="list", pointwise=False))


def test_the_base_alone_is_bred_from():
    alone = ByQuery([BASE], np.array([[0.4, 0.4]]), np.full(2, 0.5))
    only = dataclasses.replace(make_state(BASE), by_query=alone)
    assert draw_parents(only, 4) == [BASE]
    assert complementary(only) == []
