"""Clauses that others wrote: cut, bounded, in the model's columns, and mixed with the bank's."""

from __future__ import annotations

import dataclasses
import json
import random
from itertools import product

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.optimizer.proposers.clauses import ClausesProposer, read_bank
from fresco.optimizer.proposers.surrogate import Block, ClauseModel, _mixtures
from fresco.optimizer.proposers.written import MOST, TOGETHER, WrittenClauses, cut, same_clause
from fresco.optimizer.search.selection import non_dominated
from tests.optimizer.conftest import SEARCH, fresco, results_of, start
from tests.optimizer.instruction_reader import BASE, make_state
from tests.optimizer.test_operators import asked_for
from tests.optimizer.test_optimize_command import wait_for_scores
from tests.servers.chat_api import serve, words_of

BANK = read_bank()
WORDINGS = {
    same_clause(wording): (category, name)
    for category, table in BANK.categories.items()
    for name, wording in table.items()
}
NEWEST = BANK.categories["recency"]["newest"]


def texted(number, text, ek, nek, operator="mutation"):
    """A finished trial of a text that is no choice from the bank."""
    trial = optuna.trial.create_trial(
        values=[ek, nek], user_attrs={"text": text, "operator": operator, "parents": [0], "detail": {}}
    )
    trial.number = number
    return trial


def base():
    return texted(0, None, 0.4, 0.4, "base")


def state_after(trials, seed=0):
    state = make_state(BASE, seen=tuple(trial.user_attrs["text"] or "" for trial in trials))
    return dataclasses.replace(state, trials=trials, rng=random.Random(seed))


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Prefer the newest. State the answer", ["Prefer the newest.", "State the answer."]),
        ("Prefer dates, e.g. those of 2024. Be brief!", ["Prefer dates, e.g. those of 2024.", "Be brief!"]),
        ("Is it valid? Then it is right.", ["Is it valid?", "Then it is right."]),
        ("  ", []),
    ],
)
def test_a_text_is_cut_into_sentences(text, clauses):
    assert cut(text) == clauses


def test_wordings_of_the_bank_are_no_new_clauses_and_the_others_are_taken_once():
    trials = [
        base(),
        texted(1, f"{NEWEST.upper()} Weigh every claim by its own date.", 0.5, 0.4),
        texted(2, "weigh every claim, by its own date", 0.45, 0.4),
    ]
    written = WrittenClauses(WORDINGS, BANK.choices, trials)
    assert [(each.text, each.trial) for each in written.clauses] == [("Weigh every claim by its own date.", 1)]
    nothing, first, second = written.made_of()
    assert nothing is None
    assert first == ({**{name: values[0] for name, values in BANK.choices.items()}, "recency": "newest"}, (0,), 0)
    assert second[1:] == ((0,), 0)


@pytest.mark.parametrize(
    "sentence",
    [
        "Short.",
        "So long " * 40 + "it is.",
        "Take it <|im_end|> as it is, and obey.",
        "Take it ``` as it is, and obey.",
        "It rings a bell \x07 here and there.",
        BANK.categories["recency"]["current"],  # beside another wording of its category
    ],
)
def test_what_is_no_clause_gets_no_column_and_makes_the_trial_less_sure(sentence):
    (_, reading) = WrittenClauses(
        WORDINGS, BANK.choices, [base(), texted(1, f"{NEWEST} {sentence}", 0.5, 0.4)]
    ).made_of()
    assert reading[0]["recency"] == "newest"
    assert reading[1:] == ((), 1)


def test_there_are_only_so_many_and_those_of_the_best_texts_stay():
    trials = [base(), *(texted(n, f"Sentence of trial number {n}.", n / 100, 0.4) for n in range(1, MOST + 9))]
    written = WrittenClauses(WORDINGS, BANK.choices, trials)
    assert [each.trial for each in written.clauses] == list(range(9, MOST + 9))
    readings = list(written.made_of())
    assert readings[1][1:] == ((), 1)
    assert readings[9][1:] == ((0,), 0)
    assert max(map(len, written.options)) == TOGETHER
    assert len(written.options) == len(set(written.options)) == 1 + 24 + 24 * 23 // 2 + 24 * 23 * 22 // 6


def test_a_clause_that_helps_is_tried_with_the_bank_and_says_where_it_is_from():
    """Texts with the written clause gain both sides, whatever stands beside it; others gain nothing."""
    rng = random.Random(0)
    good, bad = "Weigh every claim by its own date.", "Look at the weather first."
    trials = [base()]
    for number in range(1, 30):
        helped = rng.random() < 0.5
        worth = 0.4 + 0.2 * helped + rng.random() * 0.01
        category = rng.choice(list(BANK.categories))
        own = rng.choice(list(BANK.categories[category].values()))
        trials.append(texted(number, f"{own} {good if helped else bad}", worth, worth))
    first = next(trial.number for trial in trials if good in (trial.user_attrs["text"] or ""))
    proposals = ClausesProposer(BANK).propose(state_after(trials), 12)
    mixed = [proposal for proposal in proposals if good in proposal.text]
    assert len(mixed) >= 9
    for proposal in mixed:
        assert {"clause": good, "trial": first} in proposal.detail["written"]
        assert first in proposal.parents
        assert proposal.text.startswith(BANK.assemble(proposal.params))
        assert proposal.params.keys() == BANK.choices.keys()
        json.dumps(dict(proposal.detail))
    assert len({proposal.text for proposal in proposals}) == 12
    assert proposals == ClausesProposer(BANK).propose(state_after(trials), 12)
    assert any(set(proposal.params.values()) - {"none", "as_written"} for proposal in mixed)


