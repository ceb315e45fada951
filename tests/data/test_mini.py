"""The embedded benchmark is what its card says, and it tells rankings apart."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fresco.benchmarks import open_benchmark
from fresco.metrics.evaluate import evaluate
from fresco.records import Kind, Label, Task
from fresco.rerank.baselines import Newest
from fresco.rerank.lexical import Bm25

MINI = Path(__file__).parents[2] / "data" / "mini"


@pytest.fixture(scope="module")
def mini():
    return open_benchmark("mini")


@pytest.fixture(scope="module")
def values():
    """For each EK (relation file, subject) its values, oldest first."""
    found = {}
    for path in (MINI / "facts" / "ek").glob("*.tsv"):
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE):
                found.setdefault((path.stem, row["subject"]), []).append((row["start"], row["value"]))
    return found


def values_of(pool, values):
    """The values of a pool's subject under the relation whose last value is its answer."""
    for (_, subject), dated in values.items():
        if subject == pool.query.subject and dated[-1][1] == pool.query.answer:
            return [value for _, value in dated]
    raise AssertionError(f"no facts behind query {pool.query.id}")


def side(mini, task):
    return [pool for pool in mini.pools if pool.query.task is task]


def test_it_is_what_its_facts_and_templates_give():
    done = subprocess.run([sys.executable, MINI / "rebuild.py", "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_card_tells_the_counts():
    done = subprocess.run([sys.executable, MINI / "rebuild.py", "--counts"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in (MINI / "README.md").read_text(encoding="utf-8")


def test_it_is_large_enough(mini, values):
    assert len(values) >= 150
    assert len({relation for relation, _ in values}) >= 8
    assert all(2 <= len(dated) <= 5 for dated in values.values())
    kinds = Counter(pool.query.kind for pool in mini.pools)
    assert kinds[Kind.EXPLICIT] == kinds[Kind.IMPLICIT] == len(values)
    assert kinds[Kind.STATIC] >= 150
    assert {len(pool) for pool in mini.pools} == {51}


def test_facts_are_dated_in_order_and_tell_themselves_apart(values):
    for key, dated in values.items():
        starts = [start for start, _ in dated]
        names = [value for _, value in dated]
        assert starts == sorted(starts), key
        assert starts[-1] < "2025-01-01", key
        assert not [(a, b) for a in names for b in names if a != b and a in b], key


def test_labels_are_right(mini, values):
    for pool in side(mini, Task.EK):
        *earlier, now = values_of(pool, values)
        (positive,) = pool.labelled(Label.POSITIVE)
        assert now in positive.content
        for passage in pool.labelled(Label.OUTDATED):
            assert any(value in passage.content for value in earlier)
            assert now not in passage.content
            assert passage.title == positive.title
            assert passage.timestamp < positive.timestamp
        for passage in pool.labelled(Label.INSUFFICIENT):
            assert passage.timestamp == positive.timestamp
            assert passage.title == positive.title
            assert not any(value in passage.content for value in (*earlier, now))
        for passage in pool.labelled(Label.NEAR_TOPIC):
            assert passage.title != positive.title
            assert f" {pool.query.subject} " not in f" {passage.title} "


def test_static_labels_are_right(mini):
    for pool in side(mini, Task.NEK):
        for passage, label in zip(pool.passages, pool.labels, strict=True):
            words = f" {' '.join(passage.body.replace('.', ' ').replace(',', ' ').split())} "
            stated = f" {pool.query.answer.replace('.', ' ').replace('  ', ' ').strip()} " in words
            assert stated == (label is Label.POSITIVE), (pool.query.id, passage)


def test_wording_does_not_give_the_positive_away(mini):
    """Current and outdated statements share their templates: neither is longer, and each heading serves both."""
    pools = side(mini, Task.EK)
    lengths = {
        label: np.array([len(p.body.split()) for pool in pools for p in pool.labelled(label)])
        for label in (Label.POSITIVE, Label.OUTDATED)
    }
    assert abs(lengths[Label.POSITIVE].mean() - lengths[Label.OUTDATED].mean()) < 5
    headings = {label: {p.section for pool in pools for p in pool.labelled(label)} for label in lengths}
    assert headings[Label.POSITIVE] == headings[Label.OUTDATED]


def test_the_newest_statement_is_right(mini):
    """Who finds the statements of the subject and takes the newest solves the task."""
    for pool in side(mini, Task.EK):
        stated = [*pool.labelled(Label.POSITIVE), *pool.labelled(Label.OUTDATED)]
        assert max(stated, key=lambda passage: passage.timestamp) is stated[0]


def test_it_discriminates(mini):
    newest, bm25 = Newest(), Bm25()
    bm25.fit(mini.passages())
    scores = {
        reranker.name: [np.array(reranker.score(pool.query, pool.passages)) for pool in mini.pools]
        for reranker in (newest, bm25)
    }
    rows = evaluate(mini, scores, resamples=10).rows
    value = {(row["reranker"], row["task"], row["kind"], row["metric"]): row["value"] for row in rows}
    assert value["newest", "EK", "all", "Hit@1"] < 0.25  # current sections without the answer share its date
    assert value["bm25", "EK", "all", "Hit@1"] < 0.5
    assert value["bm25", "EK", "all", "stale@1"] > 0.5
    assert value["bm25", "NEK", "all", "Hit@1"] > 0.4  # the static side can be solved by words ...
    assert value["newest", "NEK", "all", "MAP"] < 0.2  # ... and blind recency costs


def test_each_relation_is_worded_in_three_ways(mini):
    for task, kind in ((Task.EK, Kind.EXPLICIT), (Task.EK, Kind.IMPLICIT), (Task.NEK, Kind.STATIC)):
        wordings = {}
        for pool in side(mini, task):
            if pool.query.kind is kind:
                bare = pool.query.content.replace(pool.query.subject, "X")
                wordings.setdefault(pool.query.relation, set()).add(bare)
        assert all(len(texts) >= 3 for texts in wordings.values()), wordings


def test_only_explicit_queries_ask_for_the_newest(mini):
    words = ("most recent", "current", "latest", "newest", "at present")
    for pool in side(mini, Task.EK):
        asks = any(word in pool.query.content for word in words)
        assert asks == (pool.query.kind is Kind.EXPLICIT), pool.query.content
