"""What a search may cost: how it is written, and what counts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fresco.errors import FrescoError
from fresco.optimizer.options import SearchOptions
from fresco.optimizer.search.budget import Budget, spent


@pytest.mark.parametrize(
    ("written", "kind", "most"),
    [
        ("200000", "pairs", 200_000),
        ("200_000 pairs", "pairs", 200_000),
        ("200k", "pairs", 200_000),
        ("1.5M", "pairs", 1_500_000),
        ("90min", "minutes", 90),
        ("2h", "minutes", 120),
        ("5usd", "price", 5),
        ("0.5 $", "price", 0.5),
    ],
)
def test_pairs_minutes_and_prices(written, kind, most):
    assert Budget.parse(written) == Budget(kind, most)


@pytest.mark.parametrize("written", ["", "0", "-5", "5 apples", "min", "1e", "nan", "5usd more"])
def test_anything_else_is_one_line(written):
    with pytest.raises(FrescoError, match=r"give pairs .*, minutes .*, or a price") as caught:
        SearchOptions(budget=written)
    assert "\n" not in str(caught.value)


def test_candidates_and_proposals_both_cost():
    trials = [SimpleNamespace(user_attrs={"pairs_scored": 100, "seconds": 90.0}), SimpleNamespace(user_attrs={})]
    plans = [{"cost": {"pairs": 20, "seconds": 30.0, "price": 0.25}}, {}]
    assert spent(trials, plans) == {"pairs": 120, "minutes": 2.0, "price": 0.25}
    assert Budget("pairs", 120).is_spent(trials, plans)
    assert not Budget("price", 0.3).is_spent(trials, plans)


def test_how_a_search_runs_by_its_options():
    usual, slow = (SearchOptions().search_settings(3, slow=slow) for slow in (False, True))
    assert (usual.children, usual.rounds, usual.ahead, usual.seed) == (2, 160, 0, 3)
    assert (slow.children, slow.rounds, slow.ahead) == (4, 80, 1)
    paper = SearchOptions(like_paper=True).search_settings(0, slow=True)
    assert (paper.children, paper.rounds, paper.ahead) == (None, 10, 0)
    assert SearchOptions(budget="1k").search_settings(0, slow=False).rounds > 10**5
    assert SearchOptions(budget="1k", rounds=7).search_settings(0, slow=False).rounds == 7
    with pytest.raises(FrescoError, match="leave --children away"):
        SearchOptions(like_paper=True, children=3)
