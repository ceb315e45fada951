"""What a race keeps of the gain, beside a subset by chance of equal cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.optimizer.instruction_reader import make_pools

pytest.importorskip("torch")
EVAL = str(Path(__file__).parents[2] / "eval")
POOLS = make_pools(64)


@pytest.fixture
def racing(monkeypatch):
    monkeypatch.syspath_prepend(EVAL)
    import racing

    return racing


@pytest.fixture
def values():
    """The base, and twenty candidates of which two are far better than the others."""
    rng = np.random.default_rng(0)
    worth = [0.4, *[0.3] * 18, 0.8, 0.8]
    return {key: np.clip(own + rng.normal(0, 0.05, len(POOLS)), 0, 1) for key, own in enumerate(worth)}


def test_a_subset_by_chance_is_between_the_base_and_everything(racing, values):
    def area(count):
        return racing.subset_by_chance([0], list(values), values, POOLS, count, 0)

    base, whole = racing._area([0], values, POOLS), racing._area(list(values), values, POOLS)
    assert area(1) == area(0) == pytest.approx(base)
    assert area(len(values)) == area(99) == pytest.approx(whole)
    assert base < area(5) < area(12) < whole
    # Two of twenty are good; four drawn hold one of them in 1 - (18 choose 4) / (20 choose 4) of the draws.
    assert (area(5) - base) / (whole - base) == pytest.approx(1 - 18 * 17 * 16 * 15 / (20 * 19 * 18 * 17), abs=0.12)


def test_a_race_keeps_more_than_chance_does_for_the_same_pairs(racing, values):
    raced = racing.race_again([[0], list(range(1, 21))], values, POOLS, 0)
    assert raced["pairs"]["raced"] < 0.7 * raced["pairs"]["full"]
    kept = raced["gain_kept"]
    assert kept["raced"] == pytest.approx(1.0, abs=0.05)
    assert 0 < kept["by_chance"] < kept["raced"] - 0.1
    often = racing.race_often([[0], list(range(1, 21))], values, POOLS, 2)
    assert len(often["raced"]) == len(often["by_chance"]) == 2


def test_nothing_to_keep_is_kept(racing):
    assert racing.share_of(0.0, 0.0) == 1.0
    assert racing.share_of(0.1, 0.4) == pytest.approx(0.25)
