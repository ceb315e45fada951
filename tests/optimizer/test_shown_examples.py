"""Worked examples and layouts as dimensions of the search: proposed, learnt from, paid for, refused where unfit."""

from __future__ import annotations

import dataclasses
import json
import random
from itertools import combinations
from types import SimpleNamespace

import optuna
import pytest

from fresco.errors import FrescoError
from fresco.optimizer.demonstrations import (
    MOST,
    Examples,
    draw_demonstrations,
    own_words,
    with_demonstrations,
    with_examples,
    without_examples,
)
from fresco.optimizer.options import SearchOptions
from fresco.optimizer.pipeline import _examples
from fresco.optimizer.proposers.clauses import ClausesProposer, read_bank
from fresco.optimizer.proposers.file import MOST_CHARACTERS
from fresco.optimizer.proposers.history import tried
from fresco.optimizer.report.front import Splits
from fresco.optimizer.search.budget import charged, spent
from fresco.optimizer.search.objective import Objective
from fresco.records import Benchmark
from fresco.rerank.layout import Layout, with_layout
from fresco.scoring.store import ScoreStore
from tests.optimizer.conftest import SEARCH, fresco
from tests.optimizer.instruction_reader import BASE, InstructionReader, make_pools, make_state

BANK = read_bank()
TRAINING = make_pools(24, seed=9)
DRAWN = tuple(draw_demonstrations(TRAINING, MOST))


def test_examples_of_a_draw_stand_behind_and_come_off_again():
    assert with_examples("Find it.", DRAWN[:3]) == with_demonstrations("Find it.", TRAINING, 3)
    assert with_examples("Find it.", ()) == "Find it."
    for k in range(4):
        assert without_examples(with_examples("Find it.", DRAWN[:k])) == "Find it."


def finished(number, params, shown, worth):
    text = with_examples(BANK.assemble(params), [DRAWN[place] for place in shown])
    detail = {"sampler": "model", "demonstrations": [DRAWN[place].query for place in shown]}
    trial = optuna.trial.create_trial(
        values=[worth, worth],
        params=params,
        distributions={name: optuna.distributions.CategoricalDistribution(own) for name, own in BANK.choices.items()},
        user_attrs={"text": text, "operator": "clauses", "parents": [], "detail": detail if shown else {}},
    )
    trial.number = number
    return trial


def test_an_example_that_helps_is_shown_again_and_no_more_than_allowed():
    """Example 3 gains both sides, the others nothing."""
    rng = random.Random(0)
    base = optuna.trial.create_trial(values=[0.4, 0.4], user_attrs={"text": None, "operator": "base", "detail": {}})
    trials = [base]
    for number in range(1, 40):
        params = {name: rng.choice(own) for name, own in BANK.choices.items()}
        shown = rng.choice(list(combinations(range(MOST), rng.randrange(3))))
        trials.append(finished(number, params, shown, 0.4 + 0.2 * (3 in shown) + 0.01 * rng.random()))
    state = dataclasses.replace(
        make_state(BASE, seen=tuple(trial.user_attrs["text"] or "" for trial in trials)),
        trials=trials,
        rng=random.Random(1),
    )
    proposals = ClausesProposer(BANK, examples=Examples(DRAWN, 2)).propose(state, 12)
    shown = [proposal.detail.get("demonstrations", []) for proposal in proposals]
    assert sum(DRAWN[3].query in own for own in shown) >= 10
    assert max(map(len, shown)) <= 2
    for proposal, own in zip(proposals, shown, strict=True):
        chosen = [each for each in DRAWN if each.query in own]
        assert proposal.text == with_examples(BANK.assemble(proposal.params), chosen)
        assert len(proposal.text) <= MOST_CHARACTERS
    assert not any("demonstrations" in each.detail for each in ClausesProposer(BANK).propose(state, 12))


def test_longer_pairs_are_charged_by_the_characters_that_they_add():
    pools = make_pools(6)
    pairs = sum(map(len, pools))
    assert charged(None, pools) == charged("Find it.", pools) == pairs
    text = with_examples("Find it.", DRAWN[:2])
    plain = sum(
        len("Find it.") + len(pool.query.text) + len(passage.text) for pool in pools for passage in pool.passages
    )
    whole = plain + pairs * (len(text) - len("Find it."))
    assert charged(text, pools) == pytest.approx(pairs * whole / plain, abs=1)
    assert charged(text, pools) > 2 * pairs
    assert charged(text, []) == 0

    trial = SimpleNamespace(user_attrs={"pairs_scored": pairs, "pairs_charged": charged(text, pools)})
    assert spent([trial], [])["pairs"] == charged(text, pools)


