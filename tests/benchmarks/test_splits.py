"""Splits and samples by subject, and two benchmarks put together."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fresco.benchmarks import combine, limit_queries, open_benchmark, select_split
from fresco.benchmarks.pools import fingerprint, make_pool
from fresco.errors import FrescoError
from fresco.records import Benchmark, Label, Pool, Task
from tests.benchmarks.conftest import MakeFolder, Tables
from tests.factories import make_passage, make_query

Name = Literal["train", "validation", "test"]
NAMES: tuple[Name, ...] = ("train", "validation", "test")

subjects = st.lists(st.text(min_size=1, max_size=8).filter(str.strip), min_size=1, max_size=30, unique=True)
seeds = st.integers(min_value=-3, max_value=2**64)


def benchmark_of(names: list[str], splits: dict[str, str] | None = None) -> Benchmark:
    """An explicit and an implicit query for each subject."""
    pools = tuple(
        make_pool(
            make_query(2 * place + kind, subject=name),
            [(make_passage(f"p{place}"), Label.POSITIVE), (make_passage(f"o{place}"), Label.OUTDATED)],
        )
        for place, name in enumerate(names)
        for kind in (0, 1)
    )
    return Benchmark("made", pools, fingerprint(pools), splits=splits or {})


def parts(benchmark: Benchmark, seed: int) -> dict[str, list[Pool]]:
    found: dict[str, list[Pool]] = {}
    for name in NAMES:
        try:
            found[name] = list(select_split(benchmark, name, seed=seed).pools)
        except FrescoError:
            found[name] = []
    return found


def split_of(benchmark: Benchmark, seed: int) -> dict[str, set[str]]:
    where: dict[str, set[str]] = {}
    for name, pools in parts(benchmark, seed).items():
        for pool in pools:
            where.setdefault(pool.query.subject, set()).add(name)
    return where


@given(subjects, seeds)
def test_every_query_is_in_one_split_and_subjects_are_whole(names: list[str], seed: int) -> None:
    benchmark = benchmark_of(names)
    divided = parts(benchmark, seed)
    assert sorted(pool.query.id for pools in divided.values() for pool in pools) == sorted(
        pool.query.id for pool in benchmark.pools
    )
    assert all(len(where) == 1 for where in split_of(benchmark, seed).values())
    for pools in divided.values():
        assert [pool for pool in benchmark.pools if pool in pools] == pools, "the order stays"


@given(subjects, subjects, seeds)
def test_new_subjects_move_no_old_one(names: list[str], more: list[str], seed: int) -> None:
    old = split_of(benchmark_of(names), seed)
    new = split_of(benchmark_of(list(dict.fromkeys([*more, *names]))), seed)
    assert {name: new[name] for name in names} == old


def test_shares_and_seeds() -> None:
    benchmark = benchmark_of([f"subject {number}" for number in range(3000)])
    divided = parts(benchmark, 0)
    shares = [len(divided[name]) / len(benchmark) for name in NAMES]
    assert shares == pytest.approx([0.2, 0.3, 0.5], abs=0.03)  # 3 standard deviations of a share of 3,000
    assert divided != parts(benchmark, 1)
    assert divided == parts(benchmark, 0)


def test_a_part_is_a_benchmark_of_its_own() -> None:
    benchmark = benchmark_of([f"subject {number}" for number in range(40)])
    test = select_split(benchmark, "test")
    assert test.name == benchmark.name
    assert test.fingerprint not in (benchmark.fingerprint, select_split(benchmark, "train").fingerprint)
    assert test.notes == (f"split test by subject, drawn with seed 0: {len(test)} of 80 queries",)
    assert select_split(benchmark, "all") is benchmark


def test_the_data_decides_where_it_does() -> None:
    benchmark = benchmark_of(["a", "b", "c"], {"a": "test", "b": "validation", "c": "test"})
    for seed in range(5):
        assert split_of(benchmark, seed) == {"a": {"test"}, "b": {"validation"}, "c": {"test"}}
    assert select_split(benchmark, "test").notes == (
        "split test by subject, assigned by the data, else drawn with seed 0: 4 of 6 queries",
    )
    with pytest.raises(FrescoError, match=r"^made: no query is in the split 'train'$"):
        select_split(benchmark, "train")


def test_a_wrong_split() -> None:
    with pytest.raises(FrescoError, match=r"^'dev' is no split; there are: all, train, validation, test$"):
        select_split(benchmark_of(["a"]), "dev")  # type: ignore[arg-type]


@given(subjects, seeds, st.integers(min_value=1, max_value=70))
def test_samples_hold_whole_subjects_and_grow(names: list[str], seed: int, limit: int) -> None:
    benchmark = benchmark_of(names)
    sample = limit_queries(benchmark, limit, seed=seed)
    assert min(limit, len(benchmark)) <= len(sample) <= limit + 1
    kept = {pool.query.subject for pool in sample.pools}
    assert [pool for pool in benchmark.pools if pool.query.subject in kept] == list(sample.pools)
    assert kept <= {pool.query.subject for pool in limit_queries(benchmark, limit + 1, seed=seed).pools}


def test_samples_keep_the_shares_of_the_tasks() -> None:
    ek = benchmark_of([f"subject {number}" for number in range(30)])
    static = tuple(
        make_pool(make_query(1000 + number, task=Task.NEK), [(make_passage("p0"), Label.POSITIVE)])
        for number in range(20)
    )
    benchmark = Benchmark("made", (*ek.pools, *static), fingerprint((*ek.pools, *static)))
    sample = limit_queries(benchmark, 20, seed=3)
    assert [pool.query.task for pool in sample.pools] == [Task.EK] * 16 + [Task.NEK] * 5, "15 and 5, whole subjects"
    assert sample.notes == ("limited to 21 of 80 queries, whole subjects, drawn with seed 3",)
    assert sample.fingerprint == fingerprint(sample.pools) != benchmark.fingerprint
    assert limit_queries(benchmark, 80) is benchmark
    assert sample.pools != limit_queries(benchmark, 20, seed=4).pools


def test_combine_takes_each_side_from_its_own(tables: Tables, make_folder: MakeFolder, beir: Path) -> None:
    ours = open_benchmark(str(make_folder(tables)))
    both = combine(ours, open_benchmark(str(beir)))
    assert [pool.query.id for pool in both.pools] == ["q0", "q1", "q2", "q3", "a", "b"]
    assert [pool.query.task for pool in both.pools] == [Task.EK] * 4 + [Task.NEK] * 2
    assert both.name == f"{ours.name}+{beir}"
    assert both.notes[:2] == (f"EK from {ours.name}, NEK from {beir}", f"{beir}: BEIR folder, relevance from test.tsv")
    assert both.fingerprint == fingerprint(both.pools) != ours.fingerprint
    with pytest.raises(FrescoError, match=r"holds no EK query, so it cannot be the EK side$"):
        combine(open_benchmark(str(beir)), ours)


def test_combine_with_oneself_is_oneself(tables: Tables, make_folder: MakeFolder) -> None:
    ours = open_benchmark(str(make_folder(tables)))
    assert combine(ours, ours).pools == ours.pools
    assert combine(ours, ours).fingerprint == ours.fingerprint


def test_combine_prefixes_ids_that_clash(tables: Tables, make_folder: MakeFolder) -> None:
    ours = open_benchmark(str(make_folder(tables, name="ours")))
    tables["corpus"][4]["text"] = "Something else under the same id."
    tables["queries"][4]["_id"] = "q0"
    tables["queries"][0]["_id"] = "unused"
    for row in tables["pools"]:
        row["query-id"] = {"q0": "unused", "q4": "q0"}.get(row["query-id"], row["query-id"])
    theirs = open_benchmark(str(make_folder(tables, name="theirs")))
    both = combine(ours, theirs)
    assert [pool.query.id for pool in both.pools] == ["q0", "q1", "q2", "q3", "nek:q0"]
    last = both.pools[-1]
    assert sorted(passage.id for passage in last.passages) == ["nek:p4", "nek:p5", "nek:p6", "nek:p7"]
    assert {passage.body for passage in last.passages} >= {"Something else under the same id."}
    assert len({passage.id for passage in both.passages()}) == len(set(both.passages()))


def test_combine_keeps_splits_and_refuses_two_for_one_subject(tables: Tables, make_folder: MakeFolder) -> None:
    for row, split in zip(tables["queries"], ["train", "train", "test", "test", "validation"], strict=True):
        row["split"] = split
    ours = open_benchmark(str(make_folder(tables, name="ours")))
    assert combine(ours, ours).splits == ours.splits
    tables["queries"][4]["subject"] = "Club 0"
    tables["queries"][0]["subject"] = tables["queries"][1]["subject"] = "Other"
    theirs = open_benchmark(str(make_folder(tables, name="theirs")))
    with pytest.raises(FrescoError, match=r"^the subject 'Club 0' is in 'train' in .* and in 'validation' in "):
        combine(ours, theirs)