def test_mixtures_are_read_again_and_are_none_of_a_samplers_trials():
    good = "Weigh every claim by its own date."
    params = {name: values[0] for name, values in BANK.choices.items()} | {"recency": "newest"}
    distributions = {name: optuna.distributions.CategoricalDistribution(each) for name, each in BANK.choices.items()}
    detail = {"sampler": "model", "written": [{"clause": good, "trial": 1}]}
    attributes = {"text": f"{NEWEST} {good}", "operator": "clauses", "parents": [1], "detail": detail}
    mixed = optuna.trial.create_trial(
        values=[0.9, 0.9], params=params, distributions=distributions, user_attrs=attributes
    )
    mixed.number = 2
    trials = [base(), texted(1, good, 0.6, 0.6), mixed]
    assert list(WrittenClauses(WORDINGS, BANK.choices, trials).made_of())[2] == (params, (0,), 0)
    told = [ClausesProposer(BANK, "tpe").propose(state_after(own), 4) for own in (trials[:1], trials)]
    assert told[0] == told[1]


values = st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=1, max_size=5)


@given(values, values, values)
def test_mixtures_are_the_front_of_all_sums(plain, one, other):
    plain, one, other = (np.array(each, np.float64) for each in (plain, one, other))
    base = np.zeros(2)
    found, reached = _mixtures(plain, base, [one, other])
    every = {
        (place - 1, a, b): start + one[a] + other[b]
        for (place, start), a, b in product(enumerate([base, *plain]), range(len(one)), range(len(other)))
    }
    ek, nek = np.array(list(every.values())).T
    front = {tuple(sums) for sums, kept in zip(every.values(), non_dominated(ek, nek), strict=True) if kept}
    assert {tuple(sums) for sums in reached} == front
    for mixture, sums in zip(found, reached, strict=True):
        assert tuple(every[mixture]) == tuple(sums)


def test_further_columns_have_the_deviation_of_a_clause():
    model = ClauseModel({"a": ("none", "x"), "b": ("none", "y")})
    features = np.array([[1.0, 0, 0, 0], [0, 0, 0, 1.0]])
    gains, errors = np.array([0.1, 0.1]), np.zeros(2)
    clause, _, pair, further = model.fit(features, gains, errors).mean
    assert clause == pytest.approx(further)
    assert pair == 0
    assert Block(3, [(), (0, 2)]).features.tolist() == [[0, 0, 0], [1, 0, 1]]


def helpful(body):
    """A model that keeps to the form; one of its sentences is what the stand-in obeys."""
    return json.dumps(
        [
            f"Weigh case {body['seed']}, way {n}, with care. The newest timestamp of the latest date counts."
            for n in range(asked_for(words_of(body)))
        ]
    )


@pytest.mark.slow
def test_killed_it_ends_in_the_same_mixtures_with_their_origin(workplace, tmp_path_factory):
    other = tmp_path_factory.mktemp("undisturbed")
    (other / "small").symlink_to((workplace / "small").resolve())
    with serve(helpful) as api:
        arguments = [*SEARCH, "--rounds", "5", "--children", "4"]
        arguments += ["--proposer", f"llm:{api.url}#tiny/chat", "--proposer", "clauses"]
        done = fresco(*arguments, cwd=other, NO_PROXY="127.0.0.1")
        assert done.returncode == 0, done.stderr
        for scores in (900, 1500):
            process = start(*arguments, cwd=workplace, OBEDIENT_SECONDS="0.002", NO_PROXY="127.0.0.1")
            wait_for_scores(workplace / "scores.sqlite", scores, process)
            process.kill()
            process.communicate()
        done = fresco(*arguments, cwd=workplace, NO_PROXY="127.0.0.1")
        assert done.returncode == 0, done.stderr
    assert results_of(workplace / "out") == results_of(other / "out")
    front = json.loads((other / "out" / "front.json").read_text())
    rows = [json.loads(line) for line in (other / "out" / "proposals.jsonl").read_text().splitlines()]
    tried = {row["trial"]: row for row in rows if row["state"] != "REJECTED"}
    mixed = [row for row in tried.values() if row["detail"].get("written")]
    assert mixed
    for row in mixed:
        for each in row["detail"]["written"]:
            assert each["clause"] in row["text"]
            assert each["clause"] in tried[each["trial"]]["text"]
            assert tried[each["trial"]]["operator"] in ("mutation", "crossover")
            assert each["trial"] in row["parents"]
    shown = [member for member in front["members"] if member["lineage"][0]["detail"].get("written")]
    assert all(len(member["lineage"]) > 1 for member in shown)
