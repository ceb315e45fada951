"""A re-ranker as a table: the same figures as from the model, scored once, and every search runs on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fresco.optimizer.proposers.clauses import read_bank
from fresco.optimizer.proposers.climb import Climbing
from tests.optimizer.obedient import Obedient

EVAL = str(Path(__file__).parents[2] / "eval")
SPEC = f"{Path(__file__).parents[1] / 'optimizer' / 'obedient.py'}:Obedient"


@pytest.fixture(scope="module")
def study():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(EVAL)
        import search_vs_peers

        yield search_vs_peers


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("scores") / "scores.sqlite"


@pytest.fixture(scope="module")
def world(study, store):
    bank = study.part_of(read_bank(), ["recency", "static_guard"], 1)
    return study.World.of_model(SPEC, bank, 4, 16, store)


def test_the_table_is_what_the_model_says(world):
    assert len(world.reranker.texts) == 2 * 2  # with the base for "nothing chosen"
    for number in (0, 1, 3):
        for pool, values in zip(world.validation, world.tables["validation"][number], strict=True):
            scores = np.array(Obedient().score(pool.query, pool.passages, world.reranker.texts[number]))
            np.testing.assert_allclose(world.reranker.scores([number], [pool])[0, 0], scores, atol=1e-6)
            right = [str(pool.labels[place]) == "positive" for place in np.argsort(-scores, kind="stable")]
            if len(set(scores.tolist())) == len(scores):
                hits = np.flatnonzero(right)
                assert values == pytest.approx(np.mean((np.arange(len(hits)) + 1) / (hits + 1)))


def test_a_second_run_scores_nothing(study, world, store):
    again = study.World.of_model(SPEC, world.bank, 4, 16, store)
    assert again.reranker.objective.computed == 0
    np.testing.assert_array_equal(again.tables["test"], world.tables["test"])


def test_searches_end_though_the_bank_is_exhausted(study, world):
    everything = 10**9
    best = study.possible(world)["validation"]
    base = world.area([3], "validation")
    for name, log in (
        ("ours", study.methods(world)["ours"](0, everything)),
        ("tpe", study.by_optuna(world, "tpe", 0, everything)),
        ("climbing", study.by_ours(world, Climbing(study.Edits(world), 2), 0, everything, children=1)),
    ):
        found = log.by(everything)
        assert found[0] == 3, name  # the base first
        assert 0 < world.area(found, "validation") - base <= best + 1e-12, name


def test_a_category_that_the_bank_lacks_is_one_line(study):
    with pytest.raises(SystemExit, match="the bank has no 'mood'; it has task, as_of"):
        study.part_of(read_bank(), ["recency", "mood"], 2)