def test_a_language_model_is_shown_the_text_alone():
    trial = finished(1, {name: own[1] for name, own in BANK.choices.items()}, (0, 1), 0.5)
    said = tried([trial], (), "default")
    assert "Examples" not in said
    assert json.dumps(BANK.assemble(trial.params)) in said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"demonstrations": MOST + 1}, "at most 8 fit"),
        ({"demonstrations": -1}, "--demonstrations -1: give a whole number"),
        (
            {"demonstrations": 2, "proposer": ("clauses:tpe",)},
            "--demonstrations go with what --proposer clauses",
        ),
    ],
)
def test_what_cannot_be_is_one_line(options, said):
    with pytest.raises(FrescoError, match=said) as caught:
        SearchOptions(**options)
    assert "\n" not in str(caught.value)


def test_where_the_dates_stand_is_learnt_too():
    """Dates in front of the passages gain both sides; the query's date makes no difference."""
    rng = random.Random(0)
    base = optuna.trial.create_trial(values=[0.4, 0.4], user_attrs={"text": None, "operator": "base", "detail": {}})
    trials = [base]
    for number in range(1, 40):
        params = {name: rng.choice(own) for name, own in BANK.choices.items()}
        layout = rng.choice(list(Layout))
        trial = finished(number, params, (), 0.4 + 0.1 * layout.passage + 0.01 * rng.random())
        text = with_layout(trial.user_attrs["text"], layout)
        trial.set_user_attr("text", text)
        trial.set_user_attr("detail", {"sampler": "model", **({"layout": str(layout)} if layout else {})})
        trials.append(trial)
    seen = tuple(trial.user_attrs["text"] or "" for trial in trials)
    state = dataclasses.replace(make_state(BASE, seen=seen), trials=trials, rng=random.Random(1))
    proposals = ClausesProposer(BANK, layouts=True).propose(state, 12)
    chosen = [Layout(proposal.detail.get("layout", "")) for proposal in proposals]
    assert sum(layout.passage for layout in chosen) >= 10
    for proposal, layout in zip(proposals, chosen, strict=True):
        assert proposal.text == with_layout(BANK.assemble(proposal.params), layout)
        assert own_words(proposal.text, "default") == (BANK.assemble(proposal.params) or "default")
    plain = ClausesProposer(BANK).propose(state, 12)
    assert not any("layout" in proposal.detail for proposal in plain)
    told = [
        ClausesProposer(BANK, "nsga2").propose(dataclasses.replace(state, rng=random.Random(2), trials=own), 3)
        for own in (trials, [trial for trial in trials if "layout" not in trial.user_attrs["detail"]])
    ]
    assert told[0] == told[1]


def test_a_search_shows_examples_of_the_train_split_and_pays_for_them(workplace):
    done = fresco(*SEARCH, "--demonstrations", "2", "--layouts", cwd=workplace)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (workplace / "out" / "proposals.jsonl").read_text().splitlines()]
    shown = [row for row in rows if row["detail"].get("demonstrations")]
    assert shown
    assert all(row["pairs_charged"] > row["pairs_scored"] for row in shown)
    assert all(row["pairs_charged"] == row["pairs_scored"] for row in rows if row not in shown)
    marked = [row for row in rows if row["detail"].get("layout")]
    assert marked
    assert all(row["text"].startswith(f"{{dates: {row['detail']['layout']}}}") for row in marked)
    queries = {json.loads(line)["_id"]: json.loads(line) for line in (workplace / "small" / "queries.jsonl").open()}
    for row in shown:
        for query in row["detail"]["demonstrations"]:
            assert json.dumps(queries[query]["text"], ensure_ascii=False) in row["text"]
    scored = fresco(
        *("score", "--reranker", "tests.optimizer.obedient:Obedient", "--benchmark", "small", "--limit", "20"),
        *("--instructions", "out/front.json", "--resamples", "20", "--out", "scored"),
        cwd=workplace,
    )
    assert scored.returncode == 0, scored.stderr


class ShortSighted(InstructionReader):
    """Refuses what its input has no room for."""

    def score(self, query, passages, instruction=None):
        if len(instruction or "") > 900:
            raise FrescoError("more than the 420 that the model reads")
        return super().score(query, passages, instruction)


def test_examples_that_do_not_fit_are_refused_before_the_search():
    whole = Benchmark("tiny", tuple(TRAINING), "0" * 64)
    splits = Splits(whole, whole, whole, whole, whole)
    with ScoreStore(":memory:") as store:
        objective = Objective(ShortSighted(), whole, store)
        one = _examples(SearchOptions(demonstrations=1), objective, splits, None, 0)
        assert (len(one.drawn), one.most) == (MOST, 1)
        with pytest.raises(FrescoError, match=r"--demonstrations 4: so many do not fit .*more than the 420"):
            _examples(SearchOptions(demonstrations=4), objective, splits, None, 0)
        with pytest.raises(FrescoError, match="--demonstrations needs training queries"):
            _examples(SearchOptions(demonstrations=1), objective, dataclasses.replace(splits, train=None), None, 0)
