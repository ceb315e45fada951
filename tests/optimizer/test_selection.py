"""Dominance, crowding distance and hypervolume against the definitions, and against Optuna's own."""

from __future__ import annotations

import itertools

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume
from optuna.samplers.nsgaii._elite_population_selection_strategy import _calc_crowding_distance
from optuna.study._multi_objective import _is_pareto_front

from fresco.optimizer.proposers.base import ScoredInstruction
from fresco.optimizer.search.selection import best_expected, crowding_distance, hypervolume, non_dominated, select

# A grid makes ties and duplicates frequent; its steps add up exactly.
GRID = st.integers(0, 16).map(lambda number: number / 16)
POINTS = st.lists(st.tuples(GRID, GRID), min_size=1, max_size=12)


def sides(points):
    return np.array([ek for ek, _ in points]), np.array([nek for _, nek in points])


def dominates(one, other):
    return one != other and one[0] >= other[0] and one[1] >= other[1]


@given(POINTS)
def test_the_front_is_what_nothing_dominates(points):
    kept = non_dominated(*sides(points))
    assert kept.tolist() == [not any(dominates(other, own) for other in points) for own in points]
    assert kept.tolist() == _is_pareto_front(-np.array(points), assume_unique_lexsorted=False).tolist()


@given(POINTS)
def test_of_equals_only_the_first(points):
    kept = non_dominated(*sides(points), first_of_equals=True)
    front = [point for point, keep in zip(points, non_dominated(*sides(points)), strict=True) if keep]
    assert [point for point, keep in zip(points, kept, strict=True) if keep] == list(dict.fromkeys(front))


@given(POINTS)
def test_the_hypervolume_is_the_area_of_the_cells_that_are_dominated(points):
    area = hypervolume(*sides(points))
    cells = [
        any(ek >= (x + 1) / 16 and nek >= (y + 1) / 16 for ek, nek in points)
        for x, y in itertools.product(range(16), repeat=2)
    ]
    assert area == pytest.approx(sum(cells) / 256)
    assert area == pytest.approx(compute_hypervolume(-np.array(points), np.zeros(2)))


@given(st.lists(POINTS, min_size=1, max_size=4))
def test_resamples_are_computed_as_one_by_one(resamples):
    size = min(map(len, resamples))
    ek, nek = (np.stack(side) for side in zip(*(sides(points[:size]) for points in resamples), strict=True))
    assert hypervolume(ek, nek).tolist() == [float(hypervolume(a, b)) for a, b in zip(ek, nek, strict=True)]
    assert non_dominated(ek, nek).tolist() == [non_dominated(a, b).tolist() for a, b in zip(ek, nek, strict=True)]


@given(POINTS)
def test_crowding_is_the_gap_between_neighbours(points):
    front = sorted({point for point in points if not any(dominates(other, point) for other in points)})
    distance = crowding_distance(*sides(front))
    expected = []
    for place, _ in enumerate(front):
        if len(front) == 1:
            expected.append(0.0)
        elif place in (0, len(front) - 1):
            expected.append(np.inf)
        else:
            gaps = [abs(front[place + 1][side] - front[place - 1][side]) for side in (0, 1)]
            spans = [abs(front[-1][side] - front[0][side]) for side in (0, 1)]
            expected.append(gaps[0] / spans[0] + gaps[1] / spans[1])
    assert distance.tolist() == pytest.approx(expected)


@given(st.lists(st.tuples(GRID, GRID), min_size=1, max_size=12, unique_by=(lambda p: p[0], lambda p: p[1])))
def test_crowding_is_optunas(points):
    trials = [optuna.trial.create_trial(values=list(point)) for point in points]
    for number, trial in enumerate(trials):
        trial.number = number
    theirs = _calc_crowding_distance(list(trials))
    assert crowding_distance(*sides(points)).tolist() == pytest.approx([theirs[n] for n in range(len(points))])


@settings(max_examples=50)
@given(POINTS, st.integers(1, 6))
def test_the_selection(points, size):
    members = [ScoredInstruction(number, f"text {number}", *point) for number, point in enumerate(points)]
    chosen = select(members, size)
    values = [(member.ek, member.nek) for member in chosen]
    front = {point for point in points if not any(dominates(other, point) for other in points)}
    assert len(set(values)) == len(values) == min(size, len(front))
    assert set(values) <= front
    assert chosen == select(list(reversed(members)), size)
    if size >= 2 and len(front) >= 2:  # the ends of the front always stay
        assert {max(front), max(front, key=lambda point: (point[1], point[0]))} <= set(values)


@given(
    st.integers(1, 5).flatmap(
        lambda size: st.lists(st.lists(st.tuples(GRID, GRID), min_size=size, max_size=size), min_size=1, max_size=5)
    )
)
def test_the_expected_front_takes_what_adds_most_step_by_step(resamples):
    ek, nek = (
        np.array([[point[side] for point in own] for own in resamples]).reshape(len(resamples), -1) for side in (0, 1)
    )

    def worth(places):
        return sum(compute_hypervolume(-np.array([own[place] for place in places]), np.zeros(2)) for own in resamples)

    chosen = best_expected(ek, nek, 3)
    assert len(set(chosen)) == len(chosen) <= 3
    for step in range(3):
        before = chosen[:step]
        known = worth(before) if before else 0.0
        best = max((worth([*before, place]) for place in range(ek.shape[1])), default=0.0)
        if step < len(chosen):
            assert worth(chosen[: step + 1]) == pytest.approx(best)
        else:
            assert best == pytest.approx(known)  # nothing more to gain
            break


def test_the_expected_front_keeps_the_base_until_it_is_surely_behind():
    rng = np.random.default_rng(0)
    base = rng.normal(0.5, 0.05, (400, 2))
    lucky, better = base + rng.normal(0.01, 0.05, (400, 2)), base + rng.normal(0.2, 0.01, (400, 2))
    ek, nek = (np.stack([base[:, side], lucky[:, side]], axis=1) for side in (0, 1))
    assert lucky.mean() > base.mean()
    assert best_expected(ek, nek, 4) == [1, 0]
    ek, nek = (np.stack([base[:, side], better[:, side]], axis=1) for side in (0, 1))
    assert best_expected(ek, nek, 4) == [1]
    ek[::2] = np.nan  # a side without a query in half of the resamples
    assert best_expected(ek, nek, 4) == [1]
