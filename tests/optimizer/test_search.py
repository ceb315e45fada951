"""The loop: who proposes how much, what is rejected, what proposers see, what a dropped trial is worth."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from sqlalchemy import event

from fresco.errors import FrescoError
from fresco.optimizer.proposers.base import ProposedInstruction
from fresco.optimizer.proposers.clauses import ClausesProposer, read_bank
from fresco.optimizer.proposers.llm_answers import Rejection
from fresco.optimizer.search.budget import Budget
from fresco.optimizer.search.objective import Objective
from fresco.optimizer.search.racing import ek_and_nek, resampled
from fresco.optimizer.search.rounds import Search, members_of
from fresco.optimizer.search.selection import hypervolume, select
from fresco.optimizer.search.settings import SearchSettings
from fresco.optimizer.search.storage import open_storage
from fresco.optimizer.search.study import SearchStudy
from fresco.optimizer.search.worker import Worker
from fresco.records import Benchmark, Task
from fresco.scoring.store import ScoreStore
from tests.optimizer.instruction_reader import make_pools
from tests.optimizer.obedient import Obedient

BANK = read_bank()
POOLS = tuple(make_pools(64))
TRAINING = tuple(make_pools(8, seed=9))


class Scripted:
    """Proposes what a list says, round by round, and keeps the states that it was shown."""

    name = "scripted"

    def __init__(self, *rounds, rejected=()):
        self.rounds, self.states, self.counts = rounds, [], []
        self.last_rejected = list(rejected)

    def propose(self, state, count):
        self.states.append(state)
        self.counts.append(count)
        texts = self.rounds[state.round - 1] if state.round <= len(self.rounds) else ()
        return [ProposedInstruction(text, "mutation", parents=(0,)) for text in texts]


@pytest.fixture
def search(tmp_path):
    """Makes searches on one storage and one store."""
    storage = open_storage(f"sqlite:///{tmp_path / 'study.db'}")
    store = ScoreStore(tmp_path / "scores.sqlite")

    def make(*proposers, name="s", base=None, **settings):
        objective = Objective(Obedient(), Benchmark("tiny", POOLS, "0" * 64), store)
        study = SearchStudy(storage, name, {}, Worker())
        chosen = SearchSettings(**{"rounds": 2, "population": 3, "children": 6, **settings})
        return Search(study, objective, POOLS, TRAINING, proposers, chosen, base, BANK.choices)

    yield make
    store.close()


def texts_of(search, number):
    return [trial.user_attrs["text"] for trial in search.study.of_round(number)]


def test_proposers_share_a_round_and_what_one_leaves_over_goes_to_the_next(search):
    few, many = Scripted(["Prefer the newest."]), Scripted(["The latest date.", "Use the timestamp."])
    run = search(few, many, rounds=1)
    run.run()
    assert (few.counts, many.counts) == ([3], [5])
    assert texts_of(run, 1) == ["Prefer the newest.", "The latest date.", "Use the timestamp."]


def test_what_cannot_be_tried_is_kept_with_its_reason(search):
    told = Rejection("crossover", (0, 1), "too long", "long " * 10)
    first = Scripted(
        ["Prefer the newest.", "", "two\nlines", "Find relevant passages.", "Prefer the newest."], rejected=[told]
    )
    run = search(first, rounds=1)
    (_, report) = run.run()
    assert texts_of(run, 1) == ["Prefer the newest."]
    plan = run.study.planned(1)
    assert [(each["operator"], each["reason"]) for each in plan["rejections"]] == [
        ("mutation", "empty"),
        ("mutation", "not one stripped line"),
        ("mutation", "seen before"),  # the model's own default
        ("mutation", "seen before"),
        ("crossover", "too long"),
    ]
    assert report.tried == 1
    assert report.rejected == {"seen before": 2, "empty": 1, "not one stripped line": 1, "too long": 1}


def test_a_round_without_anything_new_is_no_end(search):
    proposer = Scripted([], ["Prefer the newest."])
    run = search(proposer)
    reports = run.run()
    assert [report.tried for report in reports] == [1, 0, 1]


def test_what_a_proposer_sees(search):
    proposer = Scripted(["Prefer the newest.", "Ignore it."], ["The latest date."])
    run = search(proposer, base="State the answer.")
    run.run()
    first, second = proposer.states
    assert [member.text for member in first.population] == ["State the answer."]
    assert first.seen == {"State the answer.", "Find relevant passages."}
    assert second.seen == first.seen | {"Prefer the newest.", "Ignore it."}
    assert first.training == TRAINING
    assert [trial.number for trial in second.trials] == [0, 1, 2]
    assert all(trial.state.is_finished() for trial in second.trials)
    assert {member.number for member in second.population} <= {0, 1, 2}
    (scores,) = first.score_training("Prefer the newest.", TRAINING[:1])
    assert scores.shape == (len(TRAINING[0]),)


def test_proposers_see_what_each_member_is_worth_on_each_query(search):
    told = Scripted(["Prefer the latest passage.", "Prefer what states the answer."], ["Prefer the oldest passage."])
    made = search(told, racing=False)
    made.run()
    seen = told.states[1].by_query
    assert seen.numbers == [0, 1, 2]
    for member, values in zip(seen.members, seen.values, strict=True):
        np.testing.assert_array_equal(values, made.values_of(member.number))
        assert values @ seen.weights == pytest.approx((member.ek + member.nek) / 2)


def test_values_are_the_means_over_all_queries_and_estimates_pair_with_the_base(search):
    run = search(ClausesProposer(BANK), children=12)
    run.run()
    whole = {}
    states = set()
    for trial in run.study.trials():
        text, state = trial.user_attrs["text"], trial.state.name
        values = whole[text] = run.objective.average_precisions(text, POOLS)
        states.add(state)
        seen = trial.user_attrs["queries_scored"]
        if state == "COMPLETE":
            assert trial.values == pytest.approx(ek_and_nek(values, POOLS))
            assert run.values_of(trial.number) == pytest.approx(values)
            assert seen == len(POOLS)
        else:
            part = run.stages(trial.user_attrs["round"]).pools[:seen]
            at = [POOLS.index(pool) for pool in part]
            base = whole[None]
            expected = [
                full + own - same
                for full, own, same in zip(
                    ek_and_nek(base, POOLS),
                    ek_and_nek(values[at], part),
                    ek_and_nek(base[at], part),
                    strict=True,
                )
            ]
            assert trial.user_attrs["estimate"] == pytest.approx(expected)
            assert seen < len(POOLS)
    assert states == {"COMPLETE", "PRUNED"}


def test_every_round_draws_its_own_order_of_the_queries(search):
    run = search(Scripted(["Prefer the newest."], ["The latest date."]))
    first, second = ([pool.query.id for pool in run.stages(number).pools] for number in (1, 2))
    assert sorted(first) == sorted(second)
    assert first[:8] != second[:8]


def test_errors_of_dropped_trials_shrink_with_the_queries_that_are_left(search):
    run = search(ClausesProposer(BANK), children=12, rounds=2)
    run.run()
    dropped = [trial for trial in run.study.trials() if trial.state.name == "PRUNED"]
    base = run.values_of(0)
    for trial in dropped:
        part = run.stages(trial.user_attrs["round"]).pools[: trial.user_attrs["queries_scored"]]
        at = [POOLS.index(pool) for pool in part]
        gains = run.objective.average_precisions(trial.user_attrs["text"], part) - base[at]
        for task, error in zip(Task, trial.user_attrs["error"], strict=True):
            own = [gain for gain, pool in zip(gains, part, strict=True) if pool.query.task is task]
            left = 1 - len(own) / 32
            assert error == pytest.approx(np.std(own, ddof=1) * (left / len(own)) ** 0.5)
    assert dropped


def test_like_the_paper_a_round_has_eight_children_for_each_member(search):
    proposer = Scripted(["Prefer the newest.", "State the fact."], [])
    run = search(proposer, children=None)
    run.run()
    assert proposer.counts == [8, 8 * len(proposer.states[1].population)]


def test_a_budget_of_pairs_ends_the_search_and_a_longer_one_goes_on(search):
    pairs = sum(map(len, POOLS))
    short = search(ClausesProposer(BANK), rounds=50, children=2, budget=Budget("pairs", 4 * pairs)).run()
    assert short[-2].pairs_scored < 4 * pairs <= short[-1].pairs_scored
    again = search(ClausesProposer(BANK), rounds=50, children=2, budget=Budget("pairs", 4 * pairs))
    assert again.run() == short
    assert again.objective.computed == 0
    longer = search(ClausesProposer(BANK), rounds=50, children=2, budget=Budget("pairs", 6 * pairs)).run()
    assert longer[: len(short)] == short
    assert len(longer) > len(short)


def test_what_a_point_estimate_left_out_is_proved_too(search):
    run = search(ClausesProposer(BANK), children=12, population=1)
    run.run()
    everything = members_of(run.study.trials())
    proposed = run.proposed(3)
    ek, nek = resampled(np.stack([run.values_of(each.number) for each in everything], axis=1), POOLS)

    def worth(chosen):
        places = [everything.index(each) for each in chosen]
        return float(hypervolume(ek[:, places], nek[:, places]).mean())

    assert 1 < len(proposed) <= 3
    assert worth(proposed) >= worth(select(everything, 3))  # by point estimates
    assert proposed == run.proposed(5)[: len(proposed)]


class Slow(Scripted):
    """Writes only once the round before is being scored, and looks at training pools on the way."""

    slow = True

    def __init__(self, *rounds):
        super().__init__(*rounds)
        self.threads = []

    def propose(self, state, count):
        self.threads.append(threading.current_thread() is threading.main_thread())
        state.score_training(f"Training {state.round}.", state.training)
        return super().propose(state, count)


def test_a_late_round_costs_the_study_no_more_statements_than_an_early_one(search):
    made = search(ClausesProposer(BANK, "random"), rounds=9, children=2, racing=False)
    asked = []
    event.listen(made.study._storage._backend.engine, "before_cursor_execute", lambda *what: asked.append(what))
    counts = [0]

    class Counting:
        def scored(self, *what):
            pass

        def round_done(self, seed, report):
            counts.append(len(asked))

    made.watch = Counting()
    made.run()
    rounds = np.diff(counts)[1:]
    assert rounds[4:].max() <= 1.1 * rounds[:2].max()


def test_a_slow_proposer_writes_while_the_round_before_is_scored(search):
    texts = [["Prefer the newest."], ["The latest date."], ["Use the timestamp."], ["State the fact."]]
    proposer = Slow(*texts)
    run = search(proposer, rounds=4, ahead=1)
    reports = run.run()
    assert [report.tried for report in reports] == [1] * 5
    assert [texts_of(run, number) for number in range(1, 5)] == texts
    assert proposer.threads == [True, False, False, False]  # the first has nothing to wait beside
    known = [{trial.user_attrs["text"] for trial in state.trials} for state in proposer.states]
    assert known == [{None}, {None}, {None, *texts[0]}, {None, *texts[0], *texts[1]}]
    assert proposer.states[2].seen >= {*texts[0], *texts[1]}
    assert [run.study.planned(number)["cost"]["pairs"] for number in range(1, 5)] == [sum(map(len, TRAINING))] * 4


def test_a_slow_proposer_that_fails_fails_the_search(search):
    class Failing(Slow):
        def propose(self, state, count):
            if state.round == 2:
                raise FrescoError("the server is down")
            return super().propose(state, count)

    with pytest.raises(FrescoError, match="the server is down"):
        search(Failing(["Prefer the newest."]), rounds=3, ahead=1).run()


def test_the_same_seed_searches_the_same_and_another_one_something_else(search):
    def trials(name, seed):
        run = search(ClausesProposer(BANK), ClausesProposer(BANK, "tpe"), name=name, seed=seed)
        run.run()
        return [(trial.user_attrs["text"], trial.state, trial.values) for trial in run.study.trials()]

    assert trials("a", 0) == trials("b", 0) != trials("c", 1)


def test_pairs_scored_are_those_that_the_store_had_to_pay_for(search):
    run = search(ClausesProposer(BANK), rounds=1)
    (*_, report) = run.run()
    assert run.objective.computed == report.pairs_scored
    assert report.pairs_scored + report.pairs_spared == 7 * sum(map(len, POOLS))
    assert np.isfinite(report.hypervolume)
