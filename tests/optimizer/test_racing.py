"""Racing: what a stage holds, who is dropped, and that nothing on the front by its estimates is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fresco.errors import FrescoError
from fresco.optimizer.search.racing import LEVEL, draw_stages, ek_and_nek, race, race_fully, standings
from fresco.optimizer.search.selection import non_dominated
from fresco.records import Task
from tests.optimizer.instruction_reader import make_pools

POOLS = make_pools(128)


def looked_up(values, stages, asked=None):
    """An objective that reads a table: candidates in rows, pools in the order of the stages."""

    def evaluate(alive, stage):
        start, end = (stages.ends[stage - 1] if stage else 0), stages.ends[stage]
        if asked is not None:
            asked.append((stage, list(alive)))
        return {key: values[key, start:end] for key in alive}

    return evaluate


def drawn(seed, candidates=10, spread=0.3):
    rng = np.random.default_rng(seed)
    worth = rng.uniform(0.2, 0.8, (candidates, 1))
    return np.clip(worth + spread * rng.standard_normal((candidates, len(POOLS))), 0, 1)


@given(st.integers(0, 50), st.integers(1, 8))
def test_stages_are_nested_whole_and_stratified(seed, least):
    stages = draw_stages(POOLS, seed=seed, least=least)
    assert sorted(pool.query.id for pool in stages.pools) == sorted(pool.query.id for pool in POOLS)
    assert list(stages.ends) == sorted(set(stages.ends))
    assert stages.ends[-1] == len(POOLS)
    assert sum(stages.pairs(stage) for stage in range(len(stages.ends))) == stages.all_pairs
    for end in stages.ends:
        inside = {pool.query.subject for pool in stages.pools[:end]}
        assert not inside & {pool.query.subject for pool in stages.pools[end:]}
        for task in Task:
            subjects = {pool.query.subject for pool in stages.pools[:end] if pool.query.task is task}
            assert len(subjects) >= least
            assert len(subjects) == -(-end // 2)  # the two sides are equal in these pools, so in each stage


def test_a_subject_with_two_queries_is_never_torn(small):
    from fresco.benchmarks import open_benchmark

    pools = open_benchmark(str(small)).pools
    stages = draw_stages(pools, least=3)
    assert len(stages.ends) == 4
    for end in stages.ends:
        inside = {pool.query.subject for pool in stages.pools[:end]}
        assert not inside & {pool.query.subject for pool in stages.pools[end:]}


def test_few_subjects_make_fewer_stages():
    assert len(draw_stages(POOLS[:40]).ends) == 3  # 20 subjects a side: an eighth of them is too few
    assert len(draw_stages(POOLS[:10]).ends) == 1


@pytest.mark.parametrize("task", list(Task))
def test_a_side_without_queries_is_refused(task):
    with pytest.raises(FrescoError, match=f"no {task} query"):
        draw_stages([pool for pool in POOLS if pool.query.task is not task])


@settings(max_examples=25)
@given(st.integers(0, 1000))
def test_a_race_is_a_part_of_full_evaluation(seed):
    values, stages = drawn(seed), draw_stages(POOLS, seed=seed)
    raced = race(range(10), stages, looked_up(values, stages), resamples=100, seed=seed)
    whole = race_fully(range(10), stages, looked_up(values, stages))
    assert whole.pairs_spared == 0
    assert whole.pairs_scored == 10 * stages.all_pairs == raced.pairs_scored + raced.pairs_spared
    assert sorted([*raced.survivors, *raced.dropped]) == list(range(10))
    assert raced.survivors
    for key in range(10):
        own = raced.values[key]
        np.testing.assert_array_equal(own, whole.values[key][: len(own)])
        if key in raced.dropped:
            assert len(own) == stages.ends[raced.dropped[key].stage]
            assert raced.dropped[key].standing < LEVEL
        else:
            assert len(own) == len(POOLS)
    again = race(range(10), stages, looked_up(values, stages), resamples=100, seed=seed)
    assert again.dropped == raced.dropped


@settings(max_examples=25)
@given(st.integers(0, 1000))
def test_a_leader_of_every_stage_is_never_dropped(seed):
    values, stages = drawn(seed), draw_stages(POOLS, seed=seed)
    leaders = set(range(10))
    for end in stages.ends[:-1]:
        points = [ek_and_nek(own[:end], stages.pools[:end]) for own in values]
        leaders &= set(np.flatnonzero(non_dominated(*(np.array(side) for side in zip(*points, strict=True)))))
    raced = race(range(10), stages, looked_up(values, stages), resamples=100, seed=seed)
    assert leaders <= set(raced.survivors)


def test_a_hopeless_candidate_pays_for_one_stage_alone():
    values, stages, asked = drawn(0, 2), draw_stages(POOLS), []
    values[1] = np.clip(values[0] - 0.3, 0, 1)
    raced = race([0, 1], stages, looked_up(values, stages, asked))
    assert raced.survivors == [0]
    assert asked == [(0, [0, 1]), (1, [0]), (2, [0]), (3, [0])]
    assert raced.pairs_spared == stages.all_pairs - stages.pairs(0)


def test_rivals_of_earlier_rounds_dominate_and_are_not_scored():
    values, stages, asked = drawn(0, 1), draw_stages(POOLS), []
    better = {7: np.clip(values[0] + 0.3, 0, 1)}
    raced = race([0], stages, looked_up(values, stages, asked), rivals=better)
    assert raced.survivors == []
    assert asked == [(0, [0])]


def test_of_candidates_that_did_equally_well_the_first_stays():
    values, stages = np.repeat(drawn(0, 1), 3, axis=0), draw_stages(POOLS)
    assert race([0, 1, 2], stages, looked_up(values, stages)).survivors == [0]
    assert race([0, 1, 2], stages, looked_up(values, stages), rivals={9: values[0]}).survivors == []


def test_a_trade_off_is_kept():
    stages = draw_stages(POOLS)
    ek = np.array([pool.query.task is Task.EK for pool in stages.pools])
    values = np.stack([np.where(ek, 0.9, 0.1), np.where(ek, 0.5, 0.5), np.where(ek, 0.1, 0.9)])
    assert race(range(3), stages, looked_up(values, stages)).survivors == [0, 1, 2]
    assert [each.share for each in standings(dict(enumerate(values)), stages.pools).values()] == [1.0, 1.0, 1.0]


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(1, 20))
@example(seed=1, candidates=2)  # a resample of the first stage has pools of one side only
def test_a_stage_drops_at_most_half_and_the_furthest_behind(seed, candidates):
    values, stages, asked = drawn(seed, candidates), draw_stages(POOLS, seed=seed), []
    raced = race(range(candidates), stages, looked_up(values, stages, asked), resamples=100, seed=seed)
    for (_, before), (_, after) in itertools.pairwise(asked):
        assert len(after) >= len(before) // 2
    first = {key: own[: stages.ends[0]] for key, own in enumerate(values)}
    standing = standings(first, stages.pools[: stages.ends[0]], resamples=100, seed=seed)
    gone = {key for key, each in raced.dropped.items() if each.stage == 0}
    stayed = [standing[key].behind for key in first if key not in gone and standing[key].share < LEVEL]
    assert all(standing[key].behind >= max(stayed, default=0.0) for key in gone)


def test_how_far_behind_is_what_is_lacking_on_both_sides():
    ek = np.array([pool.query.task is Task.EK for pool in POOLS])
    values = {0: np.where(ek, 0.9, 0.5), 1: np.where(ek, 0.6, 0.4), 2: np.where(ek, 0.2, 0.8)}
    standing = standings(values, POOLS)
    assert [round(each.behind, 9) for each in standing.values()] == [0.0, 0.1, 0.0]
    assert [each.share for each in standing.values()] == [1.0, 0.0, 1.0]


def test_on_noisy_candidates_racing_keeps_the_hypervolume_and_spares_most_pairs():
    from fresco.optimizer.search.selection import hypervolume

    shares, spared = [], []
    for seed in range(8):
        values, stages = drawn(seed, 32), draw_stages(POOLS, seed=seed)
        raced = race(range(32), stages, looked_up(values, stages), resamples=200, seed=seed)
        points = np.array([ek_and_nek(own, stages.pools) for own in values]).T
        kept = points[:, raced.survivors]
        shares.append(float(hypervolume(*kept) / hypervolume(*points)))
        spared.append(raced.pairs_spared / (32 * stages.all_pairs))
    assert np.mean(shares) > 0.99
    assert np.mean(spared) > 0.6
