"""The proposers that need no language model: a bank of clauses under Optuna's samplers, and files."""

from __future__ import annotations

import dataclasses
import json
import random

import optuna
import pytest

from fresco.errors import FrescoError
from fresco.optimizer.proposers.clauses import SAMPLERS, ClausesProposer, read_bank
from fresco.optimizer.proposers.file import FileProposer, read_instructions
from tests.optimizer.instruction_reader import BASE, make_state

BANK = read_bank()


def state_after(trials, seed=0, turn=2):
    state = make_state(BASE, turn=turn, seed=seed, seen=tuple(trial.user_attrs["text"] for trial in trials))
    return dataclasses.replace(state, trials=trials, rng=random.Random(f"{seed}:{turn}"))


def tried(params, ek, nek):
    """A finished trial; dropped by racing where its values are only estimates."""
    values = {name: optuna.distributions.CategoricalDistribution(choice) for name, choice in BANK.choices.items()}
    return optuna.trial.create_trial(
        values=[ek, nek],
        params=params,
        distributions=values,
        user_attrs={"text": BANK.assemble(params)},
    )


def test_the_built_in_bank_is_rich_and_each_wording_distinct():
    assert {"task", "recency", "as_of", "evidence", "brevity", "static_guard"} <= set(BANK.categories)
    wordings = [wording for table in BANK.categories.values() for wording in table.values()]
    assert len(wordings) == len(set(wordings))
    assert all(2 <= len(table) <= 4 for table in BANK.categories.values())
    assert len(BANK.orders) > 1


def test_an_instruction_is_its_wordings_in_order():
    nothing = dict.fromkeys(BANK.categories, "none")
    chosen = {**nothing, "task": "fact", "recency": "newest", "order": "as_written"}
    task, recency = BANK.categories["task"]["fact"], BANK.categories["recency"]["newest"]
    assert BANK.assemble(chosen) == f"{task} {recency}"
    assert BANK.assemble({**chosen, "order": "recency_first"}) == f"{recency} {task}"
    assert BANK.assemble({**nothing, "order": "as_written"}) == ""


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_proposals_are_new_distinct_assembled_and_the_same_for_the_same_state(sampler):
    first = ClausesProposer(BANK, sampler).propose(state_after([]), 12)
    assert len({proposal.text for proposal in first}) == 12
    for proposal in first:
        assert proposal.text == BANK.assemble(proposal.params)
        assert proposal.text
    finished = [tried(proposal.params, 0.1 * number, 1 - 0.1 * number) for number, proposal in enumerate(first)]
    second = ClausesProposer(BANK, sampler).propose(state_after(finished), 12)
    assert not {proposal.text for proposal in first} & {proposal.text for proposal in second}
    assert second == ClausesProposer(BANK, sampler).propose(state_after(finished), 12)
    assert second != ClausesProposer(BANK, sampler).propose(state_after(finished, seed=1), 12)


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name != "random"])
def test_what_was_found_steers_the_next_round(sampler):
    """Every trial with the wording "newest" was good on both sides: it is proposed more often than by chance."""
    rng = random.Random(0)
    finished = []
    for _ in range(60):
        params = {name: rng.choice(choice) for name, choice in BANK.choices.items()}
        good = params["recency"] == "newest"
        finished.append(tried(params, good * 0.5 + rng.random() * 0.1, good * 0.5 + rng.random() * 0.1))
    proposals = ClausesProposer(BANK, sampler).propose(state_after(finished), 30)
    share = sum(proposal.params["recency"] == "newest" for proposal in proposals) / len(proposals)
    assert share > 0.5  # by chance 0.2


def test_a_bank_that_runs_out_proposes_what_is_left(tmp_path):
    path = tmp_path / "bank.toml"
    path.write_text('[task]\nplain = "Find it."\nshort = "Find."\n')
    proposals = ClausesProposer(read_bank(path)).propose(make_state(BASE, seen=("Find.",)), 10)
    assert [proposal.text for proposal in proposals] == ["Find it."]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("task = ", "cannot be read as TOML"),
        ("", "holds no category"),
        ('task = "x"', "task is no table with wordings"),
        ("[task]", "task is no table with wordings"),
        ("[task]\nnone = 'x'", r"\[task\] none: this name stands for leaving"),
        ("[task]\na = 3", r"\[task\] a: 3 is no wording"),
        ("[task]\na = ' '", r"\[task\] a: ' ' is no wording"),
        ("[task]\na = 'x'\n[order]\nb = ['nowhere']", r"\[order\] b: 'nowhere' is no category"),
        ("[task]\na = 'x'\n[order]\nb = 'task'", r"\[order\] b: 'task' is no list"),
        ("order = 1\n[task]\na = 'x'", r"\[order\] is no table"),
    ],
)
def test_a_bad_bank_is_one_clear_line(tmp_path, content, said):
    path = tmp_path / "bank.toml"
    path.write_text(content)
    with pytest.raises(FrescoError, match=said) as caught:
        read_bank(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_an_unknown_sampler_is_refused():
    with pytest.raises(FrescoError, match=r"clauses:cmaes.*clauses:nsga2.*clauses:tpe"):
        ClausesProposer(BANK, "cmaes")


def test_a_file_is_proposed_in_order_over_the_rounds(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("# mine\nFirst one.\n\n  Second   one. \nFirst one.\nThird one.\n", encoding="utf-8")
    proposer = FileProposer(path)
    first = [proposal.text for proposal in proposer.propose(make_state(BASE), 2)]
    assert first == ["First one.", "Second one."]
    assert [proposal.text for proposal in proposer.propose(make_state(BASE, seen=tuple(first)), 2)] == ["Third one."]


@pytest.mark.parametrize(
    ("content", "ids"),
    [
        (json.dumps(["One.", "Two."]), ["i1", "i2"]),
        (json.dumps({"members": [{"id": "i7", "text": "One."}, {"text": "Two."}]}), ["i7", "i2"]),
        ("One.\nTwo.\n", ["i1", "i2"]),
    ],
)
def test_every_form_of_a_file(tmp_path, content, ids):
    path = tmp_path / "file"
    path.write_text(content)
    found = read_instructions(path)
    assert [each.text for each in found] == ["One.", "Two."]
    assert [each.id for each in found] == ids


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no instruction"),
        (b"# only this\n", "holds no instruction"),
        (b"[]", "holds no instruction"),
        (b'["a", 3]', "item 2: 3 is no instruction"),
        (b'["a",\n', "line 2: begins like JSON"),
        (b'{"a": 1}', "without `members`"),
        (b'{"members": [{"id": "i1"}]}', "member 1: None is no instruction"),
        (b"fine\nbad \x07 bell\n", "line 2: holds characters"),
        (b"fine\n" + b"long " * 1000, "line 2: 4999 characters"),
        (b"\xff\xfe", "is UTF-16; save it as UTF-8"),
    ],
)
def test_a_bad_file_is_one_clear_line(tmp_path, content, said):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(FrescoError, match=said) as caught:
        read_instructions(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
