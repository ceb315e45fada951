"""The re-ranker with a known front: its table is what its scores give, and a pair is paid for once."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from fresco.optimizer.proposers.clauses import Bank, read_bank
from fresco.optimizer.search.objective import precisions
from fresco.records import Label, Task
from tests.optimizer.instruction_reader import make_pools

EVAL = str(Path(__file__).parents[2] / "eval")
POOLS = make_pools(12)


@pytest.fixture
def modules(monkeypatch):
    monkeypatch.syspath_prepend(EVAL)
    import clause_reranker

    yield clause_reranker
    sys.modules.pop("clause_reranker", None)


@pytest.fixture
def bank():
    whole = read_bank()
    return Bank({name: dict(list(own.items())[:1]) for name, own in whole.categories.items()}, whole.orders)


def test_the_table_is_what_the_scores_give(modules, bank):
    reranker = modules.ClauseReranker(bank)
    table = reranker.precisions(POOLS)
    assert len(reranker.texts) == len(set(reranker.texts)) == len(table)
    for number in range(0, len(table), 17):
        scores = reranker.scores([number], POOLS)[0]
        own = [row[: len(pool)] for row, pool in zip(scores, POOLS, strict=True)]
        assert table[number] == pytest.approx(precisions(POOLS, own))
    assert not np.allclose(table, modules.ClauseReranker(bank, world=1).precisions(POOLS))


def test_a_pair_is_paid_for_once(modules, bank):
    reranker = modules.ClauseReranker(bank)
    meter = modules.Meter(reranker, POOLS, reranker.precisions(POOLS))
    text = reranker.texts[3]
    values = meter.average_precisions(text, POOLS[:4])
    assert meter.computed == sum(map(len, POOLS[:4]))
    meter.scores(text, POOLS[:5])
    assert meter.computed == sum(map(len, POOLS[:5]))
    assert values == pytest.approx(precisions(POOLS[:4], meter.scores(text, POOLS[:4])))


def test_an_edit_changes_one_clause_for_each_kind_of_error(modules, bank):
    reranker, draw = modules.ClauseReranker(bank), modules.random.Random(0)
    before = reranker.params[5]
    kinds = [(Task.EK, Label.OUTDATED), (Task.NEK, Label.NEAR_TOPIC)]
    after = modules.edit(reranker, before, kinds, bank, draw)
    changed = {name for name in before if before[name] != after[name]}
    allowed = {name for kind in kinds for name in modules._CURES[kind]}
    assert changed and changed <= allowed
    assert len(changed) <= 2
